"""What can go wrong with the servers that the platform carries with it."""

from __future__ import annotations


class EmbeddedError(Exception):
    """Base of this package's errors. The text is for the person who started the platform."""


class DataDirInUse(EmbeddedError):
    """Another platform runs on the same data directory."""


class NoAccount(EmbeddedError):
    """Started as root where no unprivileged account can run the servers."""


class EmbeddedFailed(EmbeddedError):
    """A server did not start. The text names its log and quotes the end of it."""
