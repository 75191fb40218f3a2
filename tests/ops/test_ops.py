"""Every row of the table: values and derivatives are torch's and those of finite differences."""

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinytensor as tt
from tests.ops.table import ROWS, Array, Row, Sample, data
from tinytensor.autograd.primitive import PRIMITIVES
from tinytensor.tensor import make

torch = pytest.importorskip("torch")

DTYPES = ["float16", "float32", "float64", "int64", "int32", "uint8", "bool"]
TOLERANCE = {"float16": 1e-3, "float32": 1e-6, "float64": 1e-12}


def rows(wanted: Callable[[Row], bool]) -> Any:
    chosen = [row for row in ROWS if wanted(row)]
    return pytest.mark.parametrize("row", chosen, ids=[row.label for row in chosen])


def at_a_kink(row: Row) -> bool:
    """Whether the inputs were chosen by hand, with ties or infinities: no differences there."""
    return any(s.kind == "data" and np.asarray(s.data).dtype.kind == "f" for s in row.inputs)


every_row = rows(lambda row: True)
differentiable_row = rows(lambda row: row.op in PRIMITIVES and any(PRIMITIVES[row.op].rules))
smooth_row = rows(lambda row: not at_a_kink(row))


# -- the two libraries side by side


def tensors(lib: ModuleType, arrays: Sequence[Array], requires_grad: bool = True) -> list[Any]:
    """Leaves on the given memory; real ones want a gradient."""
    made = []
    for array in arrays:
        if lib is torch:
            array = np.array(array)  # torch takes no read-only array, and no strides below zero
        tensor = make(array) if lib is tt else lib.from_numpy(array)
        made.append(tensor.requires_grad_(requires_grad and array.dtype.kind == "f"))
    return made


def cotangents(outputs: Sequence[Any]) -> list[Array]:
    """A fixed gradient for each output that can have one."""
    rng = np.random.default_rng(1)
    return [rng.normal(size=tuple(y.shape)) for y in outputs if y.requires_grad]


def dot(outputs: Sequence[Any], weights: Sequence[Any]) -> Any:
    """Σ <y, v> over the outputs that want a gradient; None if there is none."""
    wanted = [y for y in outputs if y.requires_grad]
    terms = [(y * v).sum() for y, v in zip(wanted, weights, strict=True)]
    return sum(terms[1:], terms[0]) if terms else None


def weights(lib: ModuleType, arrays: Sequence[Array], like: Any, requires_grad: bool) -> list[Any]:
    dtype = str(like.dtype).split(".")[1]
    return tensors(lib, [array.astype(dtype) for array in arrays], requires_grad)


def same(ours: Any, theirs: Any, tolerance: float | None = None) -> None:
    """Equal in shape and dtype, and in value to rounding; None only where the other is None."""
    assert (ours is None) == (theirs is None), f"ours {ours}, torch {theirs}"
    if ours is None:
        return
    a, b = ours.detach().numpy(), theirs.numpy(force=True)
    assert a.shape == b.shape
    assert a.dtype == b.dtype
    limit = TOLERANCE.get(str(a.dtype), 0) if tolerance is None else tolerance
    np.testing.assert_allclose(a, b, rtol=limit, atol=limit)


def first_order(lib: ModuleType, row: Row, arrays: Sequence[Array]) -> tuple[list[Any], list[Any]]:
    """The outputs, and the `.grad` of each input after a backward pass from fixed cotangents."""
    inputs = tensors(lib, arrays)
    outputs = row.call(lib, *inputs)
    loss = dot(outputs, weights(lib, cotangents(outputs), outputs[0], False))
    if loss is not None:
        loss.backward()
    return outputs, [x.grad for x in inputs]


def second_order(lib: ModuleType, row: Row, arrays: Sequence[Array]) -> list[Any]:
    """The gradients of Σ <u, gx>, where gx are those of Σ <v, y>, at the inputs and at v."""
    inputs = tensors(lib, arrays)
    outputs = row.call(lib, *inputs)
    rng = np.random.default_rng(2)
    vs = weights(lib, cotangents(outputs), outputs[0], True)
    wanted = [x for x in inputs if x.requires_grad]
    loss = dot(outputs, vs)
    if loss is None:
        return []
    first = lib.autograd.grad(loss, wanted, create_graph=True, allow_unused=True)
    us = weights(lib, [rng.normal(size=tuple(x.shape)) for x in wanted], outputs[0], False)
    pairs = [(g, u) for g, u in zip(first, us, strict=True) if g is not None and g.requires_grad]
    if not pairs:
        return []
    total = dot(*zip(*pairs, strict=True))
    return list(lib.autograd.grad(total, [*wanted, *vs], allow_unused=True, materialize_grads=True))


def differences(function: Callable[..., float], arrays: Sequence[Array]) -> list[Array]:
    """Central differences of a number with respect to every element of every real array."""
    step = 1e-6
    results = []
    for place, array in enumerate(arrays):
        if array.dtype.kind != "f":
            continue
        result = np.zeros(array.shape)
        for index in np.ndindex(array.shape):
            sides = []
            for sign in (1, -1):
                moved = [np.array(a) for a in arrays]
                moved[place][index] += sign * step
                sides.append(function(*moved))
            result[index] = (sides[0] - sides[1]) / (2 * step)
        results.append(result)
    return results


# -- values and derivatives


@every_row
def test_values_and_first_derivatives_are_those_of_torch(row: Row) -> None:
    arrays = row.arrays()
    ours, our_grads = first_order(tt, row, arrays)
    theirs, their_grads = first_order(torch, row, arrays)
    assert [y.requires_grad for y in ours] == [y.requires_grad for y in theirs]
    assert len(ours) == len(theirs)
    for a, b in zip([*ours, *our_grads], [*theirs, *their_grads], strict=True):
        same(a, b)


@smooth_row
def test_first_derivatives_are_finite_differences(row: Row) -> None:
    arrays = row.arrays()
    outputs, grads = first_order(tt, row, arrays)
    vs = cotangents(outputs)

    def value(*moved: Array) -> float:
        with tt.no_grad():
            found = row.call(tt, *tensors(tt, moved, False))
        real = [y for y, wanted in zip(found, outputs, strict=True) if wanted.requires_grad]
        return sum(float((y.numpy() * v).sum()) for y, v in zip(real, vs, strict=True))

    analytic = [g for g, a in zip(grads, arrays, strict=True) if a.dtype.kind == "f"]
    expected = differences(value, arrays)
    for g, numeric in zip(analytic, expected, strict=True):
        np.testing.assert_allclose(0 if g is None else g.numpy(), numeric, rtol=1e-7, atol=1e-8)


@rows(lambda row: not row.once)
def test_second_derivatives_are_those_of_torch(row: Row) -> None:
    arrays = row.arrays()
    ours = second_order(tt, row, arrays)
    theirs = second_order(torch, row, arrays)
    if not ours:
        assert all(not g.any() for g in theirs)
        return
    for a, b in zip(ours, theirs, strict=True):
        same(a, b, 1e-11)


