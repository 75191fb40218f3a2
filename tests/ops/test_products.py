"""Products, convolution and attention: refusals, masks and what torch has no row for."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytensor as tt

torch = pytest.importorskip("torch")

REFUSED: list[tuple[str, Any, Callable[[Any], Any]]] = [
    ("mm", RuntimeError, lambda lib: lib.mm(lib.ones(2), lib.ones(2, 2))),
    ("mm", RuntimeError, lambda lib: lib.mm(lib.ones(2, 3), lib.ones(2, 3))),
    ("mm", RuntimeError, lambda lib: lib.mm(lib.ones(2, 2), lib.ones(2, 2, dtype=lib.float64))),
    ("mm", RuntimeError, lambda lib: lib.mm(lib.ones(2, 2), lib.ones(1, 2, 2))),
    ("bmm", RuntimeError, lambda lib: lib.bmm(lib.ones(2, 3, 4), lib.ones(1, 4, 2))),
    ("bmm", RuntimeError, lambda lib: lib.bmm(lib.ones(2, 3, 4), lib.ones(2, 3, 2))),
    ("mv", RuntimeError, lambda lib: lib.mv(lib.ones(2, 3), lib.ones(2))),
    ("dot", RuntimeError, lambda lib: lib.dot(lib.ones(2), lib.ones(3))),
    ("dot", RuntimeError, lambda lib: lib.dot(lib.ones(2, 2), lib.ones(2))),
    ("outer", RuntimeError, lambda lib: lib.outer(lib.ones(2), lib.ones(2, 2))),
    ("matmul", RuntimeError, lambda lib: lib.tensor([[True]]) @ lib.tensor([[True]])),
    (
        "addmm",
        RuntimeError,
        lambda lib: lib.addmm(lib.ones(4, 2, 2), lib.ones(2, 2), lib.ones(2, 2)),
    ),
    (
        "addmm",
        RuntimeError,
        lambda lib: lib.addmm(lib.ones(2, dtype=lib.float64), lib.ones(2, 2), lib.ones(2, 2)),
    ),
    ("addmv", RuntimeError, lambda lib: lib.addmv(lib.ones(3), lib.ones(2, 2), lib.ones(2))),
    ("trace", RuntimeError, lambda lib: lib.trace(lib.ones(2))),
    ("einsum", RuntimeError, lambda lib: lib.einsum("ii->ii", lib.ones(3, 3))),
    ("einsum", RuntimeError, lambda lib: lib.einsum("ij->ijk", lib.ones(3, 1))),
    ("einsum", RuntimeError, lambda lib: lib.einsum("ij", lib.ones(3))),
    ("einsum", RuntimeError, lambda lib: lib.einsum("i", lib.ones(3, 2))),
    ("einsum", RuntimeError, lambda lib: lib.einsum("ij,jk", lib.ones(3, 2))),
    ("einsum", RuntimeError, lambda lib: lib.einsum("ij,jk", lib.ones(3, 2), lib.ones(3, 2))),
    ("einsum", RuntimeError, lambda lib: lib.einsum("i1", lib.ones(2, 3))),
    ("einsum", RuntimeError, lambda lib: lib.einsum("i..j", lib.ones(2, 3))),
    ("einsum", RuntimeError, lambda lib: lib.einsum("i...j...", lib.ones(2, 3))),
    ("einsum", RuntimeError, lambda lib: lib.einsum("ii", lib.ones(2, 1))),
    ("einsum", RuntimeError, lambda lib: lib.einsum("ij->i->j", lib.ones(2, 3))),
    ("einsum", ValueError, lambda lib: lib.einsum("ij")),
    ("tensordot", RuntimeError, lambda lib: lib.tensordot(lib.ones(2, 3), lib.ones(3, 2), 3)),
    ("tensordot", RuntimeError, lambda lib: lib.tensordot(lib.ones(2, 3), lib.ones(3, 2), -1)),
    ("tensordot", RuntimeError, lambda lib: lib.tensordot(lib.ones(2, 3), lib.ones(4, 2), 1)),
    (
        "tensordot",
        RuntimeError,
        lambda lib: lib.tensordot(lib.ones(2, 3), lib.ones(3, 2), ([0, 1], [0])),
    ),
    (
        "tensordot",
        IndexError,
        lambda lib: lib.tensordot(lib.ones(2, 3), lib.ones(3, 2), ([5], [0])),
    ),
    ("conv1d", RuntimeError, lambda lib: _convolve(lib, (1, 2, 5), (3, 2, 6))),
    ("conv1d", RuntimeError, lambda lib: _convolve(lib, (1, 2, 5), (3, 1, 3))),
    ("conv1d", RuntimeError, lambda lib: _convolve(lib, (1, 2, 5), (3, 1, 3), groups=2)),
    ("conv1d", RuntimeError, lambda lib: _convolve(lib, (1, 2, 5), (3, 2, 3), stride=0)),
    ("conv1d", RuntimeError, lambda lib: _convolve(lib, (1, 2, 5), (3, 2, 3), padding=-1)),
    ("conv1d", RuntimeError, lambda lib: _convolve(lib, (1, 2, 5), (3, 2, 3), padding="full")),
    (
        "conv1d",
        RuntimeError,
        lambda lib: _convolve(lib, (1, 2, 5), (3, 2, 3), stride=2, padding="same"),
    ),
    ("conv1d", RuntimeError, lambda lib: _convolve(lib, (1, 2, 5), (3, 2, 3), bias=lib.ones(2))),
    ("conv1d", RuntimeError, lambda lib: _convolve(lib, (5,), (3, 2, 3))),
    ("attention", RuntimeError, lambda lib: _attend(lib, lib.ones(3, 5), is_causal=True)),
    ("attention", RuntimeError, lambda lib: _attend(lib, lib.ones(3, 5, dtype=lib.int64))),
    ("attention", RuntimeError, lambda lib: _attend(lib, None, dropout_p=1.5)),
    ("normalize", IndexError, lambda lib: lib.nn.functional.normalize(lib.ones(3))),
    (
        "cosine_similarity",
        RuntimeError,
        lambda lib: lib.nn.functional.cosine_similarity(lib.ones(2, 3), lib.ones(4)),
    ),
]


def _convolve(lib: Any, x: tuple[int, ...], weight: tuple[int, ...], **options: Any) -> Any:
    return lib.nn.functional.conv1d(lib.ones(*x), lib.ones(*weight), **options)


def _attend(lib: Any, mask: Any, **options: Any) -> Any:
    q, k, v = lib.ones(3, 4), lib.ones(5, 4), lib.ones(5, 2)
    return lib.nn.functional.scaled_dot_product_attention(q, k, v, mask, **options)


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
    expected = "vector_norm" if name == "normalize" else name
    assert expected in str(caught.value)


def test_a_factor_of_zero_hides_what_is_not_a_number() -> None:
    bad = tt.full((2, 2), float("nan"))
    good = tt.ones(2, 2)
    assert tt.addmm(bad, good, good, beta=0).tolist() == [[2.0, 2.0], [2.0, 2.0]]
    assert tt.addmm(good, bad, good, alpha=0).tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_an_even_kernel_with_same_padding_puts_the_larger_half_behind() -> None:
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(2, 3, 6)), rng.normal(size=(4, 3, 4))
    ours = tt.conv1d(tt.from_numpy(x), tt.from_numpy(weight), padding="same")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that it copies the input
        theirs = torch.conv1d(torch.from_numpy(x), torch.from_numpy(weight), padding="same")
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12, atol=1e-12)


def test_a_query_that_may_attend_to_nothing_gets_zeros_and_zero_gradients() -> None:
    attention = tt.nn.functional.scaled_dot_product_attention
    q = tt.tensor([[1.0, 2.0], [3.0, -1.0]], requires_grad=True)
    k = tt.tensor([[0.5, 1.0], [2.0, 0.0]], requires_grad=True)
    for mask in (
        tt.tensor([[True, True], [False, False]]),
        tt.tensor([[0.0, 0.0], [-float("inf"), -float("inf")]]),
    ):
        y = attention(q, k, tt.tensor([[1.0], [2.0]]), mask)
        assert y[1].tolist() == [0.0]
        q.grad = k.grad = None
        y.sum().backward()
        assert q.grad is not None and k.grad is not None
        assert q.grad[1].tolist() == [0.0, 0.0]
        assert tt.isfinite(k.grad).all()


def test_attention_drops_out_weights() -> None:
    attention = tt.nn.functional.scaled_dot_product_attention
    tt.manual_seed(0)
    y = attention(tt.zeros(1, 2), tt.zeros(1000, 2), tt.eye(1000), dropout_p=0.25)
    kept = y.numpy() > 0
    assert 0.7 < kept.mean() < 0.8
    np.testing.assert_allclose(y.numpy()[kept], 1 / 750, rtol=1e-5)
