"""Draw the backward graph of a bidirectional LSTM: over two steps, and over a thousand, folded.

python examples/draw_lstm.py [folder]     # writes backward.svg and folded.svg, shown in the README
"""

import sys
from pathlib import Path

import tinytensor as tt
from tinytensor import nn, viz


class Model(nn.Module):
    """A bidirectional LSTM and a linear readout of its outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(1, 4, bidirectional=True)
        self.readout = nn.Linear(8, 1)

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        output, _ = self.lstm(x)
        return self.readout(output)


def main(folder: Path) -> None:
    draw_all_of_two_steps(folder / "backward.svg")
    draw_a_thousand_steps(folder / "folded.svg")


def draw_all_of_two_steps(path: Path) -> None:
    tt.manual_seed(0)
    model = Model()
    with tt.unrolled():  # every gate of every step, where the layer is one fused node otherwise
        loss = model(tt.rand(2, 3, 1)).square().mean()
    viz.graph({"loss": loss}, direction="RL").render(outfile=path)


def draw_a_thousand_steps(path: Path) -> None:
    lstm = nn.LSTM(3, 4, bidirectional=True)
    with tt.unrolled():
        output, _ = lstm(tt.rand(1000, 1, 3))
    viz.graph(output.sum(), detail="cell").render(outfile=path)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images")
