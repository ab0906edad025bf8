"""Clients' idempotency keys: claimed before a request is handled, finished in the commit of its events.

A claim only spares two attempts the trouble of working at once. What keeps a request from taking effect twice is the
primary key of the finished row.
"""

from __future__ import annotations

from uuid import UUID

import asyncpg

from commands.ports import Answer, Idempotency, IdempotencyMismatch, RequestInFlight
from infra.eventstore.batch import FINISHED, answer_in
from infra.eventstore.sql import in_schema

# A claim that a crash of the server forgets does no harm, so nobody waits for it to reach the disk.
_CLAIM = """
INSERT INTO @idempotency AS held (scope, key, finished, fingerprint, owner)
SELECT $1, $2, false, $3, $4
WHERE NOT EXISTS (SELECT FROM @idempotency WHERE scope = $1 AND key = $2 AND finished)
ON CONFLICT (scope, key, finished) DO UPDATE SET owner = excluded.owner, claimed_at = now()
WHERE held.fingerprint = excluded.fingerprint
  AND (held.owner = excluded.owner OR held.claimed_at < now() - interval '30 s')
RETURNING set_config('synchronous_commit', 'off', true)"""
_CLAIMED_FOR = "SELECT fingerprint FROM @idempotency WHERE scope = $1 AND key = $2 AND NOT finished"
_RELEASE = "DELETE FROM @idempotency WHERE scope = $1 AND key = $2 AND NOT finished AND fingerprint = $3"


class IdempotencyKeys:
    """The table ``idempotency`` of one context."""

    def __init__(self, pool: asyncpg.Pool, context: str) -> None:
        self._pool = pool
        self._claim = in_schema(_CLAIM, context)
        self._claimed_for = in_schema(_CLAIMED_FOR, context)
        self._finished = in_schema(FINISHED, context)
        self._release = in_schema(_RELEASE, context)

    async def claim(self, wanted: Idempotency, command_id: UUID) -> Answer | None:
        """See ``commands.ports.EventStore.claim``."""
        if await self._pool.fetchrow(self._claim, wanted.scope, wanted.key, wanted.fingerprint, command_id) is not None:
            return None
        finished = await self._pool.fetchrow(self._finished, wanted.scope, wanted.key)
        if finished is not None:
            _same_request(wanted, finished["fingerprint"])
            return answer_in(finished)
        claimed_for = await self._pool.fetchval(self._claimed_for, wanted.scope, wanted.key)
        if claimed_for is not None:
            _same_request(wanted, claimed_for)
        raise RequestInFlight(f"a request with the key {wanted.key!r} is being handled; ask again after a second")

    async def release(self, claimed: Idempotency) -> None:
        """See ``commands.ports.EventStore.release_claim``."""
        await self._pool.execute(self._release, claimed.scope, claimed.key, claimed.fingerprint)


def _same_request(wanted: Idempotency, fingerprint: str) -> None:
    if wanted.fingerprint != fingerprint:
        raise IdempotencyMismatch(
            f"the key {wanted.key!r} was used before for another request; use a new key for a new request"
        )
