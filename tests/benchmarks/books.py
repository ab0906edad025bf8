"""The log of a platform that has been busy: hotels with rooms and prices, and bookings from request to the end.

Events are made directly, as the sagas and aggregates would have recorded them one after the other, from a fixed seed;
rooms are counted, so that every event says what is left. They are stored by COPY, a thousand commits to a transaction.
"""

from __future__ import annotations

import datetime as dt
import heapq
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

import asyncpg

from commands.ports import Metadata
from domain.booking.events import BookingCancelled, BookingConfirmed, BookingRequested, CancellationRequested
from domain.hotel.events import (
    CancellationTier,
    HotelOpened,
    NightPrice,
    PricesSet,
    RatePlanAdded,
    RoomTypeAdded,
)
from domain.inventory.events import HoldConfirmed, HoldReleased, NightLeft, RoomsHeld, RoomTypeOpened
from domain.payment.events import (
    CaptureRequested,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentRefunded,
    PaymentRequested,
    RefundRequested,
)
from domain.saga.events import SagaCommandIssued, SagaReacted
from domain.shared.messages import Event
from domain.shared.money import Money
from domain.shared.stay import Stay
from infra.eventstore.mapper import rows_of
from infra.eventstore.schema import migrate
from infra.eventstore.sql import schema_of

CONTEXTS = ("hotels", "inventory", "bookings", "payments", "reviews")
CANCELLED = 0.2
"""The part of the bookings that are cancelled, days later."""
_SPACE = UUID(int=0xB00C5)
_BEGIN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_CITIES = ("Lisbon", "Porto", "Madrid", "Paris", "London", "Berlin", "Vienna", "Prague", "Rome", "Athens")
_AMENITIES = ("wifi", "breakfast", "pool", "spa", "gym", "parking", "restaurant", "bar", "pets")
_TIERS = (
    CancellationTier(hours_before=72, percent_charged=0),
    CancellationTier(hours_before=0, percent_charged=100),
)
_PER_TRANSACTION = 1_000
_COLUMNS = ("originator_id", "originator_version", "topic", "state", "event_id", "metadata")


@dataclass(frozen=True, slots=True)
class Step:
    """Events of one commit, added to one stream of one context."""

    context: str
    stream_id: UUID
    metadata: Metadata
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class _Room:
    """A room type and its only rate plan."""

    hotel_id: UUID
    room_type_id: UUID
    rate_plan_id: UUID
    rooms: int
    price: int


async def store(pool: asyncpg.Pool, steps: Iterator[Step]) -> dict[str, int]:
    """Write the logs of all contexts into their schemas; returns the number of events of each."""
    versions: defaultdict[UUID, int] = defaultdict(int)
    rows: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)
    counts = dict.fromkeys(CONTEXTS, 0)
    for context in CONTEXTS:
        await migrate(pool, context)

    async def copy(context: str) -> None:
        await pool.copy_records_to_table("stored_events", schema_name=context, records=rows[context], columns=_COLUMNS)
        counts[context] += len(rows[context])
        rows[context].clear()

    for step in steps:
        version = versions[step.stream_id]
        named = [(uuid5(step.stream_id, str(version + number)), event) for number, event in enumerate(step.events)]
        rows[step.context] += rows_of(step.stream_id, version, named, step.metadata)
        versions[step.stream_id] += len(named)
        if len(rows[step.context]) >= _PER_TRANSACTION:
            await copy(step.context)
    for context in CONTEXTS:
        await copy(context)
        await pool.execute(f"ANALYZE {schema_of(context)}.stored_events")
    return counts


def hotel_ids(hotels: int) -> list[UUID]:
    """The hotels of ``busy_years``."""
    return [uuid5(_SPACE, f"hotel {number}") for number in range(hotels)]


def booking_ids(bookings: int) -> list[UUID]:
    """The bookings of ``busy_years``."""
    return [uuid5(_SPACE, f"booking {number}") for number in range(bookings)]


def busy_years(hotels: int, bookings: int, seed: int = 7) -> Iterator[Step]:
    """Open ``hotels`` with two room types each, then take ``bookings``, of which a part is cancelled later."""
    world = _World(random.Random(seed))
    for number, hotel_id in enumerate(hotel_ids(hotels)):
        yield from world.open_hotel(number, hotel_id)
    to_cancel: list[tuple[int, _Booking]] = []
    for number, booking_id in enumerate(booking_ids(bookings)):
        booking = world.choose(number, booking_id)
        yield from world.book(booking)
        if world.chance.random() < CANCELLED:
            heapq.heappush(to_cancel, (number + world.chance.randrange(1, 2_000), booking))
        while to_cancel and to_cancel[0][0] <= number:
            yield from world.cancel(heapq.heappop(to_cancel)[1])


