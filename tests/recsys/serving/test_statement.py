"""What determines the lists can be read from the service, and is what the model itself says."""

from __future__ import annotations

from typing import Any

import pytest

from tests.recsys.serving.service import Client, serving  # isort: skip

from recsys.estimator.stating import statement


@pytest.mark.parametrize("name", ["EASE", "Popular"])
def test_the_statement_is_the_models_own(models: Any, name: str, tmp_path: Any) -> None:
    model = models[name]
    with serving(model.path, folder=tmp_path) as running:
        status, answer = Client(running).ask("GET", "/v1/statement")
    assert status == 200
    (found,) = answer["variants"]
    assert found["name"] == name
    assert [(each["title"], each["sentences"]) for each in found["sections"]] == statement(model.fitted).sections()