@smooth_row
def test_second_derivatives_are_finite_differences_of_the_first(row: Row) -> None:
    arrays = row.arrays()
    analytic = second_order(tt, row, arrays)
    if not analytic:
        return
    inputs = tensors(tt, arrays)
    outputs = row.call(tt, *inputs)
    starts = cotangents(outputs)
    wanted = [x for x in inputs if x.requires_grad]
    loss = dot(outputs, weights(tt, starts, outputs[0], True))
    grads = tt.autograd.grad(loss, wanted, create_graph=True, allow_unused=True)
    smooth = [g is not None and g.requires_grad for g in grads]
    rng = np.random.default_rng(2)
    us = [rng.normal(size=x.shape) for x in wanted]

    def value(*moved: Array) -> float:
        xs = tensors(tt, moved[: len(arrays)])
        loss = dot(row.call(tt, *xs), [tt.from_numpy(v) for v in moved[len(arrays) :]])
        wanted = [x for x in xs if x.requires_grad]
        grads = tt.autograd.grad(loss, wanted, allow_unused=True)
        parts = zip(grads, us, smooth, strict=True)
        return sum(float((g.numpy() * u).sum()) for g, u, goes in parts if goes)

    for g, n in zip(analytic, differences(value, [*arrays, *starts]), strict=True):
        np.testing.assert_allclose(g.numpy(), n, rtol=1e-6, atol=1e-7)


# -- types and memory


def in_dtype(row: Row, dtype: str) -> list[Array]:
    """The inputs of a row with the real ones in another type, as far as it can hold them."""
    results = []
    for array in row.arrays():
        if array.dtype.kind != "f":
            results.append(array)
        elif dtype in TOLERANCE:
            results.append(array.astype(dtype))
        else:
            whole = np.rint(3 * array)
            whole = abs(whole) if dtype == "uint8" else whole
            results.append(np.asarray(whole).astype(dtype))
    return results


@rows(lambda row: all(a.size and np.isfinite(a).all() for a in row.arrays()))
def test_results_have_the_type_and_the_values_of_torch(row: Row) -> None:
    for dtype in DTYPES:
        arrays = in_dtype(row, dtype)
        try:
            theirs = row.call(torch, *tensors(torch, arrays, False))
        except RuntimeError:  # not for this type, in torch
            continue
        for a, b in zip(row.call(tt, *tensors(tt, arrays, False)), theirs, strict=True):
            same(a, b)


@every_row
def test_float32_gives_float32_gradients(row: Row) -> None:
    arrays = in_dtype(row, "float32")
    _, ours = first_order(tt, row, arrays)
    _, theirs = first_order(torch, row, arrays)
    for a, b in zip(ours, theirs, strict=True):
        same(a, b, 1e-5)
    wanted = sum(array.dtype.kind == "f" for array in arrays)
    for g in second_order(tt, row, arrays)[:wanted]:
        assert g.dtype is tt.float32


def fortran(array: Array) -> Array:
    return np.array(array, order="F")


def sliced(array: Array) -> Array:
    """Every second element of something larger."""
    larger = np.full([2 * n for n in array.shape], 7, array.dtype)
    part = larger[tuple(slice(None, None, 2) for _ in array.shape)]
    part[...] = array
    return part


def turned(array: Array) -> Array:
    """The same numbers, with strides below zero."""
    turn = tuple(slice(None, None, -1) for _ in array.shape)
    return array[turn].copy()[turn]


def stretched(array: Array) -> Array:
    """The first row everywhere, with a stride of 0."""
    return np.broadcast_to(array[:1], array.shape) if array.size else array


def laid_out(layout: Callable[[Array], Array], arrays: Sequence[Array]) -> list[Array]:
    """Read-only arrays in a layout."""
    results = [layout(array) if array.ndim else array for array in arrays]
    for array in results:
        array.setflags(write=False)
    return results


LAYOUTS = (fortran, sliced, turned, stretched)


@every_row
def test_the_layout_of_memory_does_not_matter(row: Row) -> None:
    for layout in LAYOUTS:
        arrays = laid_out(layout, row.arrays())
        ours, our_grads = first_order(tt, row, arrays)
        theirs, their_grads = first_order(torch, row, arrays)
        for a, b in zip([*ours, *our_grads], [*theirs, *their_grads], strict=True):
            same(a, b)


@rows(lambda row: row.op != "pow")  # torch has 2**x in an order of its own
def test_what_torch_makes_contiguous_is_contiguous(row: Row) -> None:
    for layout in (np.array, fortran):
        arrays = [layout(array) for array in row.arrays()]
        ours = row.call(tt, *[tt.from_numpy(array) for array in arrays])
        theirs = row.call(torch, *[torch.from_numpy(array) for array in arrays])
        for a, b in zip(ours, theirs, strict=True):
            assert a.is_contiguous() or not b.is_contiguous(), layout.__name__


@every_row
def test_the_layout_of_the_gradient_does_not_matter(row: Row) -> None:
    for layout in LAYOUTS:
        results = []
        for lib in (tt, torch):
            inputs = tensors(lib, row.arrays())
            outputs = row.call(lib, *inputs)
            wanted = [y for y in outputs if y.requires_grad]
            if wanted:
                gradients = laid_out(layout, cotangents(outputs))
                lib.autograd.backward(wanted, tensors(lib, gradients, False))
            results.append([x.grad for x in inputs])
        for a, b in zip(*results, strict=True):
            same(a, b)


@every_row
def test_inputs_and_gradients_are_left_as_they_were(row: Row) -> None:
    arrays = row.arrays()
    inputs = tensors(tt, arrays)
    outputs = row.call(tt, *inputs)
    wanted = [y for y in outputs if y.requires_grad]
    values = [np.array(y.detach().numpy()) for y in outputs]
    vs = cotangents(outputs)
    if wanted:
        tt.autograd.backward(wanted, tensors(tt, vs, False), retain_graph=True)
        tt.autograd.backward(wanted, tensors(tt, vs, False), create_graph=True)
    for array, before in zip(arrays, row.arrays(), strict=True):
        np.testing.assert_array_equal(array, before)
    for v, before in zip(vs, cotangents(outputs), strict=True):
        np.testing.assert_array_equal(v, before)
    for y, before in zip(outputs, values, strict=True):
        np.testing.assert_array_equal(y.detach().numpy(), before)


@every_row
def test_the_recorded_backward_gives_the_plain_one_bit_for_bit(row: Row) -> None:
    results = []
    for create_graph in (False, True):
        inputs = tensors(tt, row.arrays())
        outputs = row.call(tt, *inputs)
        wanted = [y for y in outputs if y.requires_grad]
        if wanted:
            vs = tensors(tt, cotangents(outputs), False)
            tt.autograd.backward(wanted, vs, create_graph=create_graph)
        results.append([x.grad for x in inputs])
    for plain, recorded in zip(*results, strict=True):
        assert (plain is None) == (recorded is None)
        if plain is not None:
            np.testing.assert_array_equal(plain.numpy(), recorded.detach().numpy(), strict=True)


