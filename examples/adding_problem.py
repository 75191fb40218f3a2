"""The adding problem, learnt to the criterion of the paper that posed it.

Sequences of about a hundred numbers, two of them marked: at the end, say their sum. The markers lie
up to a hundred steps back. `tinytensor.tasks.Adding` is the task of Hochreiter & Schmidhuber
(1997); it counts as solved when the 2000 most recent sequences all came out right, to within 0.04,
and with a mean error below 0.01.

    python examples/adding_problem.py                # ten seconds or so
    python examples/adding_problem.py --length 200   # twice the lag
"""

import argparse
import time

import tinytensor as tt
from tinytensor import nn, optim, tasks
from tinytensor.utils.progress import Progress

BATCH = 50
HIDDEN = 16
LEARNING_RATE = 0.01
LARGEST_NORM = 1.0  # of the gradient
TEST = 2560  # sequences, as in the paper


class Adder(nn.Module):
    """An LSTM reads the sequence, (T, N, 2); a linear layer reads its last state, (N, 1)."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2, HIDDEN)
        self.head = nn.Linear(HIDDEN, 1)
        self.remember_for(length)

    @tt.no_grad()
    def remember_for(self, steps: int) -> None:
        """Let the cells start with memories of 1 to `steps` steps.

        C. Tallec & Y. Ollivier (2018), "Can recurrent neural networks warp time?", ICLR: a cell
        with the forget gate's bias ln(t) and the input gate's -ln(t) changes on a scale of t steps.
        """
        biases = (tt.rand(HIDDEN) * (steps - 2) + 1).log()
        self.lstm.bias_hh_l0.zero_()
        self.lstm.bias_ih_l0.zero_()
        self.lstm.bias_ih_l0[:HIDDEN] = -biases
        self.lstm.bias_ih_l0[HIDDEN : 2 * HIDDEN] = biases

    def forward(self, steps: tt.Tensor, lengths: tt.Tensor) -> tt.Tensor:
        _, (last, _) = self.lstm(steps, lengths=lengths)
        return self.head(last[0])


def main(argv: list[str] | None = None) -> bool:
    """Train until it is solved, then test; gives whether it was solved."""
    parser = argparse.ArgumentParser(description="Learn the adding problem.")
    parser.add_argument("--length", type=int, default=100, help="of the shortest sequence (100)")
    parser.add_argument("--limit", type=int, default=250_000, help="of sequences (250000)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and sequences (0)")
    parser.add_argument("--quiet", action="store_true", help="print the result only")
    options = parser.parse_args(argv)

    started = time.perf_counter()
    tt.manual_seed(options.seed)
    task = tasks.Adding(options.length)
    model = Adder(options.length)
    optimizer = optim.Adam(model.parameters(), lr=LEARNING_RATE)
    errors: list[float] = []
    with Progress(total=options.limit, unit="sequence", quiet=options.quiet) as bar:
        while len(errors) < options.limit and not task.solved(errors):
            batch = task.batch(BATCH)
            output = model(batch.input, batch.lengths)
            loss = nn.functional.mse_loss(output, batch.target)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), LARGEST_NORM)
            optimizer.step()
            errors += task.errors(output.detach(), batch).tolist()
            recent = errors[-2000:]
            wrong = sum(error >= task.tolerance for error in recent)
            mean = sum(recent) / len(recent)
            bar.update(BATCH, f"mean error {mean:.4f}, {wrong} of {len(recent)} wrong")

    solved = task.solved(errors)
    batch = task.batch(TEST)
    with tt.no_grad():
        right = task.correct(model(batch.input, batch.lengths), batch)
    print(
        f"{'solved' if solved else 'not solved'} after {len(errors):,} sequences, "
        f"{time.perf_counter() - started:.0f} s; of {TEST} others "
        f"{TEST - int(right.sum())} are wrong"
    )
    return solved


if __name__ == "__main__":
    main()
