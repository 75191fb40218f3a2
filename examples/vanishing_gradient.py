"""Where a gradient goes in 100 steps: in an RNN, an LSTM, and an LSTM that starts by remembering.

python examples/vanishing_gradient.py [folder]     # gradient_heatmap.svg and lag_matrix.svg

All three read the same 100 inputs. In the first picture the loss reads the last output alone: in
the RNN, and in an LSTM whose forget gates start near 1/2, hardly anything is left of its gradient a
few dozen steps back. With the forget gates' bias at 4 (a gate of 0.98) the gradient runs along the
cells to the first step. In the second picture there is a loss at every step: each row is one of
them on its way back.
"""

import sys
from pathlib import Path

import tinytensor as tt
from tinytensor import bptt, nn, viz

STEPS, SEQUENCES, INPUTS, HIDDEN = 100, 16, 4, 32


def three_layers() -> nn.ModuleDict:
    return nn.ModuleDict(
        {
            "RNN": nn.RNN(INPUTS, HIDDEN),
            "LSTM": nn.LSTM(INPUTS, HIDDEN),
            "LSTM, forget bias 4": nn.LSTM(INPUTS, HIDDEN, forget_bias=4.0),
        }
    )


def recorded(every_step: bool) -> bptt.Record:
    """A forward and a backward pass of the three; the loss reads every output or the last."""
    tt.manual_seed(0)
    layers = three_layers().double()
    x = tt.randn(STEPS, SEQUENCES, INPUTS, dtype=tt.float64)
    with bptt.record(layers) as rec:
        for layer in layers.values():
            output, _ = layer(x)
            read = output if every_step else output[-1:]
            (read - 1).square().mean(2).sum().backward()
    return rec


def main(folder: Path) -> None:
    viz.gradient_heatmap(recorded(every_step=False), of=("h", "c")).save(
        folder / "gradient_heatmap.svg"
    )
    viz.lag_matrix(recorded(every_step=True)).save(folder / "lag_matrix.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images")
