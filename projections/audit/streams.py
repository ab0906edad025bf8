"""Every stream is gapless: versions 1, 2, 3 and so on, each once, in the order of the log; and it can be read."""

from __future__ import annotations

from uuid import UUID

from commands.ports import RecordedEvent, UnreadableEvent
from projections.audit.findings import Findings, Period, Place


class Streams:
    """Follows the versions of all streams."""

    def __init__(self, period: Period) -> None:
        self.findings = Findings("streams", "Every stream is gapless and readable, and the log has it in order.")
        self._period = period
        self._versions: dict[str, dict[UUID, int]] = {}

    def take(self, recorded: RecordedEvent) -> None:
        """Look at the next event of a log."""
        versions = self._versions.setdefault(recorded.context, {})
        before = versions.get(recorded.stream_id, 0)
        judged = self._period.has(recorded.metadata.at)
        self.findings.checked += judged
        if recorded.version == before + 1:
            versions[recorded.stream_id] = recorded.version
            return
        versions[recorded.stream_id] = max(before, recorded.version)
        if judged:
            place = Place.of(recorded)
            previous = (place._replace(version=before),) if before else ()
            name = f"{recorded.context} stream {recorded.stream_id}"
            detail = f"{name}: version {recorded.version} follows {before or 'nothing'}"
            self.findings.violation(detail, *previous, place)

    def cannot_read(self, event: UnreadableEvent) -> None:
        """Note an event of which nothing is known but where it is, not even when it happened."""
        self.findings.checked += 1
        self.findings.violation(str(event))
        versions = self._versions.setdefault(event.context, {})
        versions[event.stream_id] = max(versions.get(event.stream_id, 0), event.version)