@every_row
def test_a_second_backward_pass_is_refused_only_where_torch_refuses_it(row: Row) -> None:
    theirs, _ = first_order(torch, row, row.arrays())
    loss = dot(theirs, [torch.ones_like(y) for y in theirs if y.requires_grad])
    if loss is None:
        return
    try:
        loss.backward()
        loss.backward()
    except RuntimeError:
        return
    inputs = tensors(tt, row.arrays())
    ours = row.call(tt, *inputs)
    loss = dot(ours, [tt.ones_like(y) for y in ours if y.requires_grad])
    loss.backward()
    once = [None if x.grad is None else x.grad.numpy().copy() for x in inputs]
    loss.backward()
    for x, g in zip(inputs, once, strict=True):
        if g is not None:
            np.testing.assert_array_equal(x.grad.numpy(), 2 * g)


def outcome_after_a_change(lib: ModuleType, row: Row, part: str, place: int) -> Any:
    """The gradients when an input or an output is changed between forward and backward.

    None where that is refused. The change is made through `detach()`, so nothing records it.
    """
    leaves = tensors(lib, row.arrays())
    inputs = [x * 1 if x.requires_grad else x for x in leaves]
    outputs = row.call(lib, *inputs)
    loss = dot(outputs, weights(lib, cotangents(outputs), outputs[0], False))
    if loss is None:
        return [None for _ in leaves]
    changed = (inputs if part == "input" else outputs)[place].detach()
    changed.copy_(changed * 2 + 1 if changed.dtype != lib.bool else ~changed)
    try:
        loss.backward()
    except RuntimeError as error:
        if lib is tt:
            assert "modified by an inplace operation" in str(error)
        return None
    return [x.grad for x in leaves]


@differentiable_row
def test_a_value_changed_after_it_was_kept_never_gives_a_wrong_gradient(row: Row) -> None:
    _, unchanged = first_order(tt, row, row.arrays())
    outputs = row.call(tt, *tensors(tt, row.arrays()))
    places = [("input", i) for i in range(len(row.inputs))]
    places += [("output", i) for i, y in enumerate(outputs) if y.detach().numpy().flags.writeable]
    for part, place in places:
        ours = outcome_after_a_change(tt, row, part, place)
        theirs = outcome_after_a_change(torch, row, part, place)
        # torch multiplies copies of what it broadcasts, and keeps 1 / x for 3 / x.
        if theirs is not None and row.op not in ("matmul", "div"):
            assert ours is not None, f"refused after a change of {part} {place}, which torch allows"
        for a, b in [] if ours is None else zip(ours, unchanged, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                np.testing.assert_array_equal(a.numpy(), b.numpy(), strict=True)


@every_row
def test_without_a_wish_for_gradients_nothing_is_recorded(row: Row) -> None:
    for y in row.call(tt, *tensors(tt, row.arrays(), False)):
        assert y.grad_fn is None
    with tt.no_grad():
        inputs = tensors(tt, row.arrays())
        for y in row.call(tt, *inputs):
            assert not y.requires_grad or y is inputs[0]


# -- all shapes, special values, refusals


@given(
    op=st.sampled_from(["add", "sub", "mul", "div", "maximum", "minimum", "pow", "lt", "eq"]),
    shapes=hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, min_side=0, max_side=3),
)
def test_two_operands_broadcast_as_in_torch(op: str, shapes: Any) -> None:
    row = Row(op, [Sample(shape, "positive") for shape in shapes.input_shapes])
    ours, our_grads = first_order(tt, row, row.arrays())
    theirs, their_grads = first_order(torch, row, row.arrays())
    assert ours[0].shape == shapes.result_shape
    for a, b in zip([*ours, *our_grads], [*theirs, *their_grads], strict=True):
        same(a, b, 1e-10)


SPECIAL = np.array(
    [0.0, -0.0, 1.0, -1.0, 20.5, -20.5, 100.0, 1e-30, -1e-30, 1e30, -1e30, np.inf, -np.inf, np.nan]
)
POINTWISE = {row.op: len(row.inputs) for row in ROWS if row.pointwise}


@pytest.mark.parametrize("op", POINTWISE)
def test_zeros_infinities_and_extremes_give_the_numbers_of_torch(op: str) -> None:
    for dtype in ("float32", "float64"):
        grids = np.meshgrid(*[SPECIAL.astype(dtype)] * POINTWISE[op])
        row = Row(op, [data(grid.ravel()) for grid in grids])
        results = []
        for lib in (tt, torch):
            inputs = tensors(lib, row.arrays())
            (y,) = row.call(lib, *inputs)
            if y.requires_grad:
                y.backward(lib.ones_like(y))
            results.append([y.detach(), *(x.grad for x in inputs)])
        # Where an input is not a number, a gradient has no meaning that could be held to.
        number = ~np.any([np.isnan(grid.ravel()) for grid in grids], axis=0)
        for place, (a, b) in enumerate(zip(*results, strict=True)):
            assert (a is None) == (b is None)
            if a is not None:
                chosen = number if place else slice(None)
                ours, theirs = a.numpy()[chosen], b.numpy()[chosen]
                np.testing.assert_allclose(ours, theirs, TOLERANCE[dtype], 1e-37, strict=True)


def _padded_bool(lib: Any, mode: str) -> Any:
    return lib.nn.functional.pad(lib.tensor([[True, False]]), (1, 1), mode)


