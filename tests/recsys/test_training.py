"""The loop over epochs, early stopping, and the trainer of modules."""

from __future__ import annotations

import numpy as np
import pytest

from minidl import nn, ops, optim
from recsys.errors import RecsysError
from recsys.training import EarlyStopping, Trainer, run_epochs


class Recorder:
    """A progress display that remembers."""

    def __init__(self):
        self.events = []

    def start(self, total, description):
        self.events.append(("start", total, description))

    def advance(self, n=1, **fields):
        self.events.append(("advance", n, fields))

    def stop(self):
        self.events.append(("stop",))


class Regression:
    """y = x W + b, noiseless."""

    def __init__(self, n=40, seed=0):
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(n, 3)).astype(np.float32)
        self.y = (self.x @ np.array([[1.0], [-2.0], [0.5]]) + 0.3).astype(np.float32)
        self.module = nn.Linear(3, 1, generator=rng)
        self.seen = []

    def begin(self, rng):
        self.seen.append([])
        return len(self.x)

    def loss(self, batch, rng):
        self.seen[-1].extend(batch.tolist())
        return ops.mse_loss(self.module(self.x[batch]), self.y[batch])

    def fit(self, trainer, lr=0.05, **kwargs):
        return trainer.fit(self.module, optim.Adam(self.module.parameters(), lr=lr), self, **kwargs)


def test_curves_and_progress():
    progress = Recorder()
    history = run_epochs("Toy", 3, lambda epoch: {"loss": 1 / (epoch + 1)}, progress)
    assert history == {"loss": [1, 1 / 2, 1 / 3]}
    assert progress.events[0] == ("start", 3, "Toy")
    assert progress.events[2] == ("advance", 1, {"loss": 0.5})
    assert progress.events[-1] == ("stop",)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_divergence_names_the_epoch_and_ends_the_display(bad):
    progress = Recorder()
    with pytest.raises(RecsysError, match=r"Toy: loss is (nan|inf) in epoch 2"):
        run_epochs("Toy", 5, lambda epoch: {"loss": bad if epoch else 0.0}, progress)
    assert progress.events[-1] == ("stop",)


def test_stop_ends_the_loop():
    assert len(run_epochs("Toy", 9, lambda epoch: {"loss": epoch}, None, lambda r: r["loss"] >= 2)["loss"]) == 3


@pytest.mark.parametrize("larger", [True, False])
def test_early_stopping_keeps_the_first_best(larger):
    values = [1, 3, 2, 3, 0]
    state = iter("abcde")
    stopping = EarlyStopping(lambda: next(state), patience=3, larger_is_better=larger)
    stopped = [stopping.update(v if larger else -v) for v in values]
    assert stopped == [False, False, False, False, True]
    assert (stopping.best_epoch, stopping.best_state) == (2, "b")


def test_trains_to_the_solution_and_visits_every_row_once_an_epoch():
    task = Regression()
    history = task.fit(Trainer(epochs=150, batch_size=16))
    assert history["loss"][-1] < 1e-4 < history["loss"][0]
    np.testing.assert_allclose(task.module.weight.data, [[1, -2, 0.5]], atol=0.02)
    assert all(sorted(epoch) == list(range(40)) for epoch in task.seen)
    assert task.seen[0] != task.seen[1]
    assert not task.module.training


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    found = []
    for seed in (1, 1, 2):
        task = Regression()
        task.fit(Trainer(epochs=3, batch_size=8, seed=seed))
        found.append(task.module.weight.data.tobytes())
    assert found[0] == found[1] != found[2]


def test_the_best_weights_are_put_back():
    task, states = Regression(), []

    def validate():
        assert not task.module.training
        states.append(task.module.state_dict())
        return [1.0, 5.0, 4.0, 3.0, 2.0][len(states) - 1]

    history = task.fit(Trainer(epochs=5, patience=2), validate=validate)
    assert history["valid"] == [1.0, 5.0, 4.0, 3.0]
    for key, value in task.module.state_dict().items():
        np.testing.assert_array_equal(value, states[1][key])
        assert not np.array_equal(value, states[3][key])


def test_a_loss_that_is_not_a_number_names_epoch_and_batch():
    task = Regression()
    task.x[7] = np.nan
    with pytest.raises(RecsysError, match=r"Toy: the loss is nan in epoch 1, batch \d+"):
        task.fit(Trainer(epochs=2, batch_size=8, name="Toy"))


def test_gradients_are_clipped():
    task = Regression()
    before = task.module.weight.data.copy()
    trainer = Trainer(epochs=1, batch_size=40, max_norm=1e-3)
    trainer.fit(task.module, optim.SGD(task.module.parameters(), lr=1.0), task)
    assert 0 < np.linalg.norm(task.module.weight.data - before) <= 1.0001e-3
