"""`autograd.functional` against torch: forms, numbers, strictness, graphs."""

from typing import Any

import pytest

import tinytensor as tt
from tests.autograd.side_by_side import gives_the_same, plain, refused, torch


def one(x: Any) -> Any:
    return (x.exp() * x.sum()).tanh()


def two(x: Any, y: Any) -> Any:
    return (x * y.sum()).sin(), y.exp() * x[0]


def scalar(x: Any) -> Any:
    return (x**3).sum() * x[0].exp()


def scalar_of_two(x: Any, y: Any) -> Any:
    return (x**3).sum() * y.exp().sum()


def inputs(lib: Any) -> tuple[Any, Any]:
    x = lib.tensor([0.5, -1.0], dtype=lib.float64)
    y = lib.tensor([[0.3, 0.7, -0.2]], dtype=lib.float64)
    return x, y


@gives_the_same
def test_jacobian(lib):
    x, y = inputs(lib)
    f = lib.autograd.functional.jacobian
    return f(one, x), f(two, (x, y)), f(lambda a, b: a * b.sum(), (x, y)), f(lambda a: (a, a**2), x)


@gives_the_same
def test_jacobian_of_what_does_not_depend_on_an_input_is_zero(lib):
    x, y = inputs(lib)
    f = lib.autograd.functional.jacobian
    free = lib.ones(2, dtype=lib.float64)
    return f(lambda a, b: a * 2, (x, y)), f(lambda a: free, x)


def test_jacobian_of_nothing_has_no_rows() -> None:
    """(torch raises.)"""
    x, _ = inputs(tt)
    assert tt.autograd.functional.jacobian(lambda a: a[:0] * 2, x).shape == (0, 2)


@gives_the_same
def test_hessian(lib):
    x, y = inputs(lib)
    f = lib.autograd.functional.hessian
    return f(scalar, x), f(scalar_of_two, (x, y)), f(lambda a: a.sum() * 2, x)


@gives_the_same
def test_products(lib):
    x, y = inputs(lib)
    f = lib.autograd.functional
    vx, vy = x * 2 + 1, y.exp()
    return (
        f.vjp(one, x, vx),
        f.vjp(two, (x, y), (vx, vy)),
        f.vjp(scalar, x),
        f.jvp(one, x, vx),
        f.jvp(two, (x, y), (vx, vy)),
        f.jvp(lambda a: a * x, lib.ones(1, dtype=lib.float64)),
        f.hvp(scalar, x, vx),
        f.hvp(scalar_of_two, (x, y), (vx, vy)),
        f.vhp(scalar, x, vx),
        f.vhp(scalar_of_two, (x, y), (vx, vy)),
        f.jvp(lambda a, b: a * 2, (x, y), (vx, vy)),
        f.vhp(lambda a: a.sum(), x, vx),
    )


@pytest.mark.parametrize("name", ["jacobian", "hessian", "vjp", "jvp", "hvp", "vhp"])
@pytest.mark.parametrize("create_graph", [False, True])
def test_results_are_in_the_graph_when_asked_for(name: str, create_graph: bool) -> None:
    def program(lib: Any) -> Any:
        x = inputs(lib)[0].requires_grad_()
        function = getattr(lib.autograd.functional, name)
        arguments = (x.detach() + 1,) if name in ("vjp", "jvp", "hvp", "vhp") else ()
        f = one if name in ("jacobian", "vjp", "jvp") else scalar
        found = function(f, x, *arguments, create_graph=create_graph)
        parts = found if isinstance(found, tuple) else (found,)
        flags = [part.requires_grad for part in parts]
        if not create_graph:
            return flags, parts, x.grad
        sum((part**2).sum() for part in parts).backward()
        return flags, parts, x.grad

    ours, theirs = plain(program(tt)), plain(program(torch))
    assert ours[0] == theirs[0]
    for a, b in zip([*ours[1], ours[2]], [*theirs[1], theirs[2]], strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert a[:2] == b[:2]
            assert a[2] == pytest.approx(b[2], rel=1e-12)


@gives_the_same
def test_inputs_are_left_alone_and_the_mode_does_not_matter(lib):
    x, _ = inputs(lib)
    with lib.no_grad():
        found = lib.autograd.functional.jacobian(one, x)
        again = lib.autograd.functional.hvp(scalar, x, x)
    return found, again, x.requires_grad, x.grad


@refused(RuntimeError, "strict")
def test_strict_outputs(lib):
    free = lib.ones(2)
    lib.autograd.functional.jacobian(lambda a: free, lib.ones(2), strict=True)


@refused(RuntimeError, "strict")
def test_strict_inputs(lib):
    pair = (lib.ones(2), lib.ones(2))
    lib.autograd.functional.vjp(lambda a, b: a * 2, pair, lib.ones(2), strict=True)


@refused(RuntimeError, "strict")
def test_strict_second_order(lib):
    lib.autograd.functional.vhp(lambda a: a.sum(), lib.ones(2), lib.ones(2), strict=True)


@refused(RuntimeError, "single element")
def test_a_hessian_of_several_elements(lib):
    lib.autograd.functional.hessian(lambda a: a * 2, lib.ones(2))


@refused(RuntimeError, "single element")
def test_a_missing_vector(lib):
    lib.autograd.functional.vjp(lambda a: a * 2, lib.ones(2))


@refused(RuntimeError, "shapes")
def test_a_vector_of_another_shape(lib):
    lib.autograd.functional.jvp(lambda a: a * 2, lib.ones(2), lib.ones(3))


@refused(TypeError, "expected the inputs to be a Tensor")
def test_an_input_that_is_a_number(lib):
    lib.autograd.functional.jacobian(lambda a: a * 2, 3.0)


@refused(TypeError, "expected the outputs of the function")
def test_an_output_that_is_a_number(lib):
    lib.autograd.functional.jacobian(lambda a: 3.0, lib.ones(2))


@refused(NotImplementedError, "expected vectorize=True")
def test_forward_mode_one_row_at_a_time(lib):
    lib.autograd.functional.jacobian(lambda a: a * 2, lib.ones(2), strategy="forward-mode")


@refused(RuntimeError, "expected strict or vectorize")
def test_strict_and_vectorized(lib):
    lib.autograd.functional.jacobian(lambda a: a * 2, lib.ones(2), strict=True, vectorize=True)


@refused((AssertionError, ValueError), "expected the strategy 'forward-mode' or 'reverse-mode'")
def test_a_strategy_that_there_is_not(lib):
    lib.autograd.functional.hessian(lambda a: a.sum(), lib.ones(2), outer_jacobian_strategy="mine")
