"""tensor.pyi says what Tensor has: no less, no more, no older."""

import ast
from pathlib import Path

from tinytensor import Tensor, _stubs
from tinytensor.tensor import METHODS

STUB = Path(_stubs.__file__).with_name("tensor.pyi")


def test_the_stub_is_what_make_stubs_would_write():
    assert STUB.read_text(encoding="utf-8") == _stubs.stub()
    assert _stubs.main(["--check"]) == 0


def test_a_stale_stub_is_reported(monkeypatch, capsys):
    monkeypatch.setitem(METHODS, "new_method", lambda self: self)
    assert _stubs.main(["--check"]) == 1
    assert "make stubs" in capsys.readouterr().err


def test_every_public_attribute_of_tensor_is_in_the_stub():
    tree = ast.parse(STUB.read_text(encoding="utf-8"))
    (tensor,) = [s for s in tree.body if isinstance(s, ast.ClassDef) and s.name == "Tensor"]
    listed = {s.name for s in tensor.body if isinstance(s, ast.FunctionDef)}
    listed |= {s.targets[0].id for s in tensor.body if isinstance(s, ast.Assign)}
    public = {name for name in vars(Tensor) if not name.startswith("_")}
    assert public - listed == set()