REFUSED: list[tuple[str, Any, Callable[[Any], Any]]] = [
    ("add", RuntimeError, lambda lib: lib.ones(2) + lib.ones(3)),
    ("add", TypeError, lambda lib: lib.ones(2) + None),
    ("add", TypeError, lambda lib: lib.ones(2) + "1"),
    ("sub", RuntimeError, lambda lib: lib.tensor([True]) - lib.tensor([True])),
    ("neg", RuntimeError, lambda lib: -lib.tensor([True])),
    ("pow", RuntimeError, lambda lib: lib.tensor([1, 2]) ** -1),
    ("bitwise_not", TypeError, lambda lib: ~lib.ones(2)),
    ("bitwise_and", RuntimeError, lambda lib: lib.ones(2) & lib.ones(2)),
    ("where", RuntimeError, lambda lib: lib.where(lib.ones(2), 1.0, 2.0)),
    ("masked_fill", RuntimeError, lambda lib: lib.ones(2).masked_fill(lib.ones(2), 2.0)),
    (
        "masked_fill",
        RuntimeError,
        lambda lib: lib.ones(2).masked_fill(lib.tensor([True, False]), lib.ones(2)),
    ),
    ("clamp", RuntimeError, lambda lib: lib.ones(2).clamp()),
    ("mean", RuntimeError, lambda lib: lib.tensor([1, 2]).mean()),
    ("sum", IndexError, lambda lib: lib.ones(2).sum(1)),
    ("sum", RuntimeError, lambda lib: lib.ones(2, 2).sum((0, -2))),
    ("amax", IndexError, lambda lib: lib.ones(2).amax(-2)),
    ("amax", (IndexError, RuntimeError), lambda lib: lib.ones(0).amax()),
    ("argmax", IndexError, lambda lib: lib.ones(2).argmax(1)),
    ("argmax", IndexError, lambda lib: lib.ones(0).argmax()),
    ("softmax", IndexError, lambda lib: lib.ones(2).softmax(1)),
    ("softmax", RuntimeError, lambda lib: lib.softmax(lib.tensor([1, 2]), 0)),
    ("log_softmax", RuntimeError, lambda lib: lib.log_softmax(lib.tensor([1, 2]), 0)),
    ("logsumexp", IndexError, lambda lib: lib.ones(2).logsumexp(1)),
    ("sum", IndexError, lambda lib: lib.ones(2).sum(3, dtype=lib.float64)),
    ("prod", TypeError, lambda lib: lib.ones(2, 2).prod((0, 1))),
    ("prod", IndexError, lambda lib: lib.ones(2).prod(1)),
    ("argmax", RuntimeError, lambda lib: lib.tensor([True]).argmax()),
    ("argmin", RuntimeError, lambda lib: lib.tensor([True]).argmin()),
    ("cumsum", IndexError, lambda lib: lib.ones(2).cumsum(1)),
    ("cumprod", IndexError, lambda lib: lib.tensor(1.0).cumprod(-2)),
    ("logcumsumexp", NotImplementedError, lambda lib: lib.tensor([1]).logcumsumexp(0)),
    ("var", RuntimeError, lambda lib: lib.tensor([1, 2]).var()),
    ("std", RuntimeError, lambda lib: lib.tensor([1, 2]).std()),
    ("var", IndexError, lambda lib: lib.ones(2).var(1)),
    ("std", TypeError, lambda lib: lib.ones(2).std(0, unbiased=True, correction=0)),
    ("median", IndexError, lambda lib: lib.ones(0, 3).median(0)),
    ("median", IndexError, lambda lib: lib.ones(3).median(1)),
    ("median", NotImplementedError, lambda lib: lib.tensor([True]).median()),
    ("median", NotImplementedError, lambda lib: lib.tensor([True]).median(0)),
    ("norm", RuntimeError, lambda lib: lib.tensor([1, 2]).norm()),
    ("norm", RuntimeError, lambda lib: lib.linalg.norm(lib.ones(2, 2), 3)),
    ("norm", RuntimeError, lambda lib: lib.linalg.norm(lib.ones(1, 2, 2), 1)),
    ("norm", RuntimeError, lambda lib: lib.linalg.norm(lib.ones(2), "fro")),
    ("norm", RuntimeError, lambda lib: lib.linalg.vector_norm(lib.ones(0), float("inf"))),
    ("norm", RuntimeError, lambda lib: lib.linalg.vector_norm(lib.ones(2, 0), -1, 1)),
    ("norm", RuntimeError, lambda lib: lib.linalg.matrix_norm(lib.ones(2, 2), "fro", (0, 0))),
    ("norm", RuntimeError, lambda lib: lib.linalg.matrix_norm(lib.ones(2, 2), "fro", (0,))),
    ("unflatten", RuntimeError, lambda lib: lib.ones(2).unflatten(0, (3, -1))),
    ("unflatten", RuntimeError, lambda lib: lib.ones(2).unflatten(0, (2, 2))),
    ("unflatten", RuntimeError, lambda lib: lib.ones(2).unflatten(0, ())),
    ("unflatten", IndexError, lambda lib: lib.ones(2).unflatten(1, (2,))),
    ("expand", RuntimeError, lambda lib: lib.broadcast_to(lib.ones(2, 2), (3, 2))),
    (
        "broadcast_tensors",
        RuntimeError,
        lambda lib: lib.broadcast_tensors(lib.ones(2), lib.ones(3)),
    ),
    ("movedim", RuntimeError, lambda lib: lib.ones(2, 2).movedim((0, 0), (0, 1))),
    ("movedim", RuntimeError, lambda lib: lib.ones(2, 2).movedim((0,), (0, 1))),
    ("movedim", IndexError, lambda lib: lib.ones(2, 2).movedim(2, 0)),
    ("transpose", IndexError, lambda lib: lib.ones(2).swapaxes(0, 1)),
    ("roll", RuntimeError, lambda lib: lib.roll(lib.ones(2), (1, 1), (0,))),
    ("roll", RuntimeError, lambda lib: lib.roll(lib.ones(2), (1, 1))),
    ("roll", IndexError, lambda lib: lib.roll(lib.ones(2), 1, 1)),
    ("roll", IndexError, lambda lib: lib.roll(lib.tensor(1.0), 1, 0)),
    ("repeat", RuntimeError, lambda lib: lib.ones(2, 2).repeat(2)),
    ("repeat", RuntimeError, lambda lib: lib.ones(2).repeat(-1)),
    ("repeat_interleave", RuntimeError, lambda lib: lib.ones(2).repeat_interleave(-1)),
    (
        "repeat_interleave",
        RuntimeError,
        lambda lib: lib.ones(2).repeat_interleave(lib.tensor([1, 2, 3])),
    ),
    (
        "repeat_interleave",
        RuntimeError,
        lambda lib: lib.ones(2).repeat_interleave(2, output_size=3),
    ),
    (
        "repeat_interleave",
        NotImplementedError,
        lambda lib: lib.ones(2).repeat_interleave(lib.ones(2)),
    ),
    ("repeat_interleave", TypeError, lambda lib: lib.ones(2).repeat_interleave([1, 2])),
    ("repeat_interleave", IndexError, lambda lib: lib.ones(2).repeat_interleave(2, 1)),
    ("hstack", RuntimeError, lambda lib: lib.hstack([])),
    ("vstack", RuntimeError, lambda lib: lib.vstack([])),
    ("hstack", TypeError, lambda lib: lib.hstack(lib.ones(2))),
    ("tensor_split", RuntimeError, lambda lib: lib.ones(2).tensor_split(0)),
    ("tensor_split", RuntimeError, lambda lib: lib.tensor(1.0).tensor_split(2)),
    ("tensor_split", IndexError, lambda lib: lib.ones(2).tensor_split(2, 1)),
    ("tensor_split", TypeError, lambda lib: lib.ones(2).tensor_split()),
    ("narrow", RuntimeError, lambda lib: lib.ones(2).narrow(0, 0, 3)),
    ("narrow", RuntimeError, lambda lib: lib.ones(2).narrow(0, 0, -1)),
    ("narrow", RuntimeError, lambda lib: lib.tensor(1.0).narrow(0, 0, 1)),
    ("narrow", IndexError, lambda lib: lib.ones(2).narrow(0, -3, 1)),
    ("narrow", IndexError, lambda lib: lib.ones(2).narrow(1, 0, 1)),
    ("select", IndexError, lambda lib: lib.ones(2).select(0, 2)),
    ("select", IndexError, lambda lib: lib.ones(2).select(1, 0)),
    ("select", IndexError, lambda lib: lib.tensor(1.0).select(0, 0)),
    ("diagonal", RuntimeError, lambda lib: lib.ones(2, 2).diagonal(0, 1, 1)),
    ("diagonal", IndexError, lambda lib: lib.ones(2).diagonal()),
    ("diag", RuntimeError, lambda lib: lib.ones(2, 2, 2).diag()),
    ("diag", RuntimeError, lambda lib: lib.tensor(1.0).diag()),
    ("tril", RuntimeError, lambda lib: lib.ones(2).tril()),
    ("triu", RuntimeError, lambda lib: lib.ones(2).triu()),
    ("meshgrid", RuntimeError, lambda lib: lib.meshgrid(lib.ones(2, 2), indexing="ij")),
    ("meshgrid", RuntimeError, lambda lib: lib.meshgrid(lib.ones(2), indexing="ab")),
    (
        "meshgrid",
        RuntimeError,
        lambda lib: lib.meshgrid(lib.ones(2), lib.tensor([1]), indexing="ij"),
    ),
    ("unfold", RuntimeError, lambda lib: lib.ones(2).unfold(0, 3, 1)),
    ("unfold", RuntimeError, lambda lib: lib.ones(2).unfold(0, -1, 1)),
    ("unfold", RuntimeError, lambda lib: lib.ones(2).unfold(0, 1, 0)),
    ("unfold", IndexError, lambda lib: lib.ones(2).unfold(1, 1, 1)),
    ("narrow", RuntimeError, lambda lib: lib.ones(2).narrow(0, lib.tensor([0]), 1)),
    ("narrow", RuntimeError, lambda lib: lib.ones(2).narrow(0, lib.tensor(0.0), 1)),
    ("tensor_split", RuntimeError, lambda lib: lib.ones(2).tensor_split(lib.tensor([1.0]))),
    ("diagonal", TypeError, lambda lib: lib.ones(2, 2).diagonal(1.0)),
    ("tril", TypeError, lambda lib: lib.ones(2, 2).tril(1.0)),
    ("t", RuntimeError, lambda lib: lib.t(lib.ones(2, 2, 2))),
    ("adjoint", RuntimeError, lambda lib: lib.adjoint(lib.ones(2))),
    ("permute", TypeError, lambda lib: lib.ones(2).permute()),
    ("permute", TypeError, lambda lib: lib.ones(2).permute(0.0)),
    ("transpose", IndexError, lambda lib: lib.tensor(1.0).transpose(0, 1)),
    ("transpose", TypeError, lambda lib: lib.ones(2, 2).transpose(0.0, 1)),
    ("squeeze", RuntimeError, lambda lib: lib.ones(1, 1).squeeze((0, -2))),
    ("reshape", RuntimeError, lambda lib: lib.ones(2).reshape(-2)),
    ("flatten", IndexError, lambda lib: lib.tensor(1.0).flatten(1)),
    ("unflatten", RuntimeError, lambda lib: lib.tensor(1.0).unflatten(0, (1,))),
    ("flip", TypeError, lambda lib: lib.flip(lib.ones(2), 0)),
    ("roll", RuntimeError, lambda lib: lib.ones(2).roll(())),
    ("chunk", RuntimeError, lambda lib: lib.tensor(1.0).chunk(2)),
    ("chunk", TypeError, lambda lib: lib.ones(2).chunk(1.0)),
    ("movedim", TypeError, lambda lib: lib.ones(2, 2).movedim(0, (1,))),
    ("repeat_interleave", IndexError, lambda lib: lib.tensor(1.0).repeat_interleave(2, 0)),
    ("broadcast_shapes", RuntimeError, lambda lib: lib.broadcast_shapes((2,), (3,))),
    ("broadcast_tensors", TypeError, lambda lib: lib.broadcast_tensors(lib.ones(2), 1.0)),
    ("view", RuntimeError, lambda lib: lib.ones(3).view(lib.float64)),
    ("addr", RuntimeError, lambda lib: lib.addr(lib.ones(3, 3), lib.ones(2), lib.ones(3))),
    (
        "addbmm",
        RuntimeError,
        lambda lib: lib.addbmm(lib.ones(2, 2), lib.ones(1, 2, 2).double(), lib.ones(1, 2, 2)),
    ),
    ("matmul", NotImplementedError, lambda lib: lib.tensor([True]) @ lib.tensor([True])),
    ("pad", NotImplementedError, lambda lib: _padded_bool(lib, "reflect")),
    ("pad", TypeError, lambda lib: lib.nn.functional.pad(lib.ones(2), (1.0, 1))),
    ("pad", RuntimeError, lambda lib: lib.nn.functional.pad(lib.ones(0, 2), (1, 1), "replicate")),
    ("mT", RuntimeError, lambda lib: lib.ones(2).mT),
    ("H", RuntimeError, lambda lib: lib.ones(2, 2, 2).H),
    ("pad", RuntimeError, lambda lib: lib.nn.functional.pad(lib.ones(2), (1,))),
    ("pad", RuntimeError, lambda lib: lib.nn.functional.pad(lib.ones(2), (1, 1, 1, 1))),
    ("pad", RuntimeError, lambda lib: lib.nn.functional.pad(lib.ones(2), (-2, -1))),
    ("pad", RuntimeError, lambda lib: lib.nn.functional.pad(lib.ones(1, 2), (2, 0), "reflect")),
    ("pad", RuntimeError, lambda lib: lib.nn.functional.pad(lib.ones(1, 2), (0, 3), "circular")),
    ("pad", RuntimeError, lambda lib: lib.nn.functional.pad(lib.ones(1, 2), (1, 1), "reflect", 1)),
    ("pad", NotImplementedError, lambda lib: lib.nn.functional.pad(lib.ones(2), (1, 1), "circle")),
    ("pad", NotImplementedError, lambda lib: lib.nn.functional.pad(lib.ones(2), (1, 1), "reflect")),
    (
        "pad",
        NotImplementedError,
        lambda lib: lib.nn.functional.pad(lib.ones(2, 2), (1, 1, 1, 1), "replicate"),
    ),
    ("matmul", RuntimeError, lambda lib: lib.ones(2, 3) @ lib.ones(2, 3)),
    ("matmul", RuntimeError, lambda lib: lib.ones(2) @ lib.ones(3)),
    ("matmul", RuntimeError, lambda lib: lib.ones(2, 2) @ lib.tensor(1.0)),
    ("matmul", RuntimeError, lambda lib: lib.ones(2, 3, 4) @ lib.ones(3, 4, 2)),
    ("matmul", TypeError, lambda lib: lib.ones(2) @ 2.0),
    ("reshape", RuntimeError, lambda lib: lib.ones(6).reshape(4, 2)),
    ("reshape", RuntimeError, lambda lib: lib.ones(6).reshape(-1, -1)),
    ("view", RuntimeError, lambda lib: lib.ones(2, 3).t().view(6)),
    ("permute", RuntimeError, lambda lib: lib.ones(2, 3).permute(0, 0)),
    ("permute", RuntimeError, lambda lib: lib.ones(2, 3).permute(0)),
    ("permute", IndexError, lambda lib: lib.ones(2, 3).permute(0, 2)),
    ("transpose", IndexError, lambda lib: lib.ones(2, 3).transpose(0, 2)),
    ("expand", RuntimeError, lambda lib: lib.ones(2, 3).expand(4, 3)),
    ("expand", RuntimeError, lambda lib: lib.ones(2, 3).expand(3)),
    ("expand", RuntimeError, lambda lib: lib.ones(3).expand(-1, 3)),
    ("squeeze", IndexError, lambda lib: lib.ones(3).squeeze(1)),
    ("unsqueeze", IndexError, lambda lib: lib.ones(3).unsqueeze(2)),
    ("flatten", RuntimeError, lambda lib: lib.ones(2, 3).flatten(1, 0)),
    ("flatten", IndexError, lambda lib: lib.ones(2, 3).flatten(2)),
    ("flip", IndexError, lambda lib: lib.ones(3).flip(1)),
    ("flip", RuntimeError, lambda lib: lib.ones(3, 2).flip(0, -2)),
    ("cat", IndexError, lambda lib: lib.cat([lib.ones(2)], 1)),
    ("cat", RuntimeError, lambda lib: lib.cat([lib.ones(2, 2), lib.ones(3, 3)])),
    ("cat", RuntimeError, lambda lib: lib.cat([lib.ones(2, 2), lib.ones(2)])),
    ("cat", RuntimeError, lambda lib: lib.cat([lib.tensor(1.0)])),
    ("cat", (RuntimeError, ValueError), lambda lib: lib.cat([])),
    ("cat", TypeError, lambda lib: lib.cat([lib.ones(2), 1.0])),
    ("cat", TypeError, lambda lib: lib.cat(lib.ones(2))),
    ("stack", (RuntimeError, ValueError), lambda lib: lib.stack([])),
    ("stack", RuntimeError, lambda lib: lib.stack([lib.ones(2), lib.ones(3)])),
    ("stack", IndexError, lambda lib: lib.stack([lib.ones(2)], 2)),
    ("split", RuntimeError, lambda lib: lib.ones(3).split([1, 1])),
    ("split", RuntimeError, lambda lib: lib.ones(3).split([4, -1])),
    ("split", RuntimeError, lambda lib: lib.ones(3).split(0)),
    ("split", RuntimeError, lambda lib: lib.ones(3).split(-1)),
    ("split", IndexError, lambda lib: lib.ones(3).split(1, 1)),
    (
        "floor_divide",
        RuntimeError,
        lambda lib: lib.ones(2, requires_grad=True).floor_divide(2).sum().backward(),
    ),
    (
        "floor_divide",
        RuntimeError,
        lambda lib: lib.ones(2).floor_divide(lib.ones(2, requires_grad=True)).sum().backward(),
    ),
    (
        "unique",
        NotImplementedError,
        lambda lib: lib.ones(2, requires_grad=True).unique().sum().backward(),
    ),
    ("chunk", RuntimeError, lambda lib: lib.ones(3).chunk(0)),
    ("unbind", IndexError, lambda lib: lib.tensor(1.0).unbind()),
    ("unbind", IndexError, lambda lib: lib.ones(2).unbind(1)),
    ("getitem", IndexError, lambda lib: lib.ones(2)[2]),
    ("getitem", IndexError, lambda lib: lib.ones(2)[-3]),
    ("getitem", IndexError, lambda lib: lib.ones(2)[0, 0]),
    ("getitem", IndexError, lambda lib: lib.tensor(1.0)[0]),
    ("getitem", IndexError, lambda lib: lib.ones(2)[lib.tensor([0, 5])]),
    ("getitem", IndexError, lambda lib: lib.ones(2)[lib.ones(1)]),
    ("getitem", IndexError, lambda lib: lib.ones(2)[lib.tensor([True, False, True])]),
    ("getitem", IndexError, lambda lib: lib.ones(2, 2)[lib.tensor([0, 1]), lib.tensor([0, 1, 0])]),
    ("getitem", ValueError, lambda lib: lib.ones(2)[::-1]),
    ("getitem", (IndexError, TypeError), lambda lib: lib.ones(2)[1.5]),
    ("getitem", (IndexError, TypeError), lambda lib: lib.ones(2)["a"]),
    ("gather", RuntimeError, lambda lib: lib.ones(2, 3).gather(0, lib.tensor([0, 1]))),
    ("gather", RuntimeError, lambda lib: lib.ones(2, 3).gather(0, lib.tensor([[0, 0, 0, 0]]))),
    ("gather", RuntimeError, lambda lib: lib.ones(2).gather(0, lib.tensor([2]))),
    ("gather", RuntimeError, lambda lib: lib.ones(2).gather(0, lib.tensor([-1]))),
    ("gather", RuntimeError, lambda lib: lib.ones(2).gather(0, lib.ones(1))),
    ("gather", IndexError, lambda lib: lib.ones(2).gather(1, lib.tensor([0]))),
    (
        "scatter_add",
        RuntimeError,
        lambda lib: lib.zeros(3).scatter_add(0, lib.tensor([0, 1, 1]), lib.ones(2)),
    ),
    (
        "scatter_add",
        RuntimeError,
        lambda lib: lib.zeros(3).scatter_add(0, lib.tensor([0, 5]), lib.ones(2)),
    ),
    (
        "scatter_add",
        RuntimeError,
        lambda lib: lib.zeros(3).scatter_add(0, lib.tensor([0]), lib.tensor([1])),
    ),
]


