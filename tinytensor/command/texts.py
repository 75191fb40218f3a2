"""What `--help` says beyond the options, in lines for a terminal of 80 columns."""

DESCRIPTION = """\
See what backpropagation through time does in a small recurrent network,
without writing code.

commands:
  draw    the graph of the backward pass as a picture: SVG, PNG, PDF, DOT
  page    the backward pass as a web page to step through, node by node
  report  gradients, gates and lags through time, as a web page of pictures
  check   the gradients against finite differences, and against torch
"""

EXAMPLES = """\
examples:
  tinytensor draw --lstm 3,4
  tinytensor page --lstm 3,4 --layers 2 --bidirectional --steps 4
  tinytensor report --rnn 2,16 --steps 100 --last
  tinytensor check --gru 3,4 --layers 2
  tinytensor draw --file model.py --out model.svg

`tinytensor COMMAND --help` lists the options of a command. Without
installing it: python -m tinytensor COMMAND
"""

DRAW = "Draw the graph of the backward pass of a small model."

PAGE = """\
Write the backward pass of a small model as one HTML file, which opens offline
and walks the pass node by node.
"""

REPORT = """\
Write what backpropagation through time did in a small model as one HTML file:
heat maps of the gradient, states and gates, what each step adds to a weight's
gradient, lag matrix, singular values, truncation, saturation. The pictures
need matplotlib: pip install 'tinytensor-bptt[plot]'
"""

CHECK = """\
Hold the gradients of a small model against finite differences, in float64; a
model given in a line also against torch, where that is installed. The exit
code is 0 if all are right, 1 if one is wrong, 2 if they can't be checked.
"""

MODEL = """\
In a line: a recurrent layer on random numbers, a Linear readout of its
output, and the mean squared distance of that from random targets. Or in a
file.
"""

FILE = """\
the file:
  --file model.py RUNS the file as Python, with your rights: give it only what
  you trust. The file defines `model`, a Module, and `loss()`, a function
  without arguments that runs the model and returns a Tensor of one number:

    import tinytensor as tt
    from tinytensor import nn

    model = nn.LSTM(3, 4)
    x = tt.rand(5, 1, 3)

    def loss():
        output, state = model(x)
        return output.square().mean()

  It may name other tensors for the picture: inputs = {"x": x}. What stands
  below `if __name__ == "__main__":` is not run.
"""

DRAW_EXAMPLES = """\
examples:
  tinytensor draw --lstm 3,4                  every gate of four steps
  tinytensor draw --lstm 3,4 --no-unrolled    the layer as it runs: one node
  tinytensor draw --gru 3,4 --steps 1000 --detail cell
  tinytensor draw --rnn 2,3 --steps 2 --show values,gradients --color norm
  tinytensor draw --lstm 3,4 --steps 2 --view overlaid --parameters cluster
  tinytensor draw --file model.py --out model.png
"""

PAGE_EXAMPLES = """\
examples:
  tinytensor page --lstm 3,4 --open
  tinytensor page --lstm 3,4 --layers 2 --bidirectional --steps 4
  tinytensor page --file model.py --out model.html
"""

REPORT_EXAMPLES = """\
examples:
  tinytensor report --rnn 2,16 --steps 100 --last     its gradient vanishes
  tinytensor report --lstm 2,16 --steps 100 --last    and in an LSTM?
  tinytensor report --file model.py --out model.html
"""

CHECK_EXAMPLES = """\
examples:
  tinytensor check --lstm 3,4 --layers 2 --bidirectional
  tinytensor check --gru 3,4 --unrolled       its reference, not the kernel
  tinytensor check --file model.py
"""
