"""Dead letters for operators: implements ``commands.dead_letters.LetterDesk`` on top of ``PostgresDeadLetters``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from commands.dead_letters import LEFT_BEHIND, Failure, FailureGroup, OrderedRetry, ParkedEvents, Selection
from commands.ports import DeadLetter
from infra.eventstore.dead_letters import PostgresDeadLetters

# A stream has at most one letter that failed itself: those after it wait behind it.
_GROUPS = """
WITH behind AS (
  SELECT consumer, stream_id, count(*) AS number, min(parked_at) AS first_at, max(parked_at) AS last_at,
    array_agg(DISTINCT topic) AS topics
  FROM @dead_letters WHERE behind GROUP BY consumer, stream_id),
failed AS (
  SELECT l.*, behind.number FROM @dead_letters l LEFT JOIN behind USING (consumer, stream_id) WHERE NOT l.behind)
SELECT failure_group, failure_kind, failure_frame, array_agg(DISTINCT consumer) AS consumers,
  array_agg(DISTINCT topic) AS topics, count(*) AS number, coalesce(sum(number), 0)::bigint AS behind,
  min(parked_at) AS first_at, max(coalesce(last_failed_at, parked_at)) AS last_at,
  (array_agg(error ORDER BY coalesce(last_failed_at, parked_at) DESC))[1] AS error
FROM failed GROUP BY failure_group, failure_kind, failure_frame
UNION ALL
SELECT '%s', 'left behind', '', array_agg(DISTINCT consumer), array_agg(DISTINCT topic), 0, sum(number)::bigint,
  min(first_at), max(last_at), 'what they waited behind is gone: retry them'
FROM (SELECT consumer, number, first_at, last_at, unnest(topics) AS topic FROM behind WHERE NOT EXISTS (
  SELECT 1 FROM failed WHERE failed.consumer = behind.consumer AND failed.stream_id = behind.stream_id)) left_behind
HAVING count(*) > 0
ORDER BY last_at DESC"""

_SELECT = """
SELECT # FROM @dead_letters l
WHERE (letter_id = ANY($1::uuid[]) OR $1 IS NULL)
  AND ($2::text IS NULL OR failure_group = $2 AND NOT behind OR $2 = '%s' AND behind AND NOT EXISTS (
    SELECT 1 FROM @dead_letters f WHERE f.consumer = l.consumer AND f.stream_id = l.stream_id AND NOT f.behind))
  AND (consumer = $3 OR $3 IS NULL)
  AND (failure_kind = $4 OR topic = $4 OR $4 IS NULL)
  AND (stream_id = $5 OR $5 IS NULL)
  AND (parked_at < $6 OR $6 IS NULL)
  AND (parked_at >= $7 OR $7 IS NULL)
ORDER BY parked_at, transaction_id, notification_id LIMIT $8"""

_OF_STREAMS = """
SELECT # FROM @dead_letters
WHERE letter_id = ANY($1::uuid[])
  OR (consumer, stream_id) IN (SELECT * FROM unnest($2::text[], $3::uuid[]))