@pytest.mark.parametrize(
    ("name", "kind", "call"), REFUSED, ids=[f"{row[0]}-{i}" for i, row in enumerate(REFUSED)]
)
def test_what_torch_refuses_is_refused_with_its_kind_of_error(
    name: str, kind: Any, call: Callable[[Any], Any]
) -> None:
    with pytest.raises(kind):
        call(torch)
    with pytest.raises(kind) as caught:
        call(tt)
    assert name in str(caught.value)


def test_a_free_function_wants_at_least_one_tensor() -> None:
    for call in (lambda: tt.exp(2.0), lambda: tt.add(1, 2), lambda: tt.tanh(np.ones(2))):
        with pytest.raises(TypeError, match="Tensor"):
            call()


@pytest.mark.parametrize(
    "call",
    [
        lambda lib: lib.add(input=lib.ones(2), other=lib.ones(2)),
        lambda lib: lib.sub(lib.ones(2), other=3),
        lambda lib: lib.tanh(input=lib.ones(2)),
        lambda lib: lib.sum(input=lib.ones(2, 3), dim=1, keepdim=True),
        lambda lib: lib.sum(lib.ones(2, 3), axis=1, keepdims=True),
        lambda lib: lib.ones(2, 3).sum(dim=[]),
        lambda lib: lib.ones(2, 3).mean(dim=(0, 1)),
        lambda lib: lib.ones(2, 3).sum(axis=0),
        lambda lib: lib.prod(input=lib.tensor([2, 3]), dim=0, keepdim=True),
        lambda lib: lib.tensor([2.0, 3.0]).prod(axis=0, dtype=lib.float64),
        lambda lib: lib.tensor([1, 2]).mean(dtype=lib.float32),
        lambda lib: lib.sum(input=lib.ones(2), dtype=lib.float64),
        lambda lib: lib.tensor([True, True]).sum(dtype=lib.uint8),
        lambda lib: lib.cumsum(input=lib.ones(2, 3), dim=1),
        lambda lib: lib.tensor([True, True]).cumsum(axis=0),
        lambda lib: lib.tensor([2, 3], dtype=lib.int32).cumprod(0),
        lambda lib: lib.tensor([2.0, 3.0]).cumprod_(0),
        lambda lib: lib.tensor([2.0, 3.0]).cumsum_(dim=0),
        lambda lib: lib.var(input=lib.arange(4.0), axis=0, keepdims=True),
        lambda lib: lib.arange(4.0).std(unbiased=False),
        lambda lib: lib.arange(4.0).std(0, True, True),
        lambda lib: lib.arange(4.0).var(dim=[], correction=0),
        lambda lib: lib.median(input=lib.tensor([3, 1, 2, 4])),
        lambda lib: lib.median(lib.tensor([[3.0, 1.0]]), dim=1, keepdim=True).values,
        lambda lib: lib.tensor([[3.0, 1.0, 2.0]]).median(axis=-1).indices,
        lambda lib: lib.median(lib.ones(0)),
        lambda lib: lib.norm(input=lib.arange(4.0), p=3, dim=0),
        lambda lib: lib.arange(4.0).norm(keepdim=True),
        lambda lib: lib.arange(4.0).norm(p=float("inf"), dtype=lib.float64),
        lambda lib: lib.linalg.norm(lib.arange(4.0).reshape(2, 2), ord=1, dim=(0, 1)),
        lambda lib: lib.linalg.vector_norm(lib.arange(4.0), ord=1, dim=0, keepdim=True),
        lambda lib: lib.linalg.matrix_norm(lib.arange(8.0).reshape(2, 2, 2), dtype=lib.float64),
        lambda lib: lib.count_nonzero(input=lib.arange(4), dim=0),
        lambda lib: lib.aminmax(lib.arange(4), dim=0, keepdim=True).max,
        lambda lib: lib.arange(4.0).aminmax().min,
        lambda lib: lib.all(lib.ones(2, 3), dim=(0, 1), keepdim=True),
        lambda lib: lib.argmax(lib.ones(2, 3), keepdim=True),
        lambda lib: lib.unflatten(input=lib.arange(6), dim=0, sizes=(2, 3)),
        lambda lib: lib.broadcast_to(input=lib.ones(3), size=(2, 3)),
        lambda lib: lib.ones(3).broadcast_to(2, 3),
        lambda lib: lib.movedim(lib.ones(2, 3), source=0, destination=1),
        lambda lib: lib.swapaxes(lib.ones(2, 3), axis0=0, axis1=1),
        lambda lib: lib.swapdims(lib.ones(2, 3), dim0=0, dim1=1),
        lambda lib: lib.roll(lib.arange(6), shifts=2, dims=0),
        lambda lib: lib.arange(3).repeat((2, 2)),
        lambda lib: lib.tile(lib.arange(3), dims=(2, 2)),
        lambda lib: lib.repeat_interleave(lib.tensor([1, 0, 2])),
        lambda lib: lib.repeat_interleave(lib.arange(3), repeats=2, output_size=6),
        lambda lib: lib.tensor_split(lib.arange(5), lib.tensor([1, 3]))[1],
        lambda lib: lib.tensor_split(lib.arange(5), lib.tensor(2))[0],
        lambda lib: lib.tensor_split(lib.arange(5), indices=[1, 3])[2],
        lambda lib: lib.narrow(input=lib.arange(5), dim=0, start=1, length=2),
        lambda lib: lib.select(input=lib.ones(2, 3), dim=1, index=0),
        lambda lib: lib.diagonal(lib.ones(2, 3), offset=1, dim1=0, dim2=1),
        lambda lib: lib.diag(lib.arange(3), diagonal=1),
        lambda lib: lib.tril(input=lib.ones(3, 3), diagonal=-1),
        lambda lib: lib.ones(3, 3).triu_(1),
        lambda lib: lib.ones(3, 3).tril_(),
        lambda lib: lib.arange(5).unfold(dimension=0, size=2, step=2),
        lambda lib: lib.nn.functional.pad(lib.arange(3), pad=(1, 1), value=2.5),
        lambda lib: lib.nn.functional.pad(lib.tensor([True]), (1, 1)),
        lambda lib: lib.nn.functional.pad(lib.arange(3)[None], (1, 1), mode="replicate"),
        lambda lib: lib.ravel(lib.ones(2, 3)),
        lambda lib: lib.softmax(input=lib.ones(2, 3), dim=1),
        lambda lib: lib.ones(2, 3).softmax(dim=-1),
        lambda lib: lib.ones(2, 3).argmax(dim=1, keepdim=True),
        lambda lib: lib.ones(2, 3).squeeze(dim=0),
        lambda lib: lib.unsqueeze(lib.ones(2), dim=0),
        lambda lib: lib.ones(2, 3).permute(dims=(1, 0)),
        lambda lib: lib.ones(2, 3).reshape((3, 2)),
        lambda lib: lib.ones(2, 3).reshape(lib.Size([3, 2])),
        lambda lib: lib.reshape(lib.ones(2, 3), (-1,)),
        lambda lib: lib.ones(2, 3).view(6),
        lambda lib: lib.ones(2, 1).expand((2, 3)),
        lambda lib: lib.transpose(lib.ones(2, 3), dim0=0, dim1=1),
        lambda lib: lib.ones(2, 3).flip((0, 1)),
        lambda lib: lib.flip(lib.ones(2, 3), dims=[0]),
        lambda lib: lib.flatten(lib.ones(2, 3, 4), start_dim=1),
        lambda lib: lib.cat(tensors=[lib.ones(2), lib.ones(3)], dim=0),
        lambda lib: lib.cat((lib.ones(2, 1), lib.ones(2, 1)), axis=1),
        lambda lib: lib.stack((lib.ones(2), lib.ones(2)), dim=1),
        lambda lib: lib.where(lib.tensor([True, False]), lib.ones(2), 0.0),
        lambda lib: lib.ones(2).where(lib.tensor([True, False]), 0.0),
        lambda lib: lib.clamp(lib.ones(2), max=0.5),
        lambda lib: lib.ones(2).clamp(min=2),
        lambda lib: lib.pow(lib.ones(2), exponent=2),
        lambda lib: lib.max(lib.tensor([1.0, 5.0]), lib.tensor([2.0, 3.0])),
        lambda lib: lib.min(lib.tensor([[1.0, 5.0]]), dim=1).values,
        lambda lib: lib.tensor([[1.0, 5.0]]).max(dim=1).indices,
        lambda lib: lib.tensor([[1.0, 5.0]]).max(1, keepdim=True)[0],
        lambda lib: lib.max(lib.tensor([1.0, 5.0])),
        lambda lib: lib.gather(lib.ones(2, 3), dim=1, index=lib.tensor([[0], [1]])),
        lambda lib: lib.zeros(3).scatter_add(0, index=lib.tensor([0]), src=lib.ones(1)),
        lambda lib: lib.split(lib.arange(4), split_size_or_sections=[1, 3], dim=0)[1],
        lambda lib: lib.chunk(lib.arange(5), chunks=2)[0],
        lambda lib: lib.ones(2).masked_fill(mask=lib.tensor([True, False]), value=3),
        lambda lib: lib.matmul(input=lib.ones(2, 2), other=lib.ones(2)),
        lambda lib: lib.mm(lib.ones(2, 2), lib.ones(2, 2)),
        lambda lib: lib.ones(2, 2).t().T.mT,
        lambda lib: lib.t(lib.ones(2, 3)),
        lambda lib: lib.adjoint(lib.ones(1, 2, 3)),
        lambda lib: lib.concat((lib.ones(2), lib.ones(3))),
        lambda lib: lib.concatenate([lib.ones(2, 1), lib.ones(2, 1)], axis=-1),
        lambda lib: lib.cat([lib.ones(0), lib.ones(0)], 1),
        lambda lib: lib.empty(lib.broadcast_shapes((2, 1), 3, (1, 1, 1))).shape[0] * lib.ones(1),
        lambda lib: lib.flip(lib.tensor(2.0), (0,)),
        lambda lib: lib.tensor(2.0).flip(()),
        lambda lib: lib.ones(0, 3).chunk(2)[1],
        lambda lib: lib.ones(0).split(0)[0],
        lambda lib: lib.ones(0).roll((1, 2), (0, 1)),
        lambda lib: lib.tensor_split(lib.ones(3), tensor_indices_or_sections=lib.tensor(2))[0],
        lambda lib: lib.ones(2, 3).gather(0, lib.zeros(0, dtype=lib.int64)),
        lambda lib: lib.ones(2, 3).scatter(0, lib.zeros(0, dtype=lib.int64), lib.ones(2, 3)),
        lambda lib: lib.ones(2, 3).view(lib.int32),
        lambda lib: lib.addr(lib.tensor([[True]]), lib.tensor([True]), lib.tensor([True])),
        lambda lib: lib.arange(6).reshape(2, 3)[1:, [0, 2]],
        lambda lib: lib.arange(6).reshape(2, 3)[lib.arange(6).reshape(2, 3) > 2],
        lambda lib: lib.arange(6).reshape(2, 3).to(lib.float64).type_as(lib.ones(1)),
    ],
)
def test_a_call_of_torch_runs_as_it_is(call: Callable[[Any], Any]) -> None:
    same(call(tt), call(torch))


