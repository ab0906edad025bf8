"""A process that appends until it is killed, and says on stdout which commits were acknowledged. See test_crash."""

from __future__ import annotations

import asyncio
import sys
from uuid import UUID, uuid4, uuid5

from commands.ports import Commit, StreamAppend
from infra.eventstore.pool import create_pool
from infra.eventstore.store import PostgresEventStore
from tests.integration.eventstore.counting import Increased, metadata


def commit_of(message: UUID) -> Commit:
    """Three events in two streams, and an inbox row."""
    appends = (
        StreamAppend(uuid5(message, "first"), 0, (Increased(), Increased())),
        StreamAppend(uuid5(message, "second"), 0, (Increased(),)),
    )
    return Commit(metadata(), appends, inbox=message)


async def _append(store: PostgresEventStore) -> None:
    while True:
        message = uuid4()
        await store.commit(commit_of(message))
        print(message, flush=True)  # noqa: T201 - what this program is for


async def _main(url: str, context: str) -> None:
    async with await create_pool(url) as pool, PostgresEventStore(pool, context) as store:
        await asyncio.gather(*(_append(store) for _ in range(30)))


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
