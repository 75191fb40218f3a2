"""Scans as one compiled loop over the sequence: the extra `fast`. Never needed, found if there."""
