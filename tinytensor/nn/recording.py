"""Whom the recurrent layers and cells tell what they compute: the record open in this thread.

`bptt.record` puts itself here for its `with` block. A layer asks it for a note to write on, a cell
tells it of each call once it is done; nothing here knows what becomes of that.
"""

from __future__ import annotations

import threading
from typing import Any


class _Open(threading.local):
    """recorder : the open `bptt.Record`, or None."""

    def __init__(self) -> None:
        self.recorder: Any = None


opened = _Open()
