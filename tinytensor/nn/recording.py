"""Whom the recurrent layers and cells tell what they compute: the record open in this thread.

`bptt.record` puts itself here for its `with` block. A layer or cell asks it for a note to write on;
nothing here knows what becomes of the notes.
"""

from __future__ import annotations

import threading
from typing import Any


class _Open(threading.local):
    """recorder : the open `bptt.Record`, or None."""

    def __init__(self) -> None:
        self.recorder: Any = None


opened = _Open()
