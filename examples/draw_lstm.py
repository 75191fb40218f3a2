"""Draw the backward graph of a bidirectional LSTM over two steps: the picture in the README.

python examples/draw_lstm.py [folder]     # writes backward.svg
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
    tt.manual_seed(0)
    model = Model()
    with tt.unrolled():  # every gate of every step, where the layer is one fused node otherwise
        loss = model(tt.rand(2, 3, 1)).square().mean()
    viz.graph({"loss": loss}, direction="RL").render(outfile=folder / "backward.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images")
