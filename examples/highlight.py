"""Learn to highlight Python: a bidirectional LSTM gives each character its token class.

It trains on source files of the standard library of the running Python, tests on others that it
has never seen, and writes what it learnt, and how, into `out/`:

    python examples/highlight.py              # 1,200 steps, a few minutes
    python examples/highlight.py --steps 20   # a taste, seconds
    python examples/highlight.py --resume     # goes on where Ctrl-C stopped it
"""

import argparse
import contextlib
import math
import shlex
import signal
import sys
import time
import zlib
from pathlib import Path
from types import FrameType
from typing import Any

import highlight_data as data
import numpy as np
from highlight_data import CLASSES, VOCABULARY, Source
from highlight_report import draw_curve, page, score_table

import tinytensor as tt
import tinytensor.nn.functional as F
from tinytensor import nn, optim, viz
from tinytensor.utils.progress import Progress

WINDOW = 150  # characters that the model sees at once in training
CONTEXT = 75  # characters that a prediction sees on either side, at least
BATCH = 32
LEARNING_RATE = 0.01
LARGEST_NORM = 1.0  # of the gradient
SAMPLE = 96  # held-out windows that the curve is measured on
PAGE_LENGTH = 12_000  # characters; the page shows the held-out file nearest to it


class Highlighter(nn.Module):
    """Class scores of each character, (N, T) -> (N, T, classes), from the text on both sides."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, 32)
        self.lstm = nn.LSTM(32, 64, num_layers=2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * 64, len(CLASSES))

    def forward(self, ids: tt.Tensor) -> tt.Tensor:
        states, _ = self.lstm(self.embed(ids))
        return self.head(states)


def loss_of(model: nn.Module, ids: tt.Tensor, labels: tt.Tensor) -> tt.Tensor:
    """Mean cross entropy of a character, in nats."""
    return F.cross_entropy(model(ids).reshape(-1, len(CLASSES)), labels.reshape(-1))


def tensor(array: np.ndarray) -> tt.Tensor:
    return tt.from_numpy(array.astype(np.int64))


# ---- Training


class Training:
    """All that changes while training. A checkpoint holds it, so going on repeats every bit."""

    def __init__(self, settings: dict[str, int], sources: list[Source]) -> None:
        tt.manual_seed(settings["seed"])
        self.settings = settings
        self.model = Highlighter()
        self.optimizer = optim.Adam(self.model.parameters(), lr=LEARNING_RATE)
        ids, labels = stream(sources)
        self.fingerprint = zlib.crc32(labels, zlib.crc32(ids))
        whole = len(ids) // WINDOW * WINDOW
        self.ids = ids[:whole].reshape(-1, WINDOW)
        self.labels = labels[:whole].reshape(-1, WINDOW)
        self.order = tt.randperm(len(self.ids))
        self.position = 0  # in the order
        self.losses: list[float] = []  # nats per character, one a step
        self.accuracies: list[tuple[int, float]] = []  # (step, right part of the held-out sample)
        self.seconds = 0.0

    @property
    def steps_left(self) -> int:
        return self.settings["steps"] - len(self.losses)

    def batch(self) -> tuple[tt.Tensor, tt.Tensor]:
        """The next windows in a shuffled order; when all have been seen, in another."""
        if self.position >= len(self.order):
            self.order = tt.randperm(len(self.ids))
            self.position = 0
        chosen = self.order[self.position : self.position + BATCH].numpy()
        self.position += BATCH
        return tensor(self.ids[chosen]), tensor(self.labels[chosen])

    def step(self) -> None:
        started = time.perf_counter()
        progress = len(self.losses) / self.settings["steps"]
        # Half a cosine, from LEARNING_RATE down to nothing.
        rate = LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * progress))
        self.optimizer.param_groups[0]["lr"] = rate
        loss = loss_of(self.model, *self.batch())
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), LARGEST_NORM)
        self.optimizer.step()
        self.losses.append(loss.item())
        self.seconds += time.perf_counter() - started

    def status(self) -> str:
        speed = len(self.losses) * BATCH * WINDOW / self.seconds
        right = self.accuracies[-1][1]
        loss = np.mean(self.losses[-20:])
        return f"loss {loss:.3f}, held-out {right:.2%}, {speed:,.0f} characters/s"

    def state_dict(self) -> dict[str, Any]:
        return {
            "settings": self.settings,
            "fingerprint": self.fingerprint,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": tt.get_rng_state(),
            "order": self.order,
            "position": self.position,
            "losses": np.array(self.losses),
            "accuracies": np.array(self.accuracies).reshape(-1, 2),
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state["fingerprint"] != self.fingerprint:
            raise SystemExit(
                "--resume: expected the files of the checkpoint, got others; "
                "use the Python that it was made with, or start anew"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        tt.set_rng_state(state["rng"])
        self.order = state["order"]
        self.position = state["position"]
        self.losses = state["losses"].tolist()
        self.accuracies = [(int(step), float(right)) for step, right in state["accuracies"]]
        self.seconds = state["seconds"]


class Interrupt:
    """Inside `with`, the first Ctrl-C only sets `asked`; the second stops at once."""

    def __enter__(self) -> "Interrupt":
        self.asked = False
        self.found = signal.signal(signal.SIGINT, self.ask)
        return self

    def ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def __exit__(self, *error: object) -> None:
        signal.signal(signal.SIGINT, self.found)


def train(training: Training, held_out: list[Source], checkpoint: Path) -> None:
    """Take the steps that are left, or those until Ctrl-C, evaluating and saving now and then."""
    steps = training.settings["steps"]
    done = len(training.losses)
    every = max(5, steps // 24)
    if not training.accuracies:
        training.accuracies.append((0, sample_accuracy(training.model, held_out)))
    tt.save(training.state_dict(), checkpoint)
    with Interrupt() as interrupt, Progress(None, steps, initial=done, every=every) as bar:
        while training.steps_left and not interrupt.asked:
            training.step()
            done = len(training.losses)
            if done % every == 0 or done == steps:
                training.accuracies.append((done, sample_accuracy(training.model, held_out)))
                tt.save(training.state_dict(), checkpoint)
            bar.update(status=training.status())
        tt.save(training.state_dict(), checkpoint)


# ---- Predicting


def stream(sources: list[Source]) -> tuple[np.ndarray, np.ndarray]:
    """Characters and labels of all the files, one after another."""
    ids = np.concatenate([source.ids for source in sources])
    return ids, np.concatenate([source.labels for source in sources])


def classify(model: nn.Module, windows: np.ndarray) -> np.ndarray:
    """The likeliest class of each character of windows (N, T)."""
    with tt.no_grad():
        return model(tensor(windows)).numpy().argmax(axis=-1)


def predict(model: nn.Module, ids: np.ndarray) -> np.ndarray:
    """The likeliest class of each character of a text (T,), read in overlapping windows.

    A window's first CONTEXT predictions are left to the window before it, its last ones are
    overwritten by the one after it.
    """
    length = min(WINDOW + 2 * CONTEXT, len(ids))
    last = len(ids) - length
    starts = np.minimum(np.arange(0, last + WINDOW, WINDOW), last)
    predicted = np.empty(len(ids), dtype=np.uint8)
    for some in np.array_split(starts, math.ceil(len(starts) / 128)):
        windows = ids[some[:, None] + np.arange(length)]
        for start, classes in zip(some, classify(model, windows), strict=True):
            skip = CONTEXT if start else 0
            predicted[start + skip : start + length] = classes[skip:]
    return predicted


def sample_accuracy(model: nn.Module, held_out: list[Source]) -> float:
    """Part of the characters that is right in a fixed sample of held-out text."""
    ids, labels = stream(held_out)
    length = WINDOW + 2 * CONTEXT
    starts = np.linspace(0, len(ids) - length, SAMPLE).astype(int)
    windows = starts[:, None] + np.arange(length)
    right = classify(model, ids[windows]) == labels[windows]
    return float(right[:, CONTEXT:-CONTEXT].mean())


# ---- Reporting


def check_gradients(model: nn.Module, ids: np.ndarray, labels: np.ndarray) -> str:
    """The trained model's gradients against finite differences in float64; raises when wrong."""
    exact = Highlighter().double()
    exact.load_state_dict(model.state_dict())
    parameters = tuple(exact.parameters())
    window = tensor(ids.reshape(2, -1)), tensor(labels.reshape(2, -1))
    tt.autograd.gradcheck(lambda *_: loss_of(exact, *window), parameters, fast_mode=True)
    return f"equal to finite differences: all {len(parameters)} parameters, in float64"