def _stretched(x: Any) -> Any:
    return x[:1].expand(3, 4)


@pytest.mark.parametrize(
    "layout",
    [lambda x: x, lambda x: x.t(), lambda x: x[:, ::2], lambda x: x[:, 1:].t(), _stretched],
)
@pytest.mark.parametrize(
    "copy",
    [
        lambda lib, x: x.clone(),
        lambda lib, x: x.to(x.dtype, copy=True),
        lambda lib, x: x.to(lib.float32),
        lambda lib, x: x.flip(0),
        lambda lib, x: x.contiguous(),
        lambda lib, x: x.ravel(),
    ],
)
def test_a_copy_lies_in_memory_as_in_torch(copy: Any, layout: Any) -> None:
    found = []
    for lib in (tt, torch):
        x = layout(lib.arange(12, dtype=lib.float64).reshape(3, 4))
        y = copy(lib, x)
        found.append((y.tolist(), y.stride()))
    assert found[0] == found[1]


VIEWS: list[Callable[[Any], Any]] = [
    lambda x: x.ravel(),
    lambda x: x.unflatten(1, (2, 2)),
    lambda x: x.broadcast_to(4, 4),
    lambda x: x.movedim(0, 1),
    lambda x: x.swapaxes(0, 1),
    lambda x: x.narrow(1, 1, 2),
    lambda x: x.select(0, 1),
    lambda x: x.diagonal(1),
    lambda x: x.tensor_split(2)[1],
    lambda x: x.unfold(1, 2, 2),
    lambda x: x.t().unfold(0, 2, 3),
    lambda x: x[1:].unfold(0, 1, 1),
    lambda x: x.mT,
    lambda x: x.H,
    lambda x: x.reshape_as(x),
    lambda x: x.squeeze().ravel().unfold(0, 4, 4),
]


