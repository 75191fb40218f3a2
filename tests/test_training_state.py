"""A whole training in one file: what goes on from it equals what never stopped, bit for bit."""

import hashlib
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tinytensor as tt
from tinytensor.optim import lr_scheduler
from tinytensor.utils.data import DataLoader, TensorDataset

ROOT = Path(__file__).parents[1]
EPOCHS = 4
STEPS = 3  # in each epoch


class Tagger(tt.nn.Module):
    """Two LSTM layers with dropout between and after; their state goes on from batch to batch."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = tt.nn.Embedding(7, 5)
        self.lstm = tt.nn.LSTM(5, 6, num_layers=2, dropout=0.3, batch_first=True)
        self.dropout = tt.nn.Dropout(0.2)
        self.readout = tt.nn.Linear(6, 7)

    def forward(self, tokens: tt.Tensor, state: Any) -> tuple[tt.Tensor, Any]:
        hidden, state = self.lstm(self.embedding(tokens), state)
        return self.readout(self.dropout(hidden)), state


OPTIMIZERS: dict[str, Callable[..., Any]] = {
    "SGD": lambda p: tt.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "Adam": lambda p: tt.optim.Adam(p, lr=0.02, amsgrad=True),
    "AdamW": lambda p: tt.optim.AdamW(p, lr=0.02),
    "NAdam": lambda p: tt.optim.NAdam(p, lr=0.02),
    "RAdam": lambda p: tt.optim.RAdam(p, lr=0.02),
    "Adagrad": lambda p: tt.optim.Adagrad(p, lr=0.02),
    "Adadelta": lambda p: tt.optim.Adadelta(p),
    "RMSprop": lambda p: tt.optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
    "Rprop": lambda p: tt.optim.Rprop(p),
    "groups": lambda p: tt.optim.Adam([{"params": p[:3]}, {"params": p[3:], "lr": 0.05}]),
}

SCHEDULERS: dict[str, Callable[..., Any]] = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, 5, 0.5),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [2, 5, 5, 8]),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 5, 2),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=EPOCHS * STEPS + 1),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.1, 1, 4), lr_scheduler.ExponentialLR(o, 0.9)], [4]
    ),
}


class Training:
    """A model and all else that its next step depends on."""

    def __init__(self, optimizer: str = "Adam", scheduler: str = "OneCycleLR") -> None:
        tt.manual_seed(3)
        self.model = Tagger()
        self.optimizer = OPTIMIZERS[optimizer](list(self.model.parameters()))
        self.scheduler = SCHEDULERS[scheduler](self.optimizer)
        self.plateau = lr_scheduler.ReduceLROnPlateau(self.optimizer, patience=0)
        self.shuffling = tt.Generator().manual_seed(4)
        tokens = tt.randint(0, 7, (3 * STEPS, 8))
        self.loader = DataLoader(
            TensorDataset(tokens, tokens.roll(1, 1)),
            batch_size=3,
            shuffle=True,
            generator=self.shuffling,
        )
        self.state: Any = None
        self.losses: list[float] = []

    def epoch(self) -> None:
        total = 0.0
        for tokens, targets in self.loader:
            scores, state = self.model(tokens, self.state)
            self.state = tuple(part.detach() for part in state)
            loss = tt.nn.functional.cross_entropy(scores.flatten(0, 1), targets.flatten())
            self.optimizer.zero_grad()
            loss.backward()
            tt.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.scheduler.step()
            total += loss.item()
        self.losses.append(total)
        self.plateau.step(total)

    def state_dict(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedulers": (self.scheduler.state_dict(), self.plateau.state_dict()),
            "random": {"default": tt.get_rng_state(), "shuffling": self.shuffling.state_dict()},
            "state": self.state,
            "losses": self.losses,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["schedulers"][0])
        self.plateau.load_state_dict(state["schedulers"][1])
        tt.set_rng_state(state["random"]["default"])
        self.shuffling.load_state_dict(state["random"]["shuffling"])
        self.state = state["state"]
        self.losses = state["losses"]


def final_bytes(path: Path, stops: list[int], **kinds: str) -> bytes:
    """The file after all epochs, of a training that is stopped and taken up after some of them."""
    training = Training(**kinds)
    for epoch in range(EPOCHS):
        if epoch in stops:
            tt.save(training.state_dict(), path)
            tt.rand(100)
            training = Training(**kinds)
            training.epoch()  # whatever a new training remembers must not matter
            training.load_state_dict(tt.load(path))
        training.epoch()
    tt.save(training.state_dict(), path)
    return path.read_bytes()


@pytest.mark.parametrize("stops", [[1], [3], [1, 2, 3]], ids=str)
def test_a_training_taken_up_from_its_file_ends_in_the_same_bytes(tmp_path, stops):
    path = tmp_path / "training"
    assert final_bytes(path, stops) == final_bytes(path, [])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_goes_on_from_a_file(tmp_path, optimizer):
    path = tmp_path / "training"
    kinds = {"optimizer": optimizer, "scheduler": "StepLR"}
    assert final_bytes(path, [2], **kinds) == final_bytes(path, [], **kinds)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_scheduler_goes_on_from_a_file(tmp_path, scheduler):
    path = tmp_path / "training"
    kinds = {"optimizer": "SGD", "scheduler": scheduler}
    assert final_bytes(path, [1, 3], **kinds) == final_bytes(path, [], **kinds)


@pytest.mark.parametrize("part", ["model", "optimizer", "schedulers", "random", "state"])
def test_every_part_of_the_state_matters(tmp_path, part):
    """Else the tests above would hold nothing."""
    path = tmp_path / "training"
    training = Training()
    training.epoch()
    new = Training().state_dict()
    state = training.state_dict()
    tt.save({**state, part: new[part]}, path)
    resumed = Training()
    resumed.load_state_dict(tt.load(path))
    resumed.epoch()
    resumed.epoch()
    uninterrupted = Training()
    for _ in range(3):
        uninterrupted.epoch()
    assert resumed.losses != uninterrupted.losses


def train_to_the_end(path: Path) -> None:
    """A script that goes on from its file, if there is one, and saves after each epoch."""
    training = Training()
    if path.exists():
        training.load_state_dict(tt.load(path))
    while len(training.losses) < EPOCHS:
        print(len(training.losses), flush=True)
        training.epoch()
        tt.save(training.state_dict(), path)


SCRIPT = (
    "import pathlib, sys; from tests.test_training_state import train_to_the_end as train; "
    "train(pathlib.Path(sys.argv[1]))"
)


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.long)])
def test_a_process_killed_again_and_again_ends_in_the_same_bytes(tmp_path, kills):
    path = tmp_path / "training"
    command = [sys.executable, "-c", SCRIPT, str(path)]
    for _ in range(kills):
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            try:
                process.stdout.readline()
                time.sleep(random.uniform(0, 0.03))
            finally:
                process.kill()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    killed = path.read_bytes()
    train_to_the_end(tmp_path / "uninterrupted")
    uninterrupted = (tmp_path / "uninterrupted").read_bytes()
    assert hashlib.sha256(killed).hexdigest() == hashlib.sha256(uninterrupted).hexdigest()
