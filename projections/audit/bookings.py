"""Where every booking stands, and whether its sagas get on: the ledger that rooms and money are compared with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from commands.ports import Position, RecordedEvent
from domain.booking.events import (
    BookingCancelled,
    BookingModified,
    BookingRequested,
    CancellationRequested,
    ModificationRejected,
    ModificationRequested,
)
from domain.booking.state import ALL_EVENTS, OUTCOMES, STANDING, STATUS_AFTER, BookingStatus
from domain.saga.events import SagaReacted
from domain.shared.messages import Event
from domain.shared.money import Money
from domain.shared.stay import Stay
from projections.audit.findings import GRACE, Cut, Findings, Period, Place
from projections.audit.inventory import Hold, Inventory

BOOKING_SAGA, CANCELLATION_SAGA, MODIFICATION_SAGA = "booking", "cancellation", "modification"
_NONE: frozenset[str] = frozenset()
Sold = tuple[UUID, Hold]
"""Rooms that were sold, and their room type."""


@dataclass(slots=True)
class Booking:
    """One booking. ``begun`` and ``open`` are names of its sagas; ``last`` is where something last happened to it.

    ``payment_ids`` are all payments that it may have; ``payment_id`` is the one that it begins with.
    """

    status: BookingStatus
    at: dt.datetime
    last: Position
    room_type_id: UUID
    stay: Stay
    rooms: int
    payment_id: UUID
    payment_ids: frozenset[UUID]
    due_now: Money
    charge: Money | None = None
    cancelling: bool = False
    modifying: bool = False
    quarantined: bool = False
    begun: frozenset[str] = _NONE
    open: frozenset[str] = _NONE

    @property
    def kept(self) -> Money:
        """What its outcome lets us keep of the guest's money, once it is settled."""
        if self.status in STANDING:
            return self.due_now
        return self.charge or Money.zero(self.due_now.currency)

    def settled(self, cut: Cut) -> bool:
        """Whether everything about it had come to its end at the cut, so that it can be judged."""
        final = self.status in OUTCOMES and (self.status == "cancelled" or not self.cancelling) and not self.modifying
        return final and BOOKING_SAGA in self.begun and not self.open and self.last <= cut.settled


@dataclass(slots=True)
class OpenSaga:
    """A saga that has not finished."""

    saga: str
    booking_id: UUID
    step: str
    status: str
    deadline: dt.datetime | None
    note: str
    version: int
    at: dt.datetime


