"""Logs as an audit reads them: right by default, and wrong where a test makes them so."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID, uuid4

from commands.ports import Metadata, Position, RecordedEvent
from domain.booking.events import BookingCancelled, BookingConfirmed, BookingRejected, BookingRequested
from domain.hotel.events import CancellationTier, NightPrice
from domain.inventory.events import HoldConfirmed, NightLeft, RoomsHeld, RoomTypeOpened
from domain.payment.events import CaptureRequested, PaymentAuthorised, PaymentCaptured, PaymentRequested
from domain.review.events import ReviewWritten
from domain.saga.events import SagaReacted
from domain.shared.messages import Event
from domain.shared.money import Money
from domain.shared.stay import Stay
from projections.audit.bookings import Bookings
from projections.audit.findings import Cut, Findings, Period
from projections.audit.inventory import Inventory
from projections.audit.money import Payments
from projections.audit.reviews import Reviews
from projections.audit.streams import Streams

NOON = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
HOTEL, ROOM_TYPE, BOOKING, PAYMENT, HOLD, PERSON = (UUID(int=number) for number in range(1, 7))
REVIEW = UUID(int=10)
SAGAS = {"booking": UUID(int=8), "cancellation": UUID(int=9), "modification": UUID(int=11)}
FIRST = dt.date(2026, 7, 1)
STAY = Stay(check_in=FIRST, check_out=FIRST + dt.timedelta(days=2))
ALL = Period()
INVENTORY = {"hotel_id": HOTEL, "room_type_id": ROOM_TYPE}
MONEY = {"payment_id": PAYMENT, "booking_id": BOOKING}


def euros(minor: int) -> Money:
    return Money(minor=minor, currency="EUR")


class Logs:
    """Events that happen one after the other, a second apart; each goes to every rule that takes it."""

    def __init__(self, period: Period = ALL) -> None:
        self.streams, self.inventory = Streams(period), Inventory(period)
        self.bookings, self.payments, self.reviews = Bookings(period), Payments(period), Reviews(period)
        self.versions: dict[tuple[str, UUID], int] = {}
        self.now = NOON
        self._count = 0

    @property
    def position(self) -> Position:
        """Where the last event is."""
        return Position(1, self._count)

    def happen(self, stream: UUID, *events: Event, version: int | None = None, historic: bool = False) -> None:
        """``version`` forges that of the event; ``historic``: it happened a thousand days before it was recorded."""
        for event in events:
            context = event.topic.partition(".")[0]
            self._count += 1
            self.now += dt.timedelta(seconds=1)
            at = self.versions[context, stream] = version or self.versions.get((context, stream), 0) + 1
            business = self.now - dt.timedelta(days=1000) if historic else self.now
            metadata = Metadata(correlation_id=uuid4(), at=business, historic=historic)
            recorded = RecordedEvent(uuid4(), context, stream, at, event, metadata, self.now, self.position)
            self.streams.take(recorded)
            for rule in (self.inventory, self.bookings, self.payments, self.reviews):
                if isinstance(event, rule.takes):
                    rule.take(recorded)

    def cut(self, *, settled: Position | None = None, later: dt.timedelta = dt.timedelta(hours=1)) -> Cut:
        """A cut behind everything, some time later."""
        return Cut(settled or self.position, {}, self.position, self.now + later)

    def judged(self, cut: Cut | None = None) -> dict[str, Findings]:
        """What is found; nothing is looked up that could excuse it."""
        cut = cut or self.cut()
        for overdue in self.inventory.overdue(cut):
            self.inventory.judge_overdue(overdue)
        for saga_id, saga in self.bookings.stuck(cut):
            self.bookings.judge_stuck(saga_id, saga)
        for booking_id, missing in self.bookings.untaken(cut):
            self.bookings.judge_untaken(booking_id, missing)
        for booking_id in self.reviews.suspected(self.bookings):
            self.reviews.judge(booking_id)
        self.bookings.note_quarantined()
        self.bookings.judge_rooms(cut, self.inventory)
        self.payments.judge(cut, self.bookings)
        found = (
            self.inventory.nights,
            self.inventory.holds,
            self.bookings.rooms,
            self.bookings.sagas,
            self.payments.money,
            self.payments.refunds,
            self.reviews.findings,
            self.streams.findings,
        )
        return {findings.name: findings for findings in found}

    def wrong(self, cut: Cut | None = None) -> dict[str, list[str]]:
        """The violations, by rule."""
        judged = self.judged(cut)
        return {name: [each.detail for each in found.violations] for name, found in judged.items() if found.violations}

    # Right things

    def open(self, rooms: int = 3) -> None:
        self.happen(ROOM_TYPE, RoomTypeOpened(**INVENTORY, default_allotment=rooms))

    def hold(self, left: int, *, hold: UUID = HOLD, booking: UUID = BOOKING, rooms: int = 1, of: int = 3) -> None:
        nights = tuple(NightLeft(date=night, rooms_left=left, allotment=of) for night in STAY.nights)
        held = {"hold_id": hold, "booking_id": booking, "stay": STAY, "rooms": rooms, "nights": nights}
        self.happen(ROOM_TYPE, RoomsHeld(**INVENTORY, **held, expires_at=self.now + dt.timedelta(minutes=15)))

    def sell(self, hold: UUID = HOLD, booking: UUID = BOOKING) -> None:
        self.happen(ROOM_TYPE, HoldConfirmed(**INVENTORY, hold_id=hold, booking_id=booking))

    def pay(self, minor: int = 20_000, payment: UUID = PAYMENT) -> None:
        money = MONEY | {"payment_id": payment}
        self.happen(
            payment,
            PaymentRequested(**money, amount=euros(minor), provider="sandbox", token="tok_ok"),
            PaymentAuthorised(**money, amount=euros(minor), reference="r"),
            CaptureRequested(**money, amount=euros(minor)),
            PaymentCaptured(**money, amount=euros(minor)),
        )

    def saga(self, step: str, status: str = "running", *, deadline: dt.timedelta | None = None, **more: Any) -> None:
        name, subject = more.pop("saga", "booking"), more.pop("subject_id", BOOKING)
        self.happen(
            SAGAS[name],
            SagaReacted(
                saga_id=SAGAS[name],
                saga=name,
                subject_id=subject,
                step=step,
                status=status,
                cause="a test",
                state={},
                deadline=None if deadline is None else self.now + deadline,
                **more,
            ),
        )

    def request(self, **changes: Any) -> None:
        self.happen(BOOKING, booking(BookingRequested, payment_provider="sandbox", payment_token="tok_ok", **changes))

    def confirm(self) -> None:
        self.happen(BOOKING, booking(BookingConfirmed))

    def reject(self) -> None:
        self.happen(BOOKING, booking(BookingRejected, reason="sold_out"))

    def review(self, review: UUID = REVIEW, booking: UUID = BOOKING) -> None:
        written = ReviewWritten(
            review_id=review,
            hotel_id=HOTEL,
            booking_id=booking,
            account_id=PERSON,
            rating=8,
            stayed_until=STAY.check_out,
        )
        self.happen(review, written)

    def cancel(self, charge: int, refund: int) -> None:
        self.happen(BOOKING, booking(BookingCancelled, charge=euros(charge), refund=euros(refund), reason="ill"))

    def book(self) -> None:
        """One booking from the request to its confirmation."""
        self.open()
        self.request()
        self.saga("holding", deadline=dt.timedelta(seconds=30))
        self.hold(2)
        self.sell()
        self.pay()
        self.confirm()
        self.saga("confirmed", "finished")


def booking(kind: type[Any], **more: Any) -> Any:
    """An event about the booking, of two nights at 100 euros."""
    details: dict[str, Any] = {
        "booking_id": BOOKING,
        "guest_id": PERSON,
        "account_id": PERSON,
        "hotel_id": HOTEL,
        "room_type_id": ROOM_TYPE,
        "rate_plan_id": HOTEL,
        "stay": STAY,
        "check_in_at": dt.datetime.combine(FIRST, dt.time(14), dt.UTC),
        "rooms": 1,
        "adults": 2,
        "children": 0,
        "nightly": tuple(NightPrice(date=night, amount_minor=10_000) for night in STAY.nights),
        "total": euros(20_000),
        "due_now": euros(20_000),
        "payment_id": PAYMENT,
        "payment_policy": "prepaid",
        "cancellation": (CancellationTier(hours_before=0, percent_charged=100),),
    }
    return kind(**{**details, **more})
