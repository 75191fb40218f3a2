"""A character language model reads the standard library's source, and writes some as it learns.

The text is cut into BATCH parts that are read side by side, WINDOW characters a step; the state
goes on to the next window, the gradient does not.

    python examples/char_language_model.py              # 2,000 steps, a few minutes
    python examples/char_language_model.py --steps 100  # a taste, seconds
"""

import argparse
import math
import sysconfig
from pathlib import Path

import tinytensor as tt
from tinytensor import nn, optim
from tinytensor.utils.progress import Progress
from tinytensor.utils.text import CharVocabulary

BATCH = 32
WINDOW = 64  # characters
SHARPNESS = 1.3  # samples are drawn from p**SHARPNESS, which has less noise than p


def standard_library(characters: int) -> str:
    """That many characters of the standard library's source, its files in the order of names."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    return "".join(path.read_text("utf-8", errors="replace") for path in files)[:characters]


class Model(nn.Module):
    """Scores of the next character, (T, N) -> (T, N, kinds), and the state to go on from."""

    def __init__(self, kinds: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(kinds, 32)
        self.lstm = nn.LSTM(32, 128)
        self.head = nn.Linear(128, kinds)

    def forward(self, ids, state=None):
        output, state = self.lstm(self.embed(ids), state)
        return self.head(output), state


def bits(scores: tt.Tensor, target: tt.Tensor) -> tt.Tensor:
    """Mean cross entropy of a character."""
    return nn.functional.cross_entropy(scores.flatten(0, 1), target.flatten()) / math.log(2)


@tt.no_grad()
def sample(model: Model, vocabulary: CharVocabulary, start: str, length: int) -> str:
    """`start` and what the model writes after it."""
    written = vocabulary.encode(start)
    scores, state = model(written[:, None])
    for _ in range(length):
        chosen = tt.multinomial((scores[-1, 0] * SHARPNESS).softmax(-1), 1)
        written = tt.cat([written, chosen])
        scores, state = model(chosen[:, None], state)
    return vocabulary.decode(written)


def main(argv: list[str] | None = None) -> float:
    """Train, and give the bits per character on the last twentieth of the text, held out."""
    parser = argparse.ArgumentParser(description="Learn to write Python, a character at a time.")
    parser.add_argument("--steps", type=int, default=2000, help="training steps (2000)")
    parser.add_argument("--characters", type=int, default=1_000_000, help="to read (1000000)")
    parser.add_argument("--quiet", action="store_true", help="print the result only")
    options = parser.parse_args(argv)
    tt.manual_seed(0)
    text = standard_library(options.characters)
    vocabulary = CharVocabulary.build(text, min_count=len(text) // 50_000, unknown=True)
    training, held_out = vocabulary.encode(text).split([len(text) * 19 // 20, -(-len(text) // 20)])
    columns = training[: len(training) // BATCH * BATCH].reshape(BATCH, -1).t()
    model = Model(len(vocabulary))
    optimizer = optim.Adam(model.parameters(), lr=4e-3)
    state = None
    starts = range(0, len(columns) - WINDOW, WINDOW)
    with Progress(total=options.steps, quiet=options.quiet) as bar:
        for step in range(options.steps):
            start = starts[step % len(starts)]
            window = columns[start : start + WINDOW + 1]
            scores, (h, c) = model(window[:-1], state if start else None)
            state = h.detach(), c.detach()
            loss = bits(scores, window[1:])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            bar.update(status=f"{loss.item():.2f} bits per character")
            if step % 250 == 249 or step == options.steps - 1:
                bar.write(f"\n{sample(model, vocabulary, 'def ', 200)}\n")
    with tt.no_grad():
        found = bits(model(held_out[:-1, None])[0], held_out[1:, None]).item()
    print(f"{found:.3f} bits per character, on {len(held_out)} that it has not seen")
    return found


if __name__ == "__main__":
    main()