@pytest.mark.parametrize("view", VIEWS)
def test_what_is_written_into_a_view_is_in_its_base_and_in_the_gradient(view: Any) -> None:
    results = []
    for lib in (tt, torch):
        leaf = lib.arange(16, dtype=lib.float64).reshape(4, 4).requires_grad_()
        base = leaf * 1
        part = view(base)
        part.mul_(3)
        base.mul_(2)
        loss = (base * base).sum() + (part * part).sum()
        loss.backward()
        results.append((base, part, leaf.grad))
    for a, b in zip(*results, strict=True):
        same(a, b)


COPIES: list[Callable[[Any, Any], Any]] = [
    lambda lib, x: x.repeat(1, 1),
    lambda lib, x: lib.tile(x, (1,)),
    lambda lib, x: lib.repeat_interleave(x, 1, 0),
    lambda lib, x: lib.roll(x, 0),
    lambda lib, x: lib.diag(x),
    lambda lib, x: lib.tril(x, 4),
    lambda lib, x: lib.nn.functional.pad(x, (0, 0)),
    lambda lib, x: lib.nn.functional.pad(x, (0, 0), "reflect"),
    lambda lib, x: lib.hstack([x]),
    lambda lib, x: lib.cumsum(x[:1], 0),
    lambda lib, x: x.t().ravel(),
]


