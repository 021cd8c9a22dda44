"""The loop over epochs, early stopping, and the trainer of modules."""

from __future__ import annotations

import numpy as np
import pytest

from minidl import nn, ops, optim
from recsys.errors import ArtifactError, ParameterError, RecsysError, TrainingInterrupted
from recsys.training import Run, Trainer, shuffled
from recsys.training.checkpoint import Checkpoint
from recsys.training.epochs import EarlyStopping, run_epochs


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

    def batches(self, epoch, rng, size):
        self.seen.append([])
        return shuffled(len(self.x), size, rng)

    def loss(self, batch, rng):
        self.seen[-1].extend(batch.tolist())
        return ops.mse_loss(self.module(self.x[batch]), self.y[batch])

    def fit(self, trainer, optimizer=None, validate=None, **kwargs):
        optimizer = optimizer or optim.Adam(self.module.parameters(), lr=0.05)
        return trainer.fit(Run(self.module, self, optimizer, validate), **kwargs)


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


def test_early_stopping_keeps_the_first_best():
    values = [1, 3, 2, 3, 0]
    state = iter("abcde")
    stopping = EarlyStopping(lambda: next(state), patience=3)
    stopped = [stopping.update(v) for v in values]
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
    task.fit(trainer, optim.SGD(task.module.parameters(), lr=1.0))
    assert 0 < np.linalg.norm(task.module.weight.data - before) <= 1.0001e-3


# ------------------------------------------------------------------------- checkpoints, interruption, schedules

class Noisy(Regression):
    """The same through dropout, so that every epoch's random numbers matter."""

    def __init__(self):
        super().__init__()
        self.module = nn.Sequential(nn.Linear(3, 8, generator=np.random.default_rng(1)), nn.Dropout(0.3),
                                    nn.Linear(8, 1, generator=np.random.default_rng(2)))

    def run(self, epochs=6, path=None, die_in=None, **kwargs):
        optimizer = optim.Adam(self.module.parameters(), lr=0.05)
        schedule = optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
        checkpoint = None if path is None else Checkpoint(path, {"model": "Noisy", "epochs": epochs})
        losses = iter([0.3, 0.2, 0.25, 0.1, 0.15, 0.12])
        for _ in range(kwargs.pop("skip", 0)):
            next(losses)

        def validate():
            return -next(losses)

        def die(epoch, report):
            if epoch == die_in:
                raise KeyboardInterrupt

        history = self.fit(Trainer(epochs=epochs, batch_size=16, **kwargs), optimizer, validate, schedule=schedule,
                           callbacks=[die], checkpoint=checkpoint)
        return history, self.module.state_dict(), optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_killed_and_resumed_gives_the_same_bits_as_never_killed(tmp_path, suffix):
    history, weights, lr = Noisy().run()
    path = tmp_path / f"run{suffix}"
    with pytest.raises(TrainingInterrupted, match=r"after 4 of 6 epochs; run the same again with checkpoint .*run"):
        Noisy().run(path=path, die_in=4)  # what the fourth epoch learned is lost: it was not written yet
    again = Noisy()
    resumed_history, resumed, resumed_lr = again.run(path=path, skip=3)
    assert len(again.seen) == 3
    assert resumed_history == history
    assert resumed_lr == lr
    assert all(np.array_equal(resumed[name], weights[name]) for name in weights)


def test_a_finished_training_is_not_repeated(tmp_path):
    history, weights, _ = Noisy().run(path=tmp_path / "run.npz", patience=2)
    again = Noisy()
    repeated, same, _ = again.run(path=tmp_path / "run.npz", patience=2)
    assert again.seen == []
    assert repeated == history
    assert all(np.array_equal(same[name], weights[name]) for name in weights)


def test_without_a_checkpoint_an_interruption_says_how_to_have_one():
    with pytest.raises(TrainingInterrupted, match="after 2 of 6 epochs; give checkpoint= to be able to go on"):
        Noisy().run(die_in=2)


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    Noisy().run(path=tmp_path / "run.npz")
    with pytest.raises(ParameterError, match="another training: epochs is 6 there and 5 here; delete it"):
        Noisy().run(path=tmp_path / "run.npz", epochs=5)


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-40], lambda data: b"text" * 50])
def test_a_damaged_checkpoint_is_refused(tmp_path, damage):
    path = tmp_path / "run.npz"
    Noisy().run(path=path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ArtifactError, match=r"run\.npz: not one of a training, or damaged"):
        Noisy().run(path=path)


def test_a_file_of_arrays_is_no_checkpoint(tmp_path):
    np.savez(tmp_path / "run.npz", a=np.ones(2))
    with pytest.raises(ArtifactError, match="it holds something else"):
        Noisy().run(path=tmp_path / "run.npz")


def test_a_checkpoint_needs_a_suffix_of_arrays(tmp_path):
    with pytest.raises(ParameterError, match=r"has to end in \.npz or \.safetensors"):
        Checkpoint(tmp_path / "run.pkl", {})


def test_a_callback_ends_the_training():
    toy = Regression()
    history = toy.fit(Trainer(epochs=9), callbacks=[lambda epoch, report: epoch == 3])
    assert len(history["loss"]) == 3


@pytest.mark.parametrize(("each_batch", "steps"), [(False, 2), (True, 6)])
def test_schedules_step_by_epoch_or_batch(each_batch, steps):
    toy = Regression()
    optimizer = optim.SGD(toy.module.parameters(), lr=1.0)
    schedule = optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    toy.fit(Trainer(epochs=2, batch_size=16), optimizer, schedule=schedule, each_batch=each_batch)
    assert optimizer.param_groups[0]["lr"] == 0.5 ** steps


def test_a_plateau_is_told_the_validation_value():
    toy = Regression()
    optimizer = optim.SGD(toy.module.parameters(), lr=0.01)
    schedule = optim.lr_scheduler.ReduceLROnPlateau(optimizer, "max", factor=0.5, patience=0)
    values = iter([1.0, 2.0, 1.5, 1.0])
    toy.fit(Trainer(epochs=4), optimizer, lambda: next(values), schedule=schedule)
    assert optimizer.param_groups[0]["lr"] == 0.01 / 4


def test_a_loss_that_is_not_finite_names_the_op():
    class Bad(Regression):
        def loss(self, batch, rng):
            return ops.log(super().loss(batch, rng) * 0 - 1)

    says = r"Trainer: the loss is nan in epoch 1, batch 1 \(log\(.*diverged, lower lr"
    with pytest.raises(RecsysError, match=says), np.errstate(invalid="ignore"):
        Bad().fit(Trainer(epochs=1))


def test_the_numbers_of_a_checkpoints_identity_may_be_numpys(tmp_path):
    Checkpoint(tmp_path / "run.npz", {"lr": np.float32(0.5), "hidden": (np.int64(8),)}).save({"epoch": 1})
    assert Checkpoint(tmp_path / "run.npz", {"lr": 0.5, "hidden": [8]}).load() == {"epoch": 1}
