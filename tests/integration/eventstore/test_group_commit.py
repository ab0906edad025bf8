"""Many commits in one transaction, each standing for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import uuid4

import asyncpg
import pytest

from commands.ports import (
    Answer,
    Checkpoint,
    Commit,
    ConcurrencyConflict,
    DuplicateMessage,
    Position,
    StreamAppend,
    replace_metadata,
)
from infra.eventstore import batch as batches
from infra.eventstore.batch import BatchWriter, KnownHeads, Pending, pending_of
from infra.eventstore.errors import CommitOutcomeUnknown, EventStoreUnavailable
from infra.eventstore.group_commit import GroupCommit
from infra.eventstore.sql import in_schema
from infra.eventstore.store import PostgresEventStore
from tests.integration.eventstore.counting import Increased, append, metadata

WAITING = """
SELECT pid FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND query LIKE '%"' || $1 || '".stored_events%' AND pid <> pg_backend_pid()"""


async def outcomes_of(store: PostgresEventStore, commits: Sequence[Commit]) -> list[Position | BaseException]:
    """Submit all at once, so that they form one batch."""
    return await asyncio.gather(*(store.commit(commit) for commit in commits), return_exceptions=True)


def transactions(outcomes: Sequence[Position | BaseException]) -> list[int]:
    return [one.transaction_id for one in outcomes if isinstance(one, Position)]


async def test_commits_that_arrive_together_share_a_transaction(store: PostgresEventStore) -> None:
    outcomes = await outcomes_of(store, [append(uuid4(), 0, Increased()) for _ in range(100)])

    assert len(transactions(outcomes)) == 100
    assert len(set(transactions(outcomes))) == 1


async def test_a_conflict_harms_no_other_commit(store: PostgresEventStore) -> None:
    taken = uuid4()
    await store.commit(append(taken, 0, Increased()))
    commits = [append(uuid4(), 0, Increased()) for _ in range(50)]
    commits[20] = append(taken, 0, Increased())

    outcomes = await outcomes_of(store, commits)

    assert isinstance(outcomes.pop(20), ConcurrencyConflict)
    assert len(set(transactions(outcomes))) == 1
    assert len(outcomes) == 49
    assert len(await store.read_stream(taken)) == 1


async def test_of_two_commits_at_one_version_in_one_batch_the_first_wins(store: PostgresEventStore) -> None:
    stream = uuid4()
    commits = [append(uuid4(), 0, Increased()) for _ in range(10)]
    commits[3], commits[6] = append(stream, 0, Increased(by=3)), append(stream, 0, Increased(by=6))

    outcomes = await outcomes_of(store, commits)

    assert isinstance(outcomes.pop(6), ConcurrencyConflict)
    assert len(transactions(outcomes)) == 9
    assert len(set(transactions(outcomes))) == 1
    assert [recorded.event for recorded in await store.read_stream(stream)] == [Increased(by=3)]


async def test_a_commit_whose_rival_in_the_batch_fails_is_stored(store: PostgresEventStore) -> None:
    stream, message = uuid4(), uuid4()
    await store.commit(Commit(metadata(), inbox=message))

    first, second = await outcomes_of(
        store, [append(stream, 0, Increased(by=1), inbox=message), append(stream, 0, Increased(by=2))]
    )

    assert isinstance(first, DuplicateMessage)
    assert isinstance(second, Position)
    assert [recorded.event for recorded in await store.read_stream(stream)] == [Increased(by=2)]


async def test_a_message_that_comes_twice_in_one_batch_is_handled_once(store: PostgresEventStore) -> None:
    message, streams = uuid4(), (uuid4(), uuid4())

    first, second = await outcomes_of(
        store, [append(stream, 0, Increased(), inbox=message, body="told") for stream in streams]
    )

    assert isinstance(first, Position)
    assert isinstance(second, DuplicateMessage)
    assert second.answer == Answer(context="counting", position=str(first), body={"told": "told"})
    assert await store.read_stream(streams[1]) == []


async def test_content_that_postgresql_refuses_harms_no_other_commit(store: PostgresEventStore) -> None:
    unfit = replace_metadata(metadata(), actor="nul \x00")  # jsonb has no such character
    commits = [append(uuid4(), 0, Increased()) for _ in range(5)]
    commits[2] = Commit(unfit, (StreamAppend(uuid4(), 0, (Increased(),)),))

    outcomes = await outcomes_of(store, commits)

    assert isinstance(outcomes.pop(2), asyncpg.PostgresError)
    assert len(transactions(outcomes)) == 4


async def test_commits_on_one_stream_share_a_batch_when_each_follows_the_other(store: PostgresEventStore) -> None:
    stream = uuid4()
    outcomes = await outcomes_of(store, [append(stream, version, Increased(by=version)) for version in range(20)])

    assert len(set(transactions(outcomes))) == 1
    assert [recorded.event for recorded in await store.read_stream(stream)] == [Increased(by=by) for by in range(20)]


async def test_what_was_decided_upon_a_failed_commit_fails_although_its_version_fits(
    store: PostgresEventStore,
) -> None:
    stream = uuid4()
    await store.commit(append(stream, 0, Increased()))  # takes the version that the first of the chain wants

    first = store.submit(append(stream, 0, Increased()))
    second = store.submit(append(stream, 1, Increased()), after=first)
    third = store.submit(append(stream, 2, Increased()), after=second)
    outcomes = await asyncio.gather(first.outcome, second.outcome, third.outcome, return_exceptions=True)

    assert [type(one) for one in outcomes] == [ConcurrencyConflict] * 3
    assert len(await store.read_stream(stream)) == 1


async def test_a_commit_whose_connection_is_lost_is_stored_once(store: PostgresEventStore, pool: asyncpg.Pool) -> None:
    stream = uuid4()
    async with pool.acquire() as holder:
        holding = holder.transaction()
        await holding.start()
        await holder.execute(in_schema("LOCK TABLE @stored_events IN SHARE MODE", store.context))
        committing = asyncio.create_task(store.commit(append(stream, 0, Increased(), inbox=uuid4())))
        while (pid := await pool.fetchval(WAITING, store.context)) is None:
            pass
        await pool.fetchval("SELECT pg_terminate_backend($1)", pid)
        await holding.rollback()

    position = await committing

    (recorded,) = await store.read_stream(stream)
    assert recorded.position == position


class AnswerLost(BatchWriter):
    """A writer whose first statement is carried out, but whose answer never arrives."""

    lost = 0

    async def write(self, batch: Sequence[Pending]) -> list[Position]:
        positions = await super().write(batch)
        if not self.lost:
            self.lost = len(batch)
            raise ConnectionResetError("the answer is lost")
        return positions


@pytest.fixture
async def forgetful(store: PostgresEventStore, pool: asyncpg.Pool) -> tuple[GroupCommit, AnswerLost]:
    """A group commit over AnswerLost."""
    writer = AnswerLost(pool, store.context, KnownHeads())
    return GroupCommit(writer, lambda: None), writer


async def test_a_commit_whose_answer_is_lost_is_reported_as_what_it_became(
    store: PostgresEventStore, forgetful: tuple[GroupCommit, AnswerLost]
) -> None:
    group, writer = forgetful
    stream, message = uuid4(), uuid4()
    commits = [
        append(stream, 0, Increased(), inbox=uuid4()),
        append(uuid4(), 0, Increased(), Increased()),
        Commit(metadata(), inbox=message, answer=Answer(context="counting")),
        Commit(metadata(), checkpoints=(Checkpoint("feed", "counting", Position(3, 3)),)),
        append(stream, 1, Increased()),
    ]
    pending = [pending_of(commit, None, asyncio.get_running_loop().create_future()) for commit in commits]
    for one in pending:
        group.submit(one)

    positions = await asyncio.gather(*(one.outcome for one in pending))

    assert writer.lost == len(commits)
    recorded = await store.read_stream(stream)
    assert [one.position for one in recorded] == [positions[0], positions[4]]
    assert await store.checkpoint("feed", "counting") == Position(3, 3)
    assert await store.answer_of(message) == Answer(context="counting")
    assert await store.head() == positions[4]


class Away(BatchWriter):
    """A writer whose server is away: before anything is sent, or in the middle of it."""

    def __init__(self, *, before_sending: bool) -> None:
        self._before_sending = before_sending

    async def unfounded(self, batch: Sequence[Pending]) -> list[Pending]:
        del batch
        if self._before_sending:
            raise ConnectionRefusedError
        return []

    async def write(self, batch: Sequence[Pending]) -> list[Position]:
        for pending in batch:
            pending.sent = True
        raise asyncpg.ConnectionDoesNotExistError


@pytest.mark.parametrize(("before_sending", "error"), [(True, EventStoreUnavailable), (False, CommitOutcomeUnknown)])
async def test_when_the_server_stays_away_it_is_said_what_is_known(
    before_sending: bool, error: type[Exception]
) -> None:
    group = GroupCommit(Away(before_sending=before_sending), lambda: None, patience_seconds=0.05)
    pending = pending_of(append(uuid4(), 0, Increased()), None, asyncio.get_running_loop().create_future())
    group.submit(pending)

    with pytest.raises(error):
        await pending.outcome


async def test_a_closed_store_has_finished_what_was_begun_and_takes_no_more(pool: asyncpg.Pool, context: str) -> None:
    stream = uuid4()
    async with PostgresEventStore(pool, context) as store:
        pending = store.submit(append(stream, 0, Increased()))
    assert isinstance(pending.outcome.result(), Position)
    with pytest.raises(EventStoreUnavailable):
        await store.commit(append(stream, 1, Increased()))


async def test_who_goes_away_before_the_commit_is_sent_takes_it_along(store: PostgresEventStore) -> None:
    streams = [uuid4() for _ in range(3)]
    first = asyncio.create_task(store.commit(append(streams[0], 0, Increased())))
    while not first.done() and store.submit(append(streams[1], 0, Increased())).outcome.cancel():
        await asyncio.wait([first])
    assert await store.read_stream(streams[1]) == []
    assert len(await store.read_stream(streams[0])) == 1


async def test_processes_that_write_the_same_rows_crosswise_do_not_block_each_other(
    pool: asyncpg.Pool, context: str
) -> None:
    """Deadlocks are broken by PostgreSQL; the commits that were in one are settled like any conflict."""
    async with PostgresEventStore(pool, context) as one, PostgresEventStore(pool, context) as other:
        for _ in range(20):
            streams = [uuid4() for _ in range(10)]
            ours, theirs = await asyncio.gather(
                outcomes_of(one, [append(stream, 0, Increased(by=1)) for stream in streams]),
                outcomes_of(other, [append(stream, 0, Increased(by=2)) for stream in reversed(streams)]),
            )
            for stream, won, lost in zip(streams, ours, reversed(theirs), strict=True):
                assert {type(won), type(lost)} == {Position, ConcurrencyConflict}
                assert len(await one.read_stream(stream)) == 1


async def test_a_version_is_not_skipped(store: PostgresEventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_HEADS_KEPT", 0)  # nothing is remembered: everything is asked for
    stream = uuid4()
    await store.commit(append(stream, 0, Increased()))
    ahead, fits = await outcomes_of(store, [append(stream, 2, Increased()), append(stream, 1, Increased())])

    assert isinstance(ahead, ConcurrencyConflict)
    assert isinstance(fits, Position)
