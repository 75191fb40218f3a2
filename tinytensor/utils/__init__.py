"""What belongs to no other room, in torch's places."""

from . import checkpoint

__all__ = ["checkpoint"]
