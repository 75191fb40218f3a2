"""From the losses of all examples to one: none, mean or sum."""

from __future__ import annotations

import warnings

from ...tensor import Tensor


def wanted_reduction(
    size_average: bool | None, reduce: bool | None, reduction: str, stacklevel: int = 3
) -> str:
    """The reduction that torch's old arguments stand for, if one is given, else `reduction`."""
    if size_average is None and reduce is None:
        return reduction
    if reduce is False:
        reduction = "none"
    else:
        reduction = "sum" if size_average is False else "mean"
    warnings.warn(
        "size_average and reduce args will be deprecated, "
        f"please use reduction='{reduction}' instead.",
        stacklevel=stacklevel,
    )
    return reduction


def checked_reduction(
    name: str, size_average: bool | None, reduce: bool | None, reduction: str
) -> str:
    """The same; raises ValueError for any other word than "none", "mean" and "sum"."""
    wanted = wanted_reduction(size_average, reduce, reduction, stacklevel=4)
    if wanted not in ("none", "mean", "sum"):
        raise ValueError(f"{name}: expected reduction 'none', 'mean' or 'sum', got {wanted!r}")
    return wanted


def reduced(losses: Tensor, reduction: str, total: Tensor | None = None) -> Tensor:
    """All losses, their sum, or their mean: the sum over `total`, the number unless given."""
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    return losses.mean() if total is None else losses.sum() / total
