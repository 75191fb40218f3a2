"""What several files of tests of the engine use."""

from collections.abc import Iterator

import pytest

from tinytensor.autograd.primitive import PRIMITIVES


@pytest.fixture
def private_primitives() -> Iterator[None]:
    """Primitives declared in a test go with it."""
    before = set(PRIMITIVES)
    yield
    for name in set(PRIMITIVES) - before:
        del PRIMITIVES[name]
