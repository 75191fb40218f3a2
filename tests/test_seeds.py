"""The two notebooks that this project grew from run here as they ran on torch."""

import ast
import contextlib
import io
import re
from pathlib import Path

import pytest

SEEDS = Path(__file__).parent / "seeds"


class Cell:
    def __init__(self, text: str) -> None:
        lines = text.strip("\n").split("\n")
        printed = [line for line in lines if line.startswith("# prints: ")]
        self.numbers = printed[0].removeprefix("# prints: ").split() if printed else []
        self.code = "\n".join(line for line in lines if line not in printed)


def cells(name: str) -> list[Cell]:
    text = (SEEDS / f"{name}.txt").read_text(encoding="utf-8")
    return [Cell(part) for part in text.split("# %%\n") if part.strip()]


def on_tinytensor(code: str) -> str:
    """The code with `torch` replaced in its import lines, and nowhere else."""
    code = re.sub(r"^import torch$", "import tinytensor as torch", code, flags=re.M)
    return re.sub(r"^import torch\.", "import tinytensor.", code, flags=re.M)


def run(code: str, names: dict) -> str:
    """What a notebook shows below a cell: what it prints, and the value of its last line."""
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        exec(compile(tree, "cell", "exec"), names)
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last else None
        if value is not None:
            print(repr(value))
    return shown.getvalue()


def shown_by_all_cells(name: str, translate, library) -> list[str]:
    library.manual_seed(0)
    names: dict = {}
    shown = []
    for cell in cells(name):
        shown.append(run(translate(cell.code), names))
        if name == "bidirectional_lstm" and "inpt = torch.randn([2])" in cell.code:
            names["inpt"] = library.tensor([0.7050, 0.9573]).view(2, 1, 1)
    return shown


def test_every_number_that_the_first_notebook_shows_comes_out():
    import tinytensor as tt

    shown = shown_by_all_cells("bidirectional_lstm", on_tinytensor, tt)
    checked = 0
    for cell, text in zip(cells("bidirectional_lstm"), shown, strict=True):
        if cell.numbers and "torch.randn" not in cell.code:
            assert re.findall(r"-?\d+\.\d{4}", text) == cell.numbers
            checked += len(cell.numbers)
    assert checked == 65


def test_sizes_and_identities_of_the_second_notebook_hold():
    import tinytensor as tt

    tt.manual_seed(0)
    names: dict = {}
    shown = [run(on_tinytensor(cell.code), names) for cell in cells("multilayer_lstm")]
    sizes = [re.findall(r"torch\.Size\(\[.*?\]\)", text) for text in shown]
    assert [f"torch.Size({s})" for s in ([5, 1, 4], [2, 1, 4], [2, 1, 4])] in sizes
    layer = [f"torch.Size({s})" for s in ([16, 4], [16, 4], [16], [16])]
    assert sizes[-1] == ["torch.Size([16, 6])", *layer[1:], *layer]
    assert bool((names["output"][4] == names["hn"][1]).all())
    assert not bool((names["output"][4] == names["hn"][0]).any())


@pytest.mark.parametrize("name", ["bidirectional_lstm", "multilayer_lstm"])
def test_the_notebooks_print_here_what_torch_prints(name):
    torch = pytest.importorskip("torch")
    import tinytensor as tt

    def comparable(text: str) -> str:
        return re.sub(r"grad_fn=<\w+>", "grad_fn=<>", text)

    ours = shown_by_all_cells(name, on_tinytensor, tt)
    theirs = shown_by_all_cells(name, lambda code: code, torch)
    assert [comparable(text) for text in ours] == [comparable(text) for text in theirs]
