"""What belongs to no other room, in torch's places; data, text and progress bars."""

from . import checkpoint, data, progress, text

__all__ = ["checkpoint", "data", "progress", "text"]
