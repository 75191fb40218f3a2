"""`check`: the gradients of a model against finite differences, and against torch."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from .. import dtypes
from ..autograd import unrolled
from ..autograd.checking import GradcheckError, KinkWarning, gradcheck
from ..tensor import Tensor
from .errors import CommandError
from .subject import Subject, subject_of

# A larger parameter is checked along a random direction: element by element takes two forward
# passes for each.
_ELEMENTS = 1000


def check(options: argparse.Namespace) -> int:
    """0 if all gradients are right, 1 if one is wrong."""
    with _in_float64():
        subject = subject_of(options)
        parameters = _checkable(subject)
        with unrolled() if options.unrolled else nullcontext():
            print(f"{subject.name}: loss {subject.loss().item():.6g}")
            right = _against_differences(subject, parameters)
            return 0 if _against_torch(subject) and right else 1


@contextmanager
def _in_float64() -> Iterator[None]:
    """New tensors are float64, in which differences are exact enough."""
    before = dtypes.get_default_dtype()
    dtypes.set_default_dtype(dtypes.float64)
    try:
        yield
    finally:
        dtypes.set_default_dtype(before)


def _checkable(subject: Subject) -> dict[str, Tensor]:
    """The parameters by name. Raises CommandError if they can't be checked."""
    found: dict[str, Tensor] = {
        name: p for name, p in subject.model.named_parameters() if p.requires_grad
    }
    if not found:
        raise CommandError(
            "expected `model` to have parameters that require grad, got none; check needs one"
        )
    for name, parameter in found.items():
        if parameter.dtype != dtypes.float64:
            raise CommandError(
                "expected parameters of float64, which is the default while check runs, got "
                f"{name} of {parameter.dtype}; leave .float() and dtype= away where it is made"
            )
    return found


def _against_differences(subject: Subject, parameters: dict[str, Tensor]) -> bool:
    print("\nbackward against central differences of the loss, in float64")
    width = max(len(name) for name in parameters)
    wrong = []
    for name, parameter in parameters.items():
        elementwise = parameter.numel() <= _ELEMENTS
        fault = _fault(subject, parameter, elementwise)
        how = "element by element" if elementwise else "along a random direction"
        print(
            f"{name:{width}}  {tuple(parameter.shape)!s:10}  {'WRONG' if fault else 'equal'}, {how}"
        )
        if fault:
            wrong.append(fault)
    for fault in wrong:
        print(f"\n{fault}")
    count = len(parameters)
    if wrong:
        print(f"\nWRONG: the gradients of {len(wrong)} of {count} parameters")
    else:
        print(f"equal: the gradients of {count} of {count} parameters")
    return not wrong


def _fault(subject: Subject, parameter: Tensor, elementwise: bool) -> str:
    """What is wrong with the gradient of a parameter; empty if nothing is."""
    with warnings.catch_warnings():
        # at a kink, one that is right on both sides is right
        warnings.simplefilter("ignore", KinkWarning)
        try:
            gradcheck(lambda _: subject.loss(), (parameter,), fast_mode=not elementwise)
        except GradcheckError as error:
            return str(error)
    return ""


def _against_torch(subject: Subject) -> bool:
    if subject.against_torch is None:
        print(
            "\ntorch: not compared, as the file's model has no twin there (autograd.check_against)"
        )
        return True
    try:
        comparison = subject.against_torch()
    except ImportError:
        print("\ntorch: not compared, as it is not installed")
        return True
    print("\nthe same model in torch, with the same weights")
    print(comparison)
    return bool(comparison)