@pytest.mark.parametrize("copy", COPIES)
def test_what_torch_copies_is_copied(copy: Any) -> None:
    for lib in (torch, tt):
        x = lib.ones(4, 4)
        copy(lib, x).zero_()
        assert bool((x == 1).all())


def test_windows_that_overlap_are_not_written() -> None:
    with pytest.raises(RuntimeError, match="mul_"):
        tt.ones(3).unfold(0, 2, 1).mul_(2)


def test_a_window_of_memory_with_gaps_has_the_right_numbers() -> None:
    memory = torch.arange(40.0).reshape(4, 10)[:, ::2].numpy()
    ours = tt.from_numpy(memory).unfold(1, 2, 2)
    same(ours, torch.from_numpy(memory).unfold(1, 2, 2))


# -- the table itself


def test_every_primitive_is_in_the_table() -> None:
    for module in pkgutil.walk_packages(tt.__path__, "tinytensor."):
        importlib.import_module(module.name)
    assert set(PRIMITIVES) == {row.op for row in ROWS}


def test_no_sample_is_near_a_kink() -> None:
    for row in ROWS:
        values = [a.ravel() for a in row.arrays() if a.dtype.kind == "f"]
        if not at_a_kink(row) and values:
            together = np.concatenate(values)
            assert np.all(np.abs(together) >= 0.3)
            assert np.all(np.diff(np.sort(np.abs(together))) > 1e-4)
