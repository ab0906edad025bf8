"""A fair sample of things that are met one after the other, of which each must be followed from its first mention."""

from __future__ import annotations

import heapq
from uuid import UUID


class Sample:
    """The ``size`` keys of lowest rank, by a rank that only chance knows; with ``size`` None all keys.

    The rank above which a key is refused only ever falls, so a key that is in the sample at the end has been in it
    since it was first met: whoever follows the members has missed nothing of them.
    """

    def __init__(self, size: int | None, salt: UUID) -> None:
        """Another ``salt`` is another sample."""
        self._size = size
        self._salt = salt
        self._members: set[str] = set()
        self._worst: list[tuple[int, str]] = []

    def meet(self, key: str) -> tuple[bool, str | None]:
        """Whether ``key`` is in the sample, and the key that had to leave it for that, if any."""
        if self._size is None or key in self._members:
            return True, None
        rank = hash((self._salt, key))
        if len(self._members) < self._size:
            return self._enter(rank, key), None
        if -self._worst[0][0] <= rank:
            return False, None
        _, leaving = heapq.heappop(self._worst)
        self._members.discard(leaving)
        return self._enter(rank, key), leaving

    def _enter(self, rank: int, key: str) -> bool:
        self._members.add(key)
        heapq.heappush(self._worst, (-rank, key))
        return True