ORDER BY consumer, stream_id, context, transaction_id, notification_id, parked_at"""

_COUNTS = "SELECT consumer, count(*) FROM @dead_letters GROUP BY consumer"
# Those that failed themselves come first. What they say is looked up for one a feed only: messages are large.
_PARKED_EVENTS = """
SELECT consumer, number, topic, message->>'id' AS event_id, error, parked_at
FROM (
  SELECT DISTINCT ON (consumer) letter_id, count(*) OVER (PARTITION BY consumer) AS number
  FROM @dead_letters WHERE stream_id IS NOT NULL
  ORDER BY consumer, behind, parked_at, transaction_id, notification_id
) first JOIN @dead_letters USING (letter_id)"""
_DISCARD = "DELETE FROM @dead_letters WHERE letter_id = ANY($1::uuid[])"
_ORDER = """
INSERT INTO @retry_orders (action_id, letter_id, consumer)
SELECT $1, letter_id, consumer FROM @dead_letters WHERE letter_id = ANY($2::uuid[])
ON CONFLICT DO NOTHING"""
_RETRIES = """
SELECT action_id, letter_id, consumer, outcome, error FROM @retry_orders WHERE action_id = $1"""
_CLAIM = """
UPDATE @retry_orders SET claimed_until = now() + interval '60 seconds'
WHERE (action_id, letter_id) IN (
  SELECT action_id, letter_id FROM @retry_orders
  WHERE outcome IS NULL AND consumer = ANY($1::text[]) AND (claimed_until IS NULL OR claimed_until < now())
  ORDER BY asked_at LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING action_id, letter_id, consumer, outcome, error"""
_SETTLE = """
UPDATE @retry_orders o SET outcome = s.outcome, error = s.error
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) AS s(action_id, letter_id, outcome, error)
WHERE o.action_id = s.action_id AND o.letter_id = s.letter_id"""


class PostgresLetterDesk(PostgresDeadLetters):
    """The tables ``dead_letters`` and ``retry_orders`` of one context."""

    async def groups(self) -> Sequence[FailureGroup]:
        """All failures, the newest first."""
        return [
            FailureGroup(group, Failure(kind, frame), *rest)
            for group, kind, frame, *rest in await self._fetch(_GROUPS % LEFT_BEHIND)
        ]

    async def select(self, selection: Selection, limit: int) -> Sequence[DeadLetter]:
        """Oldest first."""
        return await self._letters(
            _SELECT % LEFT_BEHIND,
            list(selection.letter_ids) or None,
            selection.group,
            selection.consumer,
            selection.kind,
            selection.stream_id,
            selection.older_than,
            selection.newer_than,
            limit,
        )

    async def letters(self, letter_ids: Sequence[UUID]) -> Sequence[DeadLetter]:
        """Those of these letters that are still there."""
        return await self._letters("SELECT # FROM @dead_letters WHERE letter_id = ANY($1::uuid[])", list(letter_ids))

    async def of_streams(self, letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
        """These letters and all others of their streams, each stream in its order."""
        streams = {(letter.consumer, letter.stream_id) for letter in letters if letter.stream_id is not None}
        return await self._letters(
            _OF_STREAMS,
            [letter.letter_id for letter in letters],
            [consumer for consumer, _ in streams],
            [stream_id for _, stream_id in streams],
        )

    async def counts(self) -> Mapping[str, int]:
        """How many letters there are, by consumer."""
        return {row[0]: row[1] for row in await self._fetch(_COUNTS)}

    async def parked_events(self) -> Mapping[str, ParkedEvents]:
        """What feeds could not handle, by feed."""
        return {
            row["consumer"]: ParkedEvents(
                row["number"], row["topic"], UUID(row["event_id"]), row["error"], row["parked_at"]
            )
            for row in await self._fetch(_PARKED_EVENTS)
        }

    async def discard(self, letter_ids: Sequence[UUID]) -> int:
        """Forget letters; returns how many there were."""
        return await self._touched(_DISCARD, list(letter_ids))

    async def order_retries(self, action_id: UUID, letter_ids: Sequence[UUID]) -> int:
        """Want these letters retried; returns how many of them there are."""
        return await self._touched(_ORDER, action_id, list(letter_ids))

    async def retries(self, action_id: UUID) -> Sequence[OrderedRetry]:
        """What has become of one order."""
        return [_retry_in(*row) for row in await self._fetch(_RETRIES, action_id)]

    async def claim_retries(self, consumers: Sequence[str], limit: int) -> Sequence[OrderedRetry]:
        """Take up orders for these consumers."""
        return [_retry_in(*row) for row in await self._fetch(_CLAIM, list(consumers), limit)]

    async def settle_retries(self, retries: Sequence[OrderedRetry]) -> None:
        """Write down what became of them."""
        columns = [[retry.action_id, retry.letter_id, retry.outcome, retry.error] for retry in retries]
        if columns:
            await self._fetch(_SETTLE, *map(list, zip(*columns, strict=True)))


def _retry_in(action_id: UUID, letter_id: UUID, *rest: object) -> OrderedRetry:
    consumer, outcome, error = rest
    return OrderedRetry(
        UUID(bytes=action_id.bytes),
        UUID(bytes=letter_id.bytes),
        str(consumer),
        outcome,  # type: ignore[arg-type] # the column holds nothing else
        None if error is None else str(error),
    )
