"""Seals every test: it starts from seed 0 and hands back the global state that it found."""

import os
import random
import sys
from collections.abc import Iterator
from types import ModuleType

import hypothesis
import numpy as np
import pytest

import tinytensor as tt

# The kernels' form on whole arrays is what most tests are about; `tests/nn/test_compiled.py` holds
# the compiled form to it, and asks for that by hand.
os.environ.setdefault("TINYTENSOR_KERNELS", "numpy")

# No deadline, because a shared machine stalls; on CI the same examples every time.
hypothesis.settings.register_profile(
    "tinytensor", deadline=None, max_examples=50, derandomize="CI" in os.environ
)
hypothesis.settings.load_profile("tinytensor")


def libraries() -> list[ModuleType]:
    """tinytensor, and torch once a test has imported it: they name this state alike."""
    return [tt, sys.modules["torch"]] if "torch" in sys.modules else [tt]


@pytest.fixture(autouse=True)
def sealed_global_state() -> Iterator[None]:
    found = [(lib, lib.is_grad_enabled(), lib.get_default_dtype()) for lib in libraries()]
    random.seed(0)
    for lib in libraries():
        lib.manual_seed(0)
    yield
    for lib, grad_enabled, dtype in found:
        lib.set_grad_enabled(grad_enabled)
        lib.set_default_dtype(dtype)


@pytest.fixture
def rng() -> np.random.Generator:
    """NumPy's own random numbers, for a test's inputs; the same ones in every run."""
    return np.random.default_rng(0)