def check_against_torch(model: nn.Module, ids: np.ndarray) -> str:
    """Outputs and gradients beside those of the same model in torch."""
    try:
        import torch
    except ImportError:
        return "torch is not installed: not compared with it"

    class TorchHighlighter(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = torch.nn.Embedding(VOCABULARY, 32)
            self.lstm = torch.nn.LSTM(32, 64, num_layers=2, batch_first=True, bidirectional=True)
            self.head = torch.nn.Linear(2 * 64, len(CLASSES))

        forward = Highlighter.forward

    twin = TorchHighlighter()
    weights = {name: torch.from_numpy(w.numpy()) for name, w in model.state_dict().items()}
    twin.load_state_dict(weights)
    comparison = tt.autograd.check_against(twin, model, tensor(ids.reshape(2, -1)))
    return str(comparison).splitlines()[-1]


def draw_graph(model: nn.Module, ids: np.ndarray, labels: np.ndarray, path: Path) -> None:
    """The backward graph of one short window, each gate and step of the LSTM shown."""
    with tt.unrolled():
        loss = loss_of(model, tensor(ids[None]), tensor(labels[None]))
    viz.graph(loss).render(outfile=path)


def report(training: Training, sources: list[Source], held_out: list[Source], out: Path) -> None:
    """Print the table and the checks; write the weights, the pictures and the page."""
    model = training.model
    tt.save(model.state_dict(), out / "weights.safetensors")
    ids, labels = stream(held_out)
    predicted = predict(model, ids)
    right = {"model": predicted == labels}
    right |= {way: answer[ids] == labels for way, answer in data.baselines(sources).items()}
    print("\n" + score_table(labels, right), flush=True)

    baselines = {way: hits.mean() for way, hits in right.items() if way != "model"}
    draw_curve(training.losses, training.accuracies, baselines, out)
    draw_graph(model, ids[:3], labels[:3], out / "graph.svg")
    ends = np.cumsum([len(source.ids) for source in held_out])
    shown = min(range(len(held_out)), key=lambda n: abs(len(held_out[n].ids) - PAGE_LENGTH))
    text = page(held_out[shown], np.split(predicted, ends)[shown])
    tt.io.write_whole(out / "highlighted.html", text.encode())

    print("\n" + check_gradients(model, ids[:10], labels[:10]), flush=True)
    print(check_against_torch(model, ids[:100]))
    print(f"\n{len(training.losses):,} steps in {training.seconds:.1f} s; {out}/ holds")
    print("  " + ", ".join(sorted(path.name for path in out.iterdir())))


# ---- The command line


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Learn to highlight Python.")
    parser.add_argument("--steps", type=int, help="training steps (1200)")
    parser.add_argument("--seed", type=int, help="of the weights and of the order of windows (0)")
    parser.add_argument("--files", type=int, help="how many files to read (as many as steps)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for results (out)")
    parser.add_argument("--resume", action="store_true", help="go on from the folder's checkpoint")
    options = parser.parse_args(argv)
    if options.resume and (options.steps, options.seed, options.files) != (None, None, None):
        parser.error("--resume: expected no --steps, --seed or --files; the checkpoint has them")
    for name, least in (("steps", 1), ("files", 2)):
        given = getattr(options, name)
        if given is not None and given < least:
            parser.error(f"--{name}: expected at least {least}, got {given}")
    return options


def run(options: argparse.Namespace, checkpoint: Path) -> bool:
    """Train and report; False when Ctrl-C stopped it before the end."""
    if options.resume:
        saved = tt.load(checkpoint)
        settings = saved["settings"]
    else:
        steps = options.steps or 1200
        settings = {
            "steps": steps,
            "seed": options.seed or 0,
            "files": options.files or max(40, steps),
        }
    sources, held_out = data.standard_library(settings["files"])
    print(f"{len(sources)} files to train on, {len(held_out)} held out", flush=True)
    training = Training(settings, sources)
    if options.resume:
        training.load_state_dict(saved)
    train(training, held_out, checkpoint)
    if training.steps_left:
        return False
    report(training, sources, held_out, options.out)
    return True


def last_change(path: Path) -> int:
    """When a file was last written, in nanoseconds; 0 if there is none."""
    return path.stat().st_mtime_ns if path.exists() else 0


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    checkpoint = options.out / "checkpoint.safetensors"
    if options.resume and not checkpoint.exists():
        raise SystemExit(f"--resume: expected {checkpoint}, got no such file; start without it")
    before = last_change(checkpoint)
    with contextlib.suppress(KeyboardInterrupt):
        if run(options, checkpoint):
            return 0
    if options.resume or last_change(checkpoint) != before:
        again = [sys.executable, __file__, "--resume", "--out", str(options.out)]
        print("\nstopped; to go on:", shlex.join(again))
    else:
        print("\nstopped before anything was saved")
    return 130


if __name__ == "__main__":
    sys.exit(main())
