"""The notebooks of `examples/` run from the first cell to the last and show what is stored in them.

They run in a kernel of their own, on the Python that runs the tests, whatever kernels Jupyter knows
on the machine. Text is compared to the letter; a picture counts as a picture. `make golden` stores
what they show now.
"""

import copy
import os
import sys
from pathlib import Path
from typing import Any

import pytest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
kernelspec = pytest.importorskip("jupyter_client.kernelspec")
manager = pytest.importorskip("jupyter_client.manager")
pytest.importorskip("ipykernel")
pytest.importorskip("matplotlib")

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
GRAPHS = {"bidirectional_lstm": 2, "bptt_walkthrough": 1, "multilayer_lstm": 2}  # drawn in each
NOTEBOOKS = list(GRAPHS)
PICTURES = {"image/png", "image/svg+xml"}
IN_WORDS = "picture in words"


class KernelOfThisPython(manager.AsyncKernelManager):
    """With no folder of kernel specs to look into, ipykernel's own is left: `sys.executable`."""

    def __init__(self, **options: Any) -> None:
        specs = kernelspec.KernelSpecManager(kernel_dirs=[])
        super().__init__(kernel_spec_manager=specs, **options)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that executes a copy of a notebook, given further environment variables."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))

    def execute(notebook: Any, **variables: str) -> Any:
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "PYTHONPATH": path, "IPYTHONDIR": str(tmp_path), **variables}
        environment.pop("MPLBACKEND", None)  # the kernel's own shows figures in the notebook
        fresh = copy.deepcopy(notebook)
        client = nbclient.NotebookClient(
            fresh,
            kernel_manager_class=KernelOfThisPython,
            kernel_name="python3",
            timeout=300,
            resources={"metadata": {"path": str(EXAMPLES)}},
        )
        client.execute(env=environment)
        return fresh

    return execute


def stored(name: str) -> Any:
    return nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)


def store(name: str, fresh: Any, metadata: Any) -> None:
    """Store a notebook that was run, without what belongs to this run alone."""
    fresh.metadata = metadata
    for cell in code_cells(fresh):
        cell.metadata = {}
        for output in cell.outputs:
            if "metadata" in output:
                output.metadata = {}
    nbformat.write(fresh, EXAMPLES / f"{name}.ipynb")


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(notebook: Any) -> dict[str, list[str]]:
    """What stands below each code cell: all that it printed, then its results."""
    return {cell.id: [_stream(cell, "stdout"), *_results(cell)] for cell in code_cells(notebook)}


def warnings(notebook: Any) -> dict[str, str]:
    """The warnings of each code cell. (Matplotlib logs other things there, on its first use.)"""
    said = {cell.id: _stream(cell, "stderr") for cell in code_cells(notebook)}
    return {cell: text for cell, text in said.items() if "Warning" in text}


def _stream(cell: Any, name: str) -> str:
    outputs = [output for output in cell.outputs if output.output_type == "stream"]
    return "".join(output.text for output in outputs if output.name == name)


def _results(cell: Any) -> list[str]:
    return [_result(output.data) for output in cell.outputs if output.output_type != "stream"]


def _result(data: dict[str, str]) -> str:
    pictures = sorted(PICTURES & data.keys())
    if pictures:
        return f"picture: {', '.join(pictures)}"
    text = data["text/plain"]
    return IN_WORDS if "No picture:" in text else text


def without_pictures(texts: dict[str, list[str]]) -> dict[str, list[str]]:
    return {
        cell: [text for text in below if not text.startswith("picture")]
        for cell, below in texts.items()
    }


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_and_shows_what_is_stored_in_it(name, run):
    notebook = stored(name)
    fresh = run(notebook)
    assert warnings(fresh) == {}
    if "TINYTENSOR_OVERWRITE_GOLDEN" in os.environ:
        store(name, fresh, notebook.metadata)
    else:
        assert shown(fresh) == shown(notebook)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_without_a_layout_engine_and_shows_graphs_as_text(name, run):
    notebook = stored(name)
    fresh = shown(run(notebook, TINYTENSOR_DOT="no-such-engine"))
    assert without_pictures(fresh) == without_pictures(shown(notebook))
    assert sum(below.count(IN_WORDS) for below in fresh.values()) == GRAPHS[name]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_stored_notebook_was_run_in_order_and_holds_nothing_of_one_machine(name):
    notebook = stored(name)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert [cell.metadata for cell in notebook.cells] == [{}] * len(notebook.cells)
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python", "pygments_lexer": "ipython3"},
    }
    assert (EXAMPLES / f"{name}.ipynb").stat().st_size < 300_000


def test_the_kernel_is_the_python_that_runs_the_tests(run):
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell("import sys\nprint(sys.executable)", id="which")]
    assert shown(run(notebook)) == {"which": [f"{sys.executable}\n"]}
