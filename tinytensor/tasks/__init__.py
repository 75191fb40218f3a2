"""Toy sequence tasks as their papers define them, with the papers' criteria of success.

>>> import tinytensor as tt
>>> task = tt.tasks.Adding(length=100)
>>> x, lengths, y = task.batch(4, tt.Generator().manual_seed(0))
>>> x.shape[1:], y.shape
(torch.Size([4, 2]), torch.Size([4, 1]))
>>> task.correct(y + 0.03, tt.tasks.Batch(x, lengths, y))
tensor([True, True, True, True])
"""

from .hochreiter import Adding, Multiplication, TemporalOrder
from .memory import CopyMemory, Echo, Parity
from .reber import EmbeddedReber
from .task import Batch, Task

__all__ = [
    "Adding",
    "Batch",
    "CopyMemory",
    "Echo",
    "EmbeddedReber",
    "Multiplication",
    "Parity",
    "Task",
    "TemporalOrder",
]
