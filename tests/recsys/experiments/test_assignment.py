"""Assignment: shares as stated, stable, and nobody moves who need not."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import ParameterError
from recsys.experiments import Variants

PEOPLE = range(4000)
IDS = st.integers() | st.text(max_size=20)
WEIGHTS = st.lists(st.integers(0, 20), min_size=1, max_size=5).filter(any)


def variants(weights, salt="salt"):
    return Variants([f"v{i}" for i in range(len(weights))], [w / sum(weights) for w in weights], salt)


def test_people_are_dealt_by_the_shares():
    made = variants([5, 3, 2])
    counts = Counter(made.assign(person) for person in range(20_000))
    for name, share in zip(made.names, made.shares, strict=True):
        assert abs(counts[name] - 20_000 * share) < 4.5 * np.sqrt(20_000 * share * (1 - share))


@given(unit=IDS, weights=WEIGHTS, salt=st.text(max_size=5))
def test_an_assignment_is_stable_and_does_not_depend_on_the_order_of_variants(unit, weights, salt):
    made = variants(weights, salt)
    assigned = made.assign(unit)
    assert made.share(assigned) > 0
    assert variants(weights, salt).assign(unit) == assigned
    assert Variants(made.names[::-1], made.shares[::-1], salt).assign(unit) == assigned


@given(weights=WEIGHTS, more=st.integers(1, 30), data=st.data())
def test_growing_a_share_moves_people_to_it_alone(weights, more, data):
    place = data.draw(st.integers(0, len(weights) - 1))
    grown = [w + more * (i == place) for i, w in enumerate(weights)]
    old, new = variants(weights), variants(grown)
    for person in range(200):
        before, after = old.assign(person), new.assign(person)
        assert after in (before, f"v{place}")


def test_as_many_move_as_the_share_grows_by():
    old, new = variants([1, 1, 1, 0]), variants([1, 1, 1, 1])
    moved = np.mean([old.assign(person) != new.assign(person) for person in PEOPLE])
    assert moved == pytest.approx(1 / 4, abs=0.03)


def test_kinds_salts_and_experiments_are_independent():
    made, other = variants([1, 1]), variants([1, 1], "another")
    for same in (np.mean([made.assign(i) == made.assign(str(i)) for i in PEOPLE]),
                 np.mean([made.assign(i) == other.assign(i) for i in PEOPLE])):
        assert same == pytest.approx(0.5, abs=0.04)
    assert made.assign(np.int64(7)) == made.assign(7)
    assert pickle.loads(pickle.dumps(made)) == made
    assert pickle.loads(pickle.dumps(made)).assign(7) == made.assign(7)


def test_another_process_assigns_the_same():
    script = ("from recsys.experiments import Variants; v = Variants(['a', 'b'], [.3, .7], 's'); "
              "print(''.join(v.assign(i) for i in [*range(50), *'xyzäß']))")
    made = Variants(["a", "b"], [0.3, 0.7], "s")
    expected = "".join(made.assign(i) for i in [*range(50), *"xyzäß"])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == expected


@pytest.mark.parametrize(("names", "shares", "says"), [
    ([], [], "names"), (["a", "a"], [0.5, 0.5], "names"), (["a", ""], [0.5, 0.5], "names"),
    (["a"], [0.5, 0.5], "one share a variant"), (["a", "b"], [0.5, 0.4], "a 0.5, b 0.4 sum to 0.9"),
    (["a", "b"], [1.5, -0.5], "share of a"), (["a", "b"], [float("nan"), 1], "share of a")])
def test_what_is_no_experiment_is_refused(names, shares, says):
    with pytest.raises(ParameterError, match=says):
        Variants(names, shares, "salt")


def test_strange_ids_and_names_are_refused():
    made = variants([1, 1])
    for unit in (None, 1.5, True, b"7"):
        with pytest.raises(ParameterError, match="an id must be an integer or a text"):
            made.assign(unit)
    with pytest.raises(ParameterError, match="no variant 'x'; there are v0, v1"):
        made.share("x")
    with pytest.raises(ParameterError, match="salt"):
        Variants(["a"], [1.0], 7)
