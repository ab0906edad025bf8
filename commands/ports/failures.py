"""What is nobody's fault."""

from __future__ import annotations


class Temporary(Exception):
    """Base of failures that are nobody's fault but a server's that is away: wait and try again, park nothing."""
