"""Run imported bookings through the same commands and the same saga as any other, at their own historic times.

Every id is derived from the row, so that an import which is stopped and started again books nothing twice.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from api.imports.outcomes import BookingOutcomes
from api.imports.rows import CURRENCY, ImportedBooking
from commands.ports import CommandBus, CommandEnvelope, EventStore, Metadata, Streams
from domain.booking.commands import RequestBooking, RequestCancellation
from domain.booking.events import BookingRejected
from domain.booking.state import BOOKING
from domain.hotel.cancellation import POLICIES
from domain.hotel.commands import AddRatePlan, AddRoomType, CancellationPolicyName, OpenHotel
from domain.hotel.events import NightPrice
from domain.inventory.commands import OpenRoomType
from domain.shared.errors import AlreadyExists
from domain.shared.messages import Command, Event
from domain.shared.stay import Stay

NAMESPACE = UUID("0b2b1f3e-6f0a-4a57-9a41-5d0f0a8c3f11")
OPENED_AT = dt.datetime(2013, 1, 1, tzinfo=dt.UTC)
CHECK_IN_TIME = dt.time(15)
SECONDS_TO_AN_OUTCOME = 120.0
_ZONE = ZoneInfo("Europe/Lisbon")


class _Place(NamedTuple):
    city: str
    latitude: float
    longitude: float


_LISBON = _Place("Lisbon", 38.7223, -9.1393)
_PLACES = {"Resort Hotel": _Place("Faro", 37.0194, -7.9304), "City Hotel": _LISBON}


class BookingImporter:
    """Books rows over ``bus``; ``log`` and ``streams`` are those of the bookings context."""

    def __init__(self, bus: CommandBus, log: EventStore, streams: Streams) -> None:
        self._bus = bus
        self._log = log
        self._streams = streams

    async def open_hotels(self, allotments: Mapping[tuple[str, str], int], owner_id: UUID) -> None:
        """Open the hotels and room types of ``allotments`` ((hotel, room type) -> rooms); repeating it is harmless."""
        for hotel in sorted({hotel for hotel, _ in allotments}):
            place = _PLACES.get(hotel, _LISBON)
            opening = OpenHotel(
                hotel_id=_hotel_id(hotel),
                owner_id=owner_id,
                hotel_name=f"{hotel} (imported)",
                country="PT",
                time_zone=_ZONE.key,
                currency=CURRENCY,
                stars=4,
                city=place.city,
                latitude=place.latitude,
                longitude=place.longitude,
            )
            await self._send(opening, opening.hotel_id, "open", OPENED_AT)
        await asyncio.gather(*(self._open_room_type(*key, rooms, owner_id) for key, rooms in allotments.items()))

    async def book(self, rows: Sequence[ImportedBooking]) -> Mapping[str, int]:
        """Book ``rows`` and cancel those that were; returns once each has its outcome: {confirmed, cancelled, ...}."""
        async with BookingOutcomes(self._log) as outcomes:
            ends = await asyncio.gather(*(self._book(row, outcomes) for row in rows))
        return Counter(ends)

    async def _book(self, row: ImportedBooking, outcomes: BookingOutcomes) -> str:
        booking_id = uuid5(NAMESPACE, f"{row.hotel} {row.line}")
        status = await self._settled(_request(row, booking_id), "request", row.booked_at, {"pending"}, outcomes)
        if status == "confirmed" and row.cancelled_at is not None:
            cancelling = RequestCancellation(booking_id=booking_id, reason="imported as cancelled")
            status = await self._settled(cancelling, "cancel", row.cancelled_at, {"confirmed"}, outcomes)
        return status

    async def _settled(
        self,
        command: RequestBooking | RequestCancellation,
        purpose: str,
        at: dt.datetime,
        unsettled: set[str],
        outcomes: BookingOutcomes,
    ) -> str:
        """Send ``command`` and return the status that the booking comes to, once it is none of ``unsettled``."""
        waiting = outcomes.expect(command.booking_id)
        await self._send(command, command.booking_id, purpose, at)
        status = (await self._streams.load(BOOKING, command.booking_id)).state.status
        if status is not None and status not in unsettled:
            outcomes.forget(command.booking_id)
            return status
        return _status_of(await asyncio.wait_for(waiting, SECONDS_TO_AN_OUTCOME))

    async def _open_room_type(self, hotel: str, room_type: str, rooms: int, owner_id: UUID) -> None:
        hotel_id, room_type_id = _hotel_id(hotel), _room_type_id(hotel, room_type)
        adding = AddRoomType(
            hotel_id=hotel_id,
            room_type_id=room_type_id,
            room_type_name=f"Room type {room_type}",
            max_adults=10,
            max_children=10,
            beds="",
            rooms=rooms,
        )
        await self._send(adding, room_type_id, "add", OPENED_AT)
        opening = OpenRoomType(hotel_id=hotel_id, room_type_id=room_type_id, owner_id=owner_id, default_allotment=rooms)
        await self._send(opening, room_type_id, "open", OPENED_AT)
        policies: tuple[CancellationPolicyName, ...] = ("flexible", "non_refundable")
        for policy in policies:
            plan = AddRatePlan(
                hotel_id=hotel_id,
                rate_plan_id=uuid5(room_type_id, policy),
                room_type_id=room_type_id,
                rate_plan_name=policy.replace("_", "-").capitalize(),
                cancellation=policy,
            )
            await self._send(plan, plan.rate_plan_id, "add", OPENED_AT)

    async def _send(self, command: Command, subject: UUID, purpose: str, at: dt.datetime) -> None:
        """Send once per subject and purpose, however often it is called."""
        metadata = Metadata(correlation_id=subject, actor="import", at=at, historic=True)
        with suppress(AlreadyExists):  # it was done so long ago that the command's id is forgotten
            await self._bus.send(CommandEnvelope(uuid5(subject, purpose), command, metadata))


def _request(row: ImportedBooking, booking_id: UUID) -> RequestBooking:
    policy: CancellationPolicyName = "non_refundable" if row.non_refundable else "flexible"
    room_type_id = _room_type_id(row.hotel, row.room_type)
    stay = Stay(check_in=row.check_in, check_out=row.check_out)
    return RequestBooking(
        booking_id=booking_id,
        guest_id=uuid5(booking_id, "guest"),
        account_id=uuid5(NAMESPACE, "account"),
        hotel_id=_hotel_id(row.hotel),
        room_type_id=room_type_id,
        rate_plan_id=uuid5(room_type_id, policy),
        stay=stay,
        today=row.booked_at.astimezone(_ZONE).date(),
        check_in_at=dt.datetime.combine(row.check_in, CHECK_IN_TIME, _ZONE),
        rooms=1,
        adults=row.adults,
        children=row.children,
        nightly=tuple(NightPrice(date=night, amount_minor=row.nightly_minor) for night in stay.nights),
        currency=CURRENCY,
        payment_policy="prepaid",
        cancellation=POLICIES[policy],
        payment_provider="sandbox",
        payment_token="tok_ok",  # noqa: S106 - the sandbox's test token, no secret
    )


def _status_of(event: Event) -> str:
    if isinstance(event, BookingRejected):
        return f"rejected: {event.reason}"
    return event.topic.rpartition(".Booking")[2].lower()


def _hotel_id(hotel: str) -> UUID:
    return uuid5(NAMESPACE, hotel)


def _room_type_id(hotel: str, room_type: str) -> UUID:
    return uuid5(_hotel_id(hotel), room_type)