class Bookings:
    """Follows bookings and their sagas."""

    takes: tuple[type[Event], ...] = (*ALL_EVENTS, SagaReacted)

    def __init__(self, period: Period) -> None:
        self.sagas = Findings(
            "sagas", "Every saga has finished, waits within its deadline, or is quarantined and listed."
        )
        self.rooms = Findings("stays", "Every confirmed stay has its rooms, and nobody else has any.")
        self.by_id: dict[UUID, Booking] = {}
        self._open: dict[UUID, OpenSaga] = {}
        self._modifications: dict[UUID, UUID] = {}
        self._period = period

    def take(self, recorded: RecordedEvent) -> None:
        """Look at the next event of the log."""
        event = recorded.event
        if isinstance(event, SagaReacted):
            self._saga(recorded, event)
            return
        if isinstance(event, BookingRequested):
            self.by_id[event.booking_id] = Booking(
                status="pending",
                at=recorded.metadata.at,
                last=recorded.position,
                room_type_id=event.room_type_id,
                stay=event.stay,
                rooms=event.rooms,
                payment_id=event.payment_id,
                payment_ids=frozenset({event.payment_id}),
                due_now=event.due_now,
            )
            return
        booking = self.by_id.get(getattr(event, "booking_id", recorded.stream_id))
        if booking is None:
            self.rooms.violation(
                f"booking {recorded.stream_id} goes on without having been requested", Place.of(recorded)
            )
            return
        booking.last = recorded.position
        booking.status = STATUS_AFTER.get(type(event), booking.status)
        match event:
            case CancellationRequested():
                booking.cancelling = True
            case BookingCancelled():
                booking.charge = event.charge
            case ModificationRequested():
                self._modifications[event.modification_id] = event.booking_id
                booking.payment_ids |= {event.modification_id}
                # What an earlier modification's saga has done says nothing about this one's.
                booking.modifying, booking.begun = True, booking.begun - {MODIFICATION_SAGA}
            case ModificationRejected():
                booking.modifying = False
            case BookingModified():
                booking.modifying, booking.due_now = False, event.due_now
                booking.room_type_id, booking.stay, booking.rooms = event.room_type_id, event.stay, event.rooms

    def judged(self, cut: Cut) -> Iterator[tuple[UUID, Booking]]:
        """Bookings of the period that were settled at the cut."""
        for booking_id, booking in self.by_id.items():
            if self._period.has(booking.at) and booking.settled(cut):
                yield booking_id, booking

    def stuck(self, cut: Cut) -> Sequence[tuple[UUID, OpenSaga]]:
        """Running sagas that nothing has woken in time. They may have gone on since: look before judging."""
        return [
            (saga_id, saga)
            for saga_id, saga in self._open.items()
            if saga.status == "running"
            and (saga.deadline is None or saga.deadline + GRACE < cut.now)
            and self._period.has(saga.at)
        ]

    def judge_stuck(self, saga_id: UUID, saga: OpenSaga) -> None:
        """It has not gone on."""
        deadline = (
            "has no deadline" if saga.deadline is None else f"should have been woken at {saga.deadline.isoformat()}"
        )
        self.sagas.violation(
            f"{saga.saga} saga {saga_id} of booking {saga.booking_id} is {saga.step} and {deadline}",
            Place("bookings", saga_id, saga.version),
        )

    def note_quarantined(self) -> None:
        """List the sagas that wait for an operator."""
        for saga_id, saga in self._open.items():
            if saga.status != "running" and self._period.has(saga.at):
                self.sagas.note(
                    f"{saga.saga} saga {saga_id} of booking {saga.booking_id} is {saga.status}"
                    f" ({saga.step}): {saga.note}",
                    Place("bookings", saga_id, saga.version),
                )

    def untaken(self, cut: Cut) -> Sequence[tuple[UUID, Sequence[str]]]:
        """Bookings that no saga of these names has taken on, though the sagas have read on. Look before judging."""
        found = []
        for booking_id, booking in self.by_id.items():
            wanted = {BOOKING_SAGA}
            wanted |= {CANCELLATION_SAGA} if booking.cancelling else set()
            wanted |= {MODIFICATION_SAGA} if booking.modifying else set()
            if booking.last <= cut.sagas and not wanted <= booking.begun and self._period.has(booking.at):
                found.append((booking_id, sorted(wanted - booking.begun)))
        return found

    def judge_untaken(self, booking_id: UUID, missing: Sequence[str]) -> None:
        """No saga has taken it on."""
        self.sagas.violation(
            f"booking {booking_id} is {self.by_id[booking_id].status} and no {', '.join(missing)} saga has taken it on;"
            " look in the dead letters of the feed sagas",
            Place("bookings", booking_id),
        )

    def judge_rooms(self, cut: Cut, inventory: Inventory) -> None:
        """Hold the bookings against the rooms that are held and sold."""
        sold: dict[UUID, list[Sold]] = {}
        for room_type_id, _, hold in inventory.live():
            if hold.sold:
                sold.setdefault(hold.booking_id, []).append((room_type_id, hold))
        for booking_id, booking in self.judged(cut):
            self.rooms.checked += 1
            self._judge_rooms(booking_id, booking, sold.get(booking_id, ()))
        for booking_id, holds in sold.items():
            for room_type_id, hold in holds:
                if booking_id not in self.by_id and self._period.has(hold.at):
                    self.rooms.violation(
                        f"{hold.rooms} rooms were sold to booking {booking_id}, which is not on record",
                        Place("inventory", room_type_id, hold.version),
                    )

    def _judge_rooms(self, booking_id: UUID, booking: Booking, sold: Sequence[Sold]) -> None:
        proof = [Place("bookings", booking_id)]
        proof += [Place("inventory", room_type_id, hold.version) for room_type_id, hold in sold]
        rooms = sum(hold.rooms for _, hold in sold)
        if booking.status not in STANDING:
            if sold:
                self.rooms.violation(f"booking {booking_id} is {booking.status}, but has {rooms} rooms", *proof)
        elif not sold:
            self.rooms.violation(f"booking {booking_id} is {booking.status}, but has no rooms", *proof)
        elif [(room_type_id, hold.stay, hold.rooms) for room_type_id, hold in sold] != [
            (booking.room_type_id, booking.stay, booking.rooms)
        ]:
            self.rooms.violation(f"booking {booking_id} has other rooms or nights than were confirmed", *proof)

    def _saga(self, recorded: RecordedEvent, event: SagaReacted) -> None:
        if recorded.version == 1:
            self.sagas.checked += self._period.has(recorded.metadata.at)
        finished = event.status == "finished"
        booking_id = self._modifications.get(event.subject_id, event.subject_id)
        if finished:
            self._open.pop(recorded.stream_id, None)
        else:
            self._open[recorded.stream_id] = OpenSaga(
                event.saga,
                booking_id,
                event.step,
                event.status,
                event.deadline,
                event.note,
                recorded.version,
                recorded.metadata.at,
            )
        booking = self.by_id.get(booking_id)
        if booking is not None:
            booking.last = recorded.position
            booking.begun |= {event.saga}
            booking.open = booking.open - {event.saga} if finished else booking.open | {event.saga}
            booking.quarantined = event.status == "quarantined"
