"""Who does what only one process may do at a time."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Leadership(Protocol):
    """The right to a role, kept by a lock in a context's PostgreSQL that ends with its holder."""

    def lead(self, role: str) -> AbstractAsyncContextManager[object]:
        """Wait until nobody else holds ``role``, then enter.

        When the lock is lost the body is cancelled at once, and a Temporary is raised from here.
        """
        ...
