"""Whether those who review have stayed."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from commands.ports import RecordedEvent
from domain.review.events import ReviewWritten
from projections.audit.bookings import Bookings
from projections.audit.findings import Findings, Period, Place


class Reviews:
    """Follows what is written, by the booking that it is about."""

    takes = (ReviewWritten,)

    def __init__(self, period: Period) -> None:
        self.findings = Findings("reviews", "Every review is of a stay that has ended, and the only one of it.")
        self._written: dict[UUID, Place] = {}
        self._judged: list[UUID] = []
        self._period = period

    def take(self, recorded: RecordedEvent) -> None:
        """Look at the next event of the log."""
        event, place = recorded.event, Place.of(recorded)
        if not isinstance(event, ReviewWritten):
            return
        first = self._written.setdefault(event.booking_id, place)
        if not self._period.has(recorded.metadata.at):
            return
        self.findings.checked += 1
        if first is place:
            self._judged.append(event.booking_id)
        else:
            self.findings.violation(f"booking {event.booking_id} was reviewed twice", first, place)

    def suspected(self, bookings: Bookings) -> Sequence[UUID]:
        """Bookings that were reviewed and had not ended by check-out at the cut. Look before judging."""
        known = bookings.by_id
        return [each for each in self._judged if each not in known or known[each].status != "checked_out"]

    def judge(self, booking_id: UUID) -> None:
        """The booking has not ended by check-out."""
        proof = self._written[booking_id], Place("bookings", booking_id)
        self.findings.violation(f"booking {booking_id} was reviewed without a stay that has ended", *proof)
