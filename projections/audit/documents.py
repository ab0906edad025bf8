"""Documents (pages, lists, search), one by one, against a fresh fold of their streams.

A stored document says per stream up to which position it was folded. So it is compared as of exactly there: what has
happened since the cut is folded on top from the streams, and live traffic makes no difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

import orjson

from commands.ports import START, Position, RecordedEvent
from projections.audit.findings import Findings, Period, Place
from projections.audit.read_models import SAMPLED, Logs, ReadModelAudit, compare_live
from projections.ports import Document, DocumentStore, FoldedDocument, FoldStore
from projections.projection import DocumentProjection

_CHUNK = 200
_SHOWN = 120
_AT_HAND = 500


@dataclass(slots=True)
class Followed:
    """A stream that went into a document: how far."""

    context: str
    position: Position
    version: int


@dataclass(slots=True)
class Folded:
    """A document as the log makes it; None: deleted."""

    body: Document | bytes | None = None
    streams: dict[UUID, Followed] = field(default_factory=dict)
    judged: bool = False
    failed: bool = False

    def document(self) -> Document | None:
        """What it says."""
        document: Document | None = orjson.loads(self.body) if isinstance(self.body, bytes) else self.body
        return document

    def pack(self) -> None:
        """Keep it as JSON, which takes a quarter of the memory."""
        if isinstance(self.body, dict):
            self.body = orjson.dumps(self.body)


class DocumentAudit(ReadModelAudit):
    """Folds a sample of the documents of one projection, or all of them."""

    def __init__(
        self, projection: DocumentProjection, store: FoldStore, period: Period, *, full: bool, salt: UUID
    ) -> None:
        super().__init__(projection, period, full=full, salt=salt)
        self._projection = projection
        self._store = store
        self._folded: dict[str, Folded] = {}
        self._at_hand: dict[str, Folded] = {}
        """Those that changed last, the latest at the end; all others are packed."""

    @property
    def projection(self) -> DocumentProjection:
        """See ReadModelAudit."""
        return self._projection

    def fold(self, recorded: RecordedEvent) -> None:
        """See ReadModelAudit."""
        for key in self._projection.keys(recorded):
            wanted, leaving = self.sample.meet(key)
            if leaving is not None:
                self._folded.pop(leaving, None)
                self._at_hand.pop(leaving, None)
            if not wanted:
                continue
            folded = self._folded.setdefault(key, Folded())
            folded.judged = folded.judged or self.period.has(recorded.metadata.at)
            self._apply(key, folded, recorded, self.findings)
            self._keep_at_hand(key, folded)

    async def judge(self, logs: Logs) -> None:
        """See ReadModelAudit."""
        keys = [key for key, folded in self._folded.items() if folded.judged and not folded.failed]
        chosen = keys if self.full else keys[:SAMPLED]

        async def compare(build: str) -> Findings:
            found = Findings(self.findings.name, self.findings.about)
            for start in range(0, len(chosen), _CHUNK):
                chunk = chosen[start : start + _CHUNK]
                stored = await self._store.load(build, chunk)
                for key in chunk:
                    await self._compare(key, stored.get(key), logs, found)
                    found.checked += 1
            if self.full and self.period == Period():
                await self._look_for_strangers(logs, found)
            return found

        await compare_live(self, partial(self._store.pointed, self._projection.name), logs, compare)

    def _keep_at_hand(self, key: str, folded: Folded) -> None:
        """What happens to one thing mostly happens in quick succession: then it need not be unpacked each time."""
        self._at_hand.pop(key, None)
        self._at_hand[key] = folded
        if len(self._at_hand) > _AT_HAND:
            self._at_hand.pop(next(iter(self._at_hand))).pack()

    def _apply(self, key: str, folded: Folded, recorded: RecordedEvent, found: Findings) -> None:
        try:
            folded.body = self._projection.apply(folded.document(), recorded)
        except Exception as error:  # noqa: BLE001 - whatever a projection raises is the finding
            folded.failed = True
            detail = (
                f"{self._projection.name} {key} cannot take {recorded.event.topic}: {type(error).__name__}: {error}"
            )
            found.violation(detail, Place.of(recorded))
            return
        folded.streams[recorded.stream_id] = Followed(recorded.context, recorded.position, recorded.version)

    async def _compare(self, key: str, stored: FoldedDocument | None, logs: Logs, found: Findings) -> None:
        folded = self._folded[key]
        name = f"{self._projection.name} {key}"
        if stored is None:
            found.violation(f"{name} is missing", *_last_events(folded))
            return
        positions = {UUID(stream): Position.parse(text) for stream, text in stored.positions.items()}
        behind = [
            Place(followed.context, stream, followed.version)
            for stream, followed in folded.streams.items()
            if positions.get(stream, START) < followed.position
        ]
        if behind:
            found.violation(f"{name} lacks events that its feed has passed", *behind)
            return
        expected = await self._as_of(key, folded, positions, logs, found)
        if expected is None:
            return
        expected.pack()  # as a store would give it back
        wrong = differences(stored.body, expected.document())
        if wrong:
            found.violation(f"{name}: {'; '.join(wrong)}", *_last_events(expected))

    async def _as_of(
        self, key: str, folded: Folded, positions: dict[UUID, Position], logs: Logs, found: Findings
    ) -> Folded | None:
        """The fold up to the stored document's own positions; None if something is wrong with those."""
        later = {
            stream: position
            for stream, position in positions.items()
            if stream not in folded.streams or folded.streams[stream].position < position
        }
        if not later:
            return folded
        expected = Folded(folded.body, dict(folded.streams))
        for stream, position in later.items():
            events = await self._events_after(stream, folded.streams.get(stream), logs)
            for recorded in events:
                if recorded.position <= position and isinstance(recorded.event, self._projection.takes):
                    self._apply(key, expected, recorded, found)
            followed = expected.streams.get(stream)
            if followed is None or followed.position != position:
                found.violation(
                    f"{self._projection.name} {key} was folded up to {position} of stream {stream}, where the log has"
                    " no such event"
                )
                return None
        return None if expected.failed else expected

    async def _events_after(self, stream: UUID, followed: Followed | None, logs: Logs) -> Sequence[RecordedEvent]:
        if followed is not None:
            return await logs.by_context[followed.context].read_stream(stream, after=followed.version)
        for context in self._projection.contexts:
            events = await logs.by_context[context].read_stream(stream)
            if events:
                return events
        return ()

    async def _look_for_strangers(self, logs: Logs, found: Findings) -> None:
        """Documents that no event of the log speaks of: count those there are, then those that the log knows by now."""
        if not hasattr(self._store, "count"):
            return  # a search store finds documents, it does not count them
        store: DocumentStore = self._store  # type: ignore[assignment]  # it counts
        there = await store.count(self._projection.name, ())
        known = {key for key, folded in self._folded.items() if folded.body is not None}
        for context in self._projection.contexts:
            source = logs.by_context[context]
            run = await source.read_log(self.needed.get(context, START), 2_000, topics=self._projection.topics)
            while run.position != run.prev:
                known.update(key for recorded in run.events for key in self._projection.keys(recorded))
                run = await source.read_log(run.position, 2_000, topics=self._projection.topics)
        if there > len(known):
            found.violation(f"{self._projection.name} has {there} documents, and the log speaks of {len(known)}")


def _last_events(folded: Folded) -> list[Place]:
    return [Place(followed.context, stream, followed.version) for stream, followed in folded.streams.items()]


def differences(stored: Document | None, expected: Document | None) -> list[str]:
    """What is not as it should be, field by field."""
    if stored is None or expected is None:
        return [] if stored is expected else [f"is {'deleted' if stored is None else 'there'}, and should not be"]
    stored = orjson.loads(orjson.dumps(stored))
    return [
        f"{name} is {_short(stored.get(name))}, and should be {_short(expected.get(name))}"
        for name in sorted(stored.keys() | expected.keys())
        if stored.get(name) != expected.get(name) or (name in stored) != (name in expected)
    ]


def _short(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
