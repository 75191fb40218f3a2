"""`python -m tinytensor` and the script `tinytensor`: draw, page, report and check."""

import configparser
import importlib.metadata
import json
import re
import subprocess
import sys
import webbrowser
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

import tinytensor as tt
from tinytensor import nn, viz
from tinytensor.__main__ import main
from tinytensor.command import texts

ROOT = Path(__file__).parents[1]

# What a file of a user looks like; the help shows it too.
EXAMPLE = dedent(re.search(r"\n\n(    import.*?\n)\n  \S", texts.FILE, re.S).group(1))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder to work in; what a file leaves in the process goes with it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("tinytensor_model", None)


@pytest.fixture
def run(capsys):
    """Runs the command; gives its exit code, its lines and its complaints."""

    def command(*arguments: str) -> tuple[int, str, str]:
        try:
            status = main(arguments)
        except SystemExit as exit:  # as argparse leaves
            status = exit.code
        said = capsys.readouterr()
        return status, said.out, said.err

    return command


def write(text: str, name: str = "model.py") -> str:
    Path(name).write_text(dedent(text), "utf-8")
    return name


class Model(nn.Module):
    """What `--gru 2,3 --layers 2 --bidirectional` stands for, by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(2, 3, 2, bidirectional=True)
        self.readout = nn.Linear(6, 1)

    def forward(self, x):
        return self.readout(self.gru(x)[0])


def by_hand(**options: object) -> tuple[str, dict[str, np.ndarray]]:
    """The DOT text of the model that LINE describes, and its gradients."""
    tt.manual_seed(5)
    model = Model()
    x = tt.randn(6, 2, 2)
    target = tt.randn(6, 2, 1)
    with tt.unrolled(), viz.keep_values():
        loss = nn.functional.mse_loss(model(x), target)
    loss.backward(retain_graph=True)
    drawing = viz.graph({"loss": loss}, inputs={"x": x}, title="mine", **options)
    return drawing.source, {name: p.grad.numpy() for name, p in model.named_parameters()}


LINE = ["--gru", "2,3", "--layers", "2", "--bidirectional", "--batch", "2", "--seed", "5"]
LINE += ["--steps", "6", "--title", "mine"]


# -- draw


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ([], {}),
        (["--collapse", "off"], {"collapse": "off"}),
        (["--collapse", "2"], {"collapse": 2}),
        (["--parameters", "cluster"], {"parameters": "cluster"}),
        (["--detail", "layer"], {"detail": "layer"}),
        (["--direction", "LR"], {"direction": "LR"}),
        (["--view", "forward"], {"view": "forward"}),
        (["--show", "values,formulas"], {"show": ("values", "formulas")}),
        (["--show", "gradients"], {"show": ("gradients",)}),
        (["--show", "norms", "--color", "norm"], {"show": ("norms",), "color": "norm"}),
    ],
)
def test_draw_is_the_graph_of_the_model_that_the_line_describes(given, options, run):
    status, _, err = run("draw", *LINE, "--out", "graph.dot", *given)
    assert (status, err) == (0, "")
    assert Path("graph.dot").read_text("utf-8") == by_hand(**options)[0]


def test_draw_says_what_it_wrote_and_what_to_do_with_it(run):
    status, out, err = run("draw")
    first, second, third = out.splitlines()
    assert (status, err) == (0, "")
    assert re.fullmatch(r"LSTM\(3, 4\), 4 steps: loss \d\.\d+", first)
    assert re.fullmatch(r"\d+ nodes, \d+ edges", second)
    assert re.fullmatch(r"wrote backward\.svg \(\d+ kB\): open it in a browser", third)
    assert ElementTree.parse("backward.svg").getroot().tag.endswith("svg")


def test_draw_says_what_was_folded(run):
    _, out, _ = run("draw", "--rnn", "1,2", "--steps", "12", "--out", "a.dot")
    nodes, folded = map(int, re.search(r"(\d+) nodes.* of (\d+) nodes in all", out).groups())
    _, out, _ = run("draw", "--rnn", "1,2", "--steps", "12", "--out", "b.dot", "--collapse", "off")
    assert nodes < folded == int(re.search(r"(\d+) nodes", out).group(1))


def test_draw_without_unrolled_shows_the_layer_as_one_node(run):
    run("draw", "--lstm", "2,3", "--no-unrolled", "--out", "graph.dot")
    text = Path("graph.dot").read_text("utf-8")
    assert 'label="sigmoid' not in text
    run("draw", "--lstm", "2,3", "--out", "graph.dot")
    assert Path("graph.dot").read_text("utf-8").count('label="sigmoid') == 4 * 3


def test_draw_writes_a_bitmap(run):
    status, _, _ = run("draw", "--rnn", "1,2", "--steps", "2", "--out", "new/graph.png")
    assert status == 0
    assert Path("new/graph.png").read_bytes().startswith(b"\x89PNG")


def test_the_loss_of_a_line_is_the_one_that_torch_computes_from_the_same_seed(run):
    torch = pytest.importorskip("torch")
    torch.manual_seed(7)
    layer = torch.nn.LSTM(2, 3)
    readout = torch.nn.Linear(3, 2)
    x = torch.randn(5, 2, 2)
    target = torch.randn(2, 2)
    loss = torch.nn.functional.mse_loss(readout(layer(x)[0][-1]), target).item()
    options = ["--steps", "5", "--batch", "2", "--outputs", "2", "--last", "--seed", "7"]
    _, out, _ = run("draw", "--lstm", "2,3", *options, "--out", "graph.dot")
    name, _, printed = out.splitlines()[0].rpartition(": loss ")
    assert name == "LSTM(2, 3), 5 steps, 2 sequences, loss at the last step"
    assert float(printed) == pytest.approx(loss, rel=1e-4)


# -- page and report


def test_page_holds_the_gradients_of_the_model_that_the_line_describes(run):
    status, out, err = run("page", *LINE)
    text = Path("backward.html").read_text("utf-8")
    data = json.loads(re.search(r'<script[^>]*id="data"[^>]*>(.*?)</script>', text, re.S).group(1))
    _, gradients = by_hand()
    assert (status, err) == (0, "")
    assert "<title>mine</title>" in text
    assert "open it in a browser" in out
    assert len(data["leaves"]) == len(gradients) == 18
    for number, tensor in data["leaves"]:
        shown = data["tensors"][tensor]
        expected = gradients[data["nodes"][number][0]]
        np.testing.assert_allclose(np.reshape(shown["values"], shown["shape"]), expected, 1e-5)


def test_report_is_about_the_layer_of_the_line(run):
    pytest.importorskip("matplotlib")
    status, out, err = run("report", "--gru", "1,2", "--bidirectional", "--steps", "5")
    text = Path("bptt.html").read_text("utf-8")
    assert (status, err) == (0, "")
    assert "<h1>GRU(1, 2), both directions, 5 steps</h1>" in text
    assert "gru, layer 0, reverse" in text
    assert "open it in a browser" in out


def test_report_of_a_file(run):
    pytest.importorskip("matplotlib")
    status, _, _ = run("report", "--file", write(EXAMPLE), "--out", "new/a.html", "--title", "<i>")
    assert status == 0
    assert "<h1>&lt;i&gt;</h1>" in Path("new/a.html").read_text("utf-8")


def test_report_without_matplotlib_names_the_extra(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    status, _, err = run("report", "--rnn", "1,2", "--steps", "2")
    assert status == 2
    assert "tinytensor-bptt[plot]" in err
    assert not Path("bptt.html").exists()


def test_report_of_a_model_without_time_is_refused(run):
    file = write("""
        from tinytensor import nn, tensor
        model = nn.Linear(1, 1)
        def loss():
            return model(tensor([1.0])).sum()
    """)
    status, _, err = run("report", "--file", file)
    assert status == 2
    assert "report: expected loss() to call a recurrent layer" in err


# -- check


def test_check_holds_every_parameter_against_differences_and_torch(run):
    pytest.importorskip("torch")
    status, out, err = run("check", "--gru", "2,3", "--bidirectional", "--steps", "3")
    assert (status, err) == (0, "")
    for name, _ in nn.GRU(2, 3, bidirectional=True).named_parameters():
        assert re.search(rf"^gru\.{name} .* equal, element by element$", out, re.M)
        assert f"gradient of gru.{name} " in out
    assert "equal: the gradients of 10 of 10 parameters" in out
    assert "equal to torch: 13 of 13 tensors" in out  # with output, loss and the input's gradient
    assert tt.get_default_dtype() == tt.float32


def test_check_without_torch_says_so(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    status, out, _ = run("check", "--rnn", "1,2", "--steps", "2", "--unrolled")
    assert status == 0
    assert "torch: not compared, as it is not installed" in out


def test_check_finds_a_wrong_gradient(run):
    file = write("""
        import tinytensor as tt
        from tinytensor import nn

        class Wrong(tt.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2
            @staticmethod
            def backward(ctx, g):
                return g * 3

        model = nn.Linear(2, 2)
        def loss():
            return Wrong.apply(model(tt.ones(2))).sum() + model.bias.sum()
    """)
    status, out, _ = run("check", "--file", file)
    assert status == 1
    assert re.search(r"^weight .* WRONG", out, re.M)
    assert "WRONG: the gradients of 2 of 2 parameters" in out
    assert "gradcheck: " in out


def test_check_finds_a_difference_to_torch(run, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.nn.functional, "mse_loss", torch.nn.functional.l1_loss)
    status, out, _ = run("check", "--rnn", "1,2", "--steps", "2")
    assert status == 1
    assert "NOT equal to torch" in out


def test_check_takes_a_large_parameter_along_a_direction(run):
    file = write("""
        import tinytensor as tt
        from tinytensor import nn
        model = nn.Linear(60, 20)
        def loss():
            return model(tt.ones(60)).square().sum()
    """)
    status, out, _ = run("check", "--file", file)
    assert status == 0
    assert re.search(r"^weight .*equal, along a random direction$", out, re.M)
    assert re.search(r"^bias .*equal, element by element$", out, re.M)


def test_check_refuses_parameters_that_are_too_coarse(run):
    status, _, err = run("check", "--file", write(EXAMPLE.replace("(3, 4)", "(3, 4).float()")))
    assert status == 2
    assert "expected parameters of float64" in err
    assert "weight_ih_l0 of tinytensor.float32" in err


# -- a file


@pytest.mark.parametrize("command", ["draw", "page", "check"])
def test_the_file_of_the_help_works(command, run):
    status, out, err = run(command, "--file", write(EXAMPLE))
    assert (status, err) == (0, "")
    assert out.startswith("LSTM of model.py: loss ")


def test_a_file_imports_its_neighbours_names_inputs_and_is_not_main(run):
    write("SIZE = 2", "neighbour.py")
    file = write("""
        import tinytensor as tt
        from neighbour import SIZE
        model = tt.nn.Linear(SIZE, 1)
        signal = tt.ones(SIZE)
        inputs = {"the signal": signal}
        def loss():
            return model(signal).sum()
        if __name__ == "__main__":
            raise RuntimeError
    """)
    status, _, err = run("draw", "--file", file, "--out", "graph.dot")
    sys.modules.pop("neighbour", None)
    assert (status, err) == (0, "")
    assert "the signal" in Path("graph.dot").read_text("utf-8")


def test_the_seed_reaches_a_file(run):
    file = write(EXAMPLE)
    losses = [run("draw", "--file", file, "--seed", seed)[1].splitlines()[0] for seed in "112"]
    assert losses[0] == losses[1] != losses[2]


MODEL = "import tinytensor as tt\nmodel = tt.nn.Linear(2, 1)\n"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "no 'model' in it"),
        (MODEL, "no 'loss' in it"),
        ("model = 3\nloss = 3", "`model` in model.py to be a Module, got int"),
        (MODEL + "loss = 3", "`loss` in model.py to be a function without arguments, got int"),
        (MODEL + "loss = print\ninputs = 3", "`inputs` in model.py to be a dict"),
        (MODEL + "def loss(): pass", "got NoneType; return it"),
        (MODEL + "def loss(): return 1.0", "got float; return a Tensor"),
        (MODEL + "def loss(): return model.weight", "got one of shape (1, 2); add .mean()"),
        (MODEL + "def loss(): return tt.ones(())", "got one that requires no grad"),
        ("import sys\nsys.exit(3)", "got an exit (3)"),
    ],
)
def test_a_file_that_lacks_something_is_told_what(source, said, run):
    status, out, err = run("draw", "--file", write(source))
    assert (status, out) == (2, "")
    assert re.match(r"tinytensor draw: --file: expected .*, got .*\n$", err)
    assert said in err


@pytest.mark.parametrize(
    ("source", "line", "kind"),
    [
        ("x = 1\ny = x / 0\n", 'File "model.py", line 2, in <module>', "ZeroDivisionError"),
        ("def loss(:\n", 'File "model.py", line 1', "SyntaxError"),
        (
            MODEL + "def loss():\n    return {}['a']\n",
            'File "model.py", line 4, in loss',
            "KeyError",
        ),
    ],
)
def test_a_file_that_fails_shows_its_own_lines_only(source, line, kind, run):
    status, _, err = run("draw", "--file", write(source))
    assert status == 2
    assert line in err
    assert f"to run, got the {kind} above" in err
    assert err.count('  File "') == 1


def test_a_file_that_is_not_there(run):
    status, _, err = run("page", "--file", "absent.py")
    assert status == 2
    assert "expected a file of Python, got 'absent.py': No such file" in err


def test_a_file_leaves_nothing_to_say_in_the_line(run):
    status, _, err = run("draw", "--file", write(EXAMPLE), "--steps", "3", "--last")
    assert status == 2
    assert "expected --file alone to say what the model is, got --steps, --last as well" in err


# -- errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["draw", "--lstm", "3"], "expected the sizes of input and hidden state, got '3'; write"),
        (["draw", "--gru", "3,0"], "got '3,0'"),
        (["draw", "--rnn", "3,x"], "got '3,x'"),
        (["draw", "--steps", "0"], "--steps: expected a whole number of at least 1, got '0'"),
        (["draw", "--seed", "-1"], "--seed: expected a whole number of at least 0, got '-1'"),
        (["draw", "--seed", str(2**64)], "--seed: expected a whole number below 2**64"),
        (["draw", "--collapse", "1"], "expected auto, off or a whole number of at least 2"),
        (["draw", "--detail", "gate"], "expected op or cell or step or layer or module, got"),
        (["draw", "--show", "values,all"], "expected any of values, gradients, norms, formulas"),
        (["draw", "--lstm", "3,4", "--gru", "3,4"], "--gru: not allowed with argument --lstm"),
        (["draw", "--step", "3"], "unrecognized arguments: --step 3"),
        (["drow"], "invalid choice: 'drow'"),
    ],
)
def test_an_option_that_does_not_fit_is_told_why(arguments, said, run):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 2
    assert err.splitlines()[1].startswith("see: tinytensor ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["draw", "--out", "a.jpg"], "expected a name that ends in .svg, .png, .pdf, .dot, .gv"),
        (["page", "--out", "page"], "got 'page'; write --out page.html"),
        (["report", "--out", "a.svg"], "write --out a.html"),
        (["draw", "--out", "file/a.svg"], "expected the name of a file that can be written, got"),
        (["page", "--out", "file/a.html"], "expected the name of a file that can be written, got"),
        (["draw", "--max-nodes", "9"], "draw with --no-unrolled, or raise --max-nodes"),
        (["page", "--max-nodes", "9"], "or raise --max-nodes"),
    ],
)
def test_what_can_not_be_written_is_told_why(arguments, said, run):
    Path("file").touch()
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith(f"tinytensor {arguments[0]}: ")
    assert said in err
    assert [path.name for path in Path().iterdir()] == ["file"]


def test_the_options_that_a_message_names_exist(run):
    """Messages of `viz` speak of Python's arguments; here they speak of ours."""
    _, _, err = run("draw", "--steps", "9", "--max-nodes", "9", "--collapse", "off")
    _, help_text, _ = run("draw", "--help")
    named = set(re.findall(r"--[a-z-]+", err))
    assert {"--collapse", "--detail", "--max-nodes"} <= named
    assert [option for option in named if option not in help_text] == []
    assert '="' not in err


def test_the_keyboard_stops_it_without_a_traceback(run):
    source = MODEL + "def loss(): raise KeyboardInterrupt"
    assert run("draw", "--file", write(source)) == (130, "", "tinytensor draw: stopped\n")


# -- the terminal


def test_open_shows_the_file_in_the_browser(run, monkeypatch, folder):
    shown = []
    monkeypatch.setattr(webbrowser, "open", lambda address: not shown.append(address))
    status, out, _ = run("draw", "--rnn", "1,2", "--steps", "1", "--open")
    assert (status, shown) == (0, [(folder / "backward.svg").as_uri()])
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    _, without, _ = run("draw", "--rnn", "1,2", "--steps", "1", "--open")
    assert without == out + "found no browser to open backward.svg in; open it by hand\n"


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_without_a_command_the_help_lists_them(arguments, run):
    status, out, err = run(*arguments)
    assert (status, err) == (0, "")
    assert out.startswith("usage: tinytensor COMMAND [options]\n")
    assert [name for name in ("draw", "page", "report", "check") if f"\n  {name} " not in out] == []


@pytest.mark.parametrize("command", ["draw", "page", "report", "check"])
def test_the_help_of_a_command_has_examples_that_parse(command, run, monkeypatch):
    """Every example is a line that the command takes."""
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = run(command, "--help")
    assert max(map(len, out.splitlines())) <= 80
    assert "RUNS the file as Python" in out
    from tinytensor.command.arguments import parser

    lines = re.findall(r"^  tinytensor (\S+ .*)$", out + texts.EXAMPLES, re.M)
    examples = [re.split(r"  +", line)[0].split() for line in lines]
    assert len(examples) > 6
    assert [example[0] for example in examples[:3]] == [command] * 3
    assert all(parser().parse_args(example).action for example in examples)


def test_the_help_comes_without_loading_the_layers_or_the_viewer():
    code = """
import sys
from tinytensor.__main__ import main
try:
    main(["draw", "--help"])
except SystemExit:
    print([name for name in ("nn", "viz", "bptt") if f"tinytensor.{name}" in sys.modules])
"""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert run.stdout.splitlines()[-1] == "[]"


def test_the_module_runs_and_its_exit_code_is_the_commands(folder):
    run = subprocess.run(
        [sys.executable, "-m", "tinytensor", "draw", "--out", str(folder / "a.jpg")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("tinytensor draw: --out: expected ")


def test_the_script_is_declared_and_installed_as_the_same_function():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    declared = config["options.entry_points"]["console_scripts"].strip()
    assert declared == "tinytensor = tinytensor.__main__:main"
    distribution = importlib.metadata.distribution(config["metadata"]["name"])
    scripts = distribution.entry_points.select(group="console_scripts", name="tinytensor")
    assert [script.load() for script in scripts] == [main], "install it again: make setup"
