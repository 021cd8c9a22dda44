"""Files of format 1, one of each model, written by the last version that wrote it, and what they answered then.

All are fitted on `simulated()` with the settings of `make`, and few units where there are many by default.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys import loading
from recsys.data import Interactions
from recsys.errors import ArtifactError, UnsupportedError
from recsys.estimator import storing
from recsys.models import REGISTRY, Recommender

FOLDER = Path(__file__).parent / "format1"
ANSWERS = np.load(FOLDER / "answers.npz")


def agrees(model: Recommender, name: str, data: Interactions) -> None:
    """Whether a model answers as then; on another processor, last bits of products differ, and so may near ties."""
    recs = model.recommend(k=9)
    found = model.items.encode(recs.items.ravel()).reshape(recs.items.shape)
    assert np.mean(found == ANSWERS[f"{name}.items"]) > 0.95
    same(recs.scores, ANSWERS[f"{name}.scores"])
    same(model.predict(data.users.ids[data.user[:20]], data.items.ids[data.item[:20]]), ANSWERS[f"{name}.pairs"])
    if model.can.fold_in:
        one = model.recommend(history=["item 01", "item 02", "item 01"], values=[4, 5, 3], k=9)
        same(one.scores, ANSWERS[f"{name}.history"])


def same(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_there_is_a_file_of_every_model_of_then():
    assert {path.stem for path in FOLDER.glob("*.recsys")} <= set(REGISTRY)
    assert len(list(FOLDER.glob("*.recsys"))) == 33


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.recsys")), ids=lambda path: path.stem)
def test_files_of_format_1_answer_as_they_did(path: Path, data: Interactions, tmp_path: Path) -> None:
    model = loading.load(path, mmap=True)
    agrees(model, path.stem, data)
    model.save(tmp_path / "anew")
    again, served = loading.load(tmp_path / "anew"), storing.load(tmp_path / "anew")  # with its class, and without
    assert again.get_params() == model.get_params()
    for other in (again, served):
        assert other.recommend(k=9).scores.tobytes() == model.recommend(k=9).scores.tobytes()
    with pytest.raises(ArtifactError, match=r"written in format 1; write it anew with recsys\.load"):
        storing.load(path)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.recsys")), ids=lambda path: path.stem)
def test_they_go_on_learning(path: Path) -> None:
    model = loading.load(path)
    more = Interactions.from_arrays([7, 1], ["item 01", "item 02"], [5, 4], [500, 501])
    try:
        model.partial_fit(more)
    except UnsupportedError:
        assert not model.can.partial_fit
        return
    assert model.recommend(1, k=3).counts == 3