@dataclass(frozen=True, slots=True, order=True)
class _Booking:
    """What the events of one booking have in common; ``number`` orders them."""

    number: int
    room: _Room
    stay: Stay
    details: dict[str, Any]
    at: dt.datetime

    @property
    def booking_id(self) -> UUID:
        identifier: UUID = self.details["booking_id"]
        return identifier

    @property
    def payment_id(self) -> UUID:
        identifier: UUID = self.details["payment_id"]
        return identifier

    @property
    def total(self) -> Money:
        amount: Money = self.details["total"]
        return amount


class _World:
    """Counts what is sold, and words what happens."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self._rooms: list[_Room] = []
        self._sold: defaultdict[tuple[UUID, dt.date], int] = defaultdict(int)

    def open_hotel(self, number: int, hotel_id: UUID) -> Iterator[Step]:
        """A hotel with its room types, rate plans and a year of prices, and its inventory."""
        chance = self.chance
        city = chance.choice(_CITIES)
        opened = HotelOpened(
            hotel_id=hotel_id,
            owner_id=_SPACE,
            name=f"Hotel {number} {city}",
            city=city,
            country="PT",
            latitude=round(chance.uniform(36, 60), 5),
            longitude=round(chance.uniform(-9, 30), 5),
            time_zone="Europe/Lisbon",
            currency="EUR",
            stars=chance.randint(1, 5),
            amenities=tuple(sorted(chance.sample(_AMENITIES, 4))),
            description=f"A quiet house in the middle of {city}, near everything that a guest may want to see.",
            images=(f"https://images.example/{number}/front.jpg",),
        )
        around = Metadata(correlation_id=hotel_id, actor=f"user:{_SPACE}", at=_BEGIN)
        yield Step("hotels", hotel_id, around, (opened,))
        for name, rooms, adults in (("Double", chance.randint(8, 20), 2), ("Family", chance.randint(4, 10), 4)):
            room_type_id, price = uuid5(hotel_id, name), chance.randint(60, 240) * 100
            plan_id = uuid5(room_type_id, "Flexible")
            yield Step(
                "hotels", hotel_id, around, self._offered(hotel_id, room_type_id, plan_id, name, rooms, adults, price)
            )
            shared = {"hotel_id": hotel_id, "room_type_id": room_type_id}
            yield Step(
                "inventory", room_type_id, around, (RoomTypeOpened(**shared, default_allotment=rooms, owner_id=_SPACE),)
            )
            self._rooms.append(_Room(hotel_id, room_type_id, plan_id, rooms, price))

    def _offered(
        self, hotel_id: UUID, room_type_id: UUID, plan_id: UUID, name: str, rooms: int, adults: int, price: int
    ) -> tuple[Event, ...]:
        year = [_BEGIN.date() + dt.timedelta(days=day) for day in range(365)]
        room_type = RoomTypeAdded(
            hotel_id=hotel_id,
            room_type_id=room_type_id,
            name=name,
            max_adults=adults,
            max_children=2,
            beds="1 double bed",
            amenities=("desk", "shower"),
            rooms=rooms,
        )
        plan = RatePlanAdded(
            hotel_id=hotel_id,
            rate_plan_id=plan_id,
            room_type_id=room_type_id,
            name="Flexible",
            board="breakfast",
            cancellation=_TIERS,
            payment_policy="prepaid",
        )
        prices = [
            PricesSet(
                hotel_id=hotel_id,
                rate_plan_id=plan_id,
                room_type_id=room_type_id,
                currency="EUR",
                nights=tuple(night for night in year if (night.weekday() in (4, 5)) is weekend),
                amount_minor=price * 5 // 4 if weekend else price,
            )
            for weekend in (False, True)
        ]
        return (room_type, plan, *prices)

    def choose(self, number: int, booking_id: UUID) -> _Booking:
        """The next booking: somewhere, within the year."""
        chance = self.chance
        room = chance.choice(self._rooms)
        first = _BEGIN.date() + dt.timedelta(days=chance.randrange(20, 350))
        stay = Stay(check_in=first, check_out=first + dt.timedelta(days=chance.choice((1, 2, 2, 3, 3, 4, 7))))
        nightly = tuple(
            NightPrice(date=night, amount_minor=room.price * 5 // 4 if night.weekday() in (4, 5) else room.price)
            for night in stay.nights
        )
        total = Money(minor=sum(night.amount_minor for night in nightly), currency="EUR")
        guest_id = uuid5(_SPACE, f"guest {chance.randrange(8_000)}")
        details = {
            "booking_id": booking_id,
            "guest_id": guest_id,
            "account_id": guest_id,
            "hotel_id": room.hotel_id,
            "room_type_id": room.room_type_id,
            "rate_plan_id": room.rate_plan_id,
            "stay": stay,
            "check_in_at": dt.datetime.combine(first, dt.time(14), dt.UTC),
            "rooms": 1,
            "adults": chance.randint(1, 2),
            "children": chance.choice((0, 0, 0, 1)),
            "nightly": nightly,
            "total": total,
            "due_now": total,
            "payment_id": uuid5(booking_id, "payment"),
            "payment_policy": "prepaid",
            "cancellation": _TIERS,
        }
        return _Booking(number, room, stay, details, _BEGIN + dt.timedelta(minutes=number))

    def book(self, booking: _Booking) -> Iterator[Step]:
        """From the request to the confirmation."""
        paid = {"payment_id": booking.payment_id, "booking_id": booking.booking_id}
        amount, hold = booking.total, self._hold(booking)
        token = {"payment_provider": "sandbox", "payment_token": "tok_ok"}
        yield self._booked(booking, "user", BookingRequested(**booking.details, **token))
        yield self._reacted(booking, "holding", "HoldRooms")
        held = RoomsHeld(
            **hold,
            stay=booking.stay,
            rooms=1,
            expires_at=booking.at + dt.timedelta(minutes=15),
            nights=self._count(booking, 1),
        )
        yield self._counted(booking, held)
        yield self._reacted(booking, "authorising", "AuthorisePayment")
        yield self._paid(booking, PaymentRequested(**paid, amount=amount, provider="sandbox", token="tok_ok"))
        yield self._paid(booking, PaymentAuthorised(**paid, amount=amount, reference=f"auth_{booking.number}"))
        yield self._reacted(booking, "confirming_hold", "ConfirmHold")
        yield self._counted(booking, HoldConfirmed(**hold))
        yield self._reacted(booking, "capturing", "CapturePayment")
        yield self._paid(booking, CaptureRequested(**paid, amount=amount))
        yield self._paid(booking, PaymentCaptured(**paid, amount=amount))
        yield self._reacted(booking, "confirming", "ConfirmBooking")
        yield self._booked(booking, "saga:booking", BookingConfirmed(**booking.details))
        yield self._reacted(booking, "confirmed", None)

    def cancel(self, booking: _Booking) -> Iterator[Step]:
        """A free cancellation."""
        paid = {"payment_id": booking.payment_id, "booking_id": booking.booking_id}
        money = {"charge": Money.zero("EUR"), "refund": booking.total, "reason": "plans changed"}
        place = {name: booking.details[name] for name in ("booking_id", "hotel_id", "room_type_id", "payment_id")}
        refund = {"refund_id": uuid5(booking.payment_id, "refund"), "amount": booking.total, "reason": "cancelled"}
        yield self._booked(booking, "user", CancellationRequested(**place, **money))
        released = HoldReleased(
            **self._hold(booking),
            stay=booking.stay,
            rooms=1,
            nights=self._count(booking, -1),
            after_confirmation=True,
            reason="cancelled",
        )
        yield self._counted(booking, released)
        yield self._paid(booking, RefundRequested(**paid, **refund))
        yield self._paid(booking, PaymentRefunded(**paid, **refund))
        yield self._booked(booking, "saga:cancellation", BookingCancelled(**booking.details, **money))
        yield self._reacted(booking, "cancelled", None, "cancellation")

    def _count(self, booking: _Booking, rooms: int) -> tuple[NightLeft, ...]:
        room = booking.room
        for night in booking.stay.nights:
            self._sold[room.room_type_id, night] += rooms
        return tuple(
            NightLeft(date=night, rooms_left=room.rooms - self._sold[room.room_type_id, night], allotment=room.rooms)
            for night in booking.stay.nights
        )

    def _hold(self, booking: _Booking) -> dict[str, Any]:
        room = booking.room
        hold_id = uuid5(booking.booking_id, "hold")
        return {
            "hotel_id": room.hotel_id,
            "room_type_id": room.room_type_id,
            "hold_id": hold_id,
            "booking_id": booking.booking_id,
        }

    def _reacted(self, booking: _Booking, step: str, command: str | None, name: str = "booking") -> Step:
        saga_id = uuid5(booking.booking_id, name)
        saga: dict[str, Any] = {"saga_id": saga_id, "saga": name}
        state = {name: str(value) for name, value in booking.details.items() if isinstance(value, UUID)}
        reacted = SagaReacted(
            **saga,
            subject_id=booking.booking_id,
            step=step,
            status="running" if command else "finished",
            cause="bookings.v1.BookingRequested",
            state=state | {"step": step, "attempts": 1},
            deadline=booking.at + dt.timedelta(seconds=30),
        )
        events: tuple[Event, ...] = (reacted,)
        if command is not None:
            command_id = uuid5(saga_id, command)
            events += (SagaCommandIssued(**saga, command_id=command_id, command=command, content=state),)
        return Step("bookings", saga_id, self._around(booking, f"saga:{name}"), events)

    def _booked(self, booking: _Booking, actor: str, event: Event) -> Step:
        return Step("bookings", booking.booking_id, self._around(booking, actor), (event,))

    def _counted(self, booking: _Booking, event: Event) -> Step:
        return Step("inventory", booking.room.room_type_id, self._around(booking, "saga:booking"), (event,))

    def _paid(self, booking: _Booking, event: Event) -> Step:
        return Step("payments", booking.payment_id, self._around(booking, "saga:booking"), (event,))

    @staticmethod
    def _around(booking: _Booking, actor: str) -> Metadata:
        return Metadata(correlation_id=booking.booking_id, causation_id=booking.payment_id, actor=actor, at=booking.at)
