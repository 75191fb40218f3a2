"""Where in the model a node was made."""

import pytest

import tinytensor as tt


def test_scopes_nest_and_end() -> None:
    x = tt.ones(2, requires_grad=True)
    with tt.scope("outer"):
        a = x * 2
        with tt.scope("inner"):
            b = a * 2
        c = b * 2
    names = [repr(y.grad_fn.scope) for y in (a, b, c)]
    assert names == ["scope outer", "scope outer / scope inner", "scope outer"]
    assert (c * 2).grad_fn.scope is None


def test_a_scope_ends_with_an_exception() -> None:
    with pytest.raises(ValueError), tt.scope("broken"):
        raise ValueError
    assert (tt.ones(1, requires_grad=True) * 2).grad_fn.scope is None


def test_a_scope_can_not_be_used_twice() -> None:
    scope = tt.scope("once")
    with scope:
        y = tt.ones(1, requires_grad=True) * 2
        with pytest.raises(RuntimeError, match="expected a new scope"), scope:
            pass
    with pytest.raises(RuntimeError, match="expected a new scope"), scope:
        pass
    assert repr(y.grad_fn.scope) == "scope once"
