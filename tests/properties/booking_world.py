"""A small world of bookings without servers: real handlers and real sagas, with every message in the test's hand.

Commands and events lie there until they are delivered: in any order, once, twice or (commands) never. Events are never
lost, because the log keeps them; whoever delivers a command may find the provider of payments out of order.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from commands.dispatch import Dispatcher
from commands.payment_provider import Authorisation, ProviderTimeout, ProviderUnavailable
from commands.ports import CommandEnvelope, Metadata
from domain.booking.commands import RequestBooking, RequestCancellation, RequestModification
from domain.booking.identity import payment_id_of
from domain.booking.modification import GivesUpTooLate
from domain.booking.state import BOOKING, BookingState
from domain.hotel.events import CancellationTier, NightPrice, PaymentPolicy
from domain.inventory.commands import OpenRoomType
from domain.inventory.state import INVENTORY, InventoryState
from domain.payment.commands import ResolvePaymentAction
from domain.payment.state import PAYMENT, PaymentState
from domain.shared.errors import IllegalTransition
from domain.shared.messages import Command, Event
from domain.shared.money import Money
from domain.shared.stay import Stay
from sagas.booking import BOOKING_SAGA
from sagas.cancellation import CANCELLATION_SAGA
from sagas.modification import MODIFICATION_SAGA
from sagas.saga import Happening, Saga, SagaState, command_id
from tests.fakes import FakeProvider, Fakes, envelope_of

T = TypeVar("T")

HOTEL = UUID(int=1001)
ROOM_TYPES = (UUID(int=1002), UUID(int=1006))
MONDAY = dt.date(2026, 7, 6)
NIGHTS = tuple(MONDAY + dt.timedelta(days=day) for day in range(4))
PRICE = 10_000
SAGAS: tuple[Saga[Any], ...] = (BOOKING_SAGA, CANCELLATION_SAGA, MODIFICATION_SAGA)


class TokenProvider(FakeProvider):
    """Answers with what the token says; ``recover`` ends all its troubles."""

    async def authorise(self, key: str, amount: Money, token: str) -> Authorisation:
        """See PaymentProvider."""
        self.outcome = token
        return await super().authorise(key, amount, token)

    def recover(self) -> None:
        """Nothing fails any more."""
        self._failures.clear()


class Wish(NamedTuple):
    """A stay that somebody wants; ``token`` is what the provider will say."""

    room_type: int
    first: int
    nights: int
    rooms: int
    policy: PaymentPolicy
    token: str


@dataclass
class Running:
    """A saga that has begun."""

    saga: Saga[Any]
    state: SagaState
    deadline: dt.datetime | None


class BookingWorld:
    """``told`` counts events that the sagas know; ``envelopes`` are all commands that they ever issued."""

    def __init__(self, rooms: int) -> None:
        self.fakes = Fakes("inventory", "bookings", "payments")
        self.provider = TokenProvider()
        providers = self.fakes.dependencies.providers
        assert isinstance(providers, dict)
        providers["sandbox"] = self.provider
        self.dispatcher = Dispatcher(self.fakes.dependencies)
        self.loop = asyncio.new_event_loop()
        self.rooms = rooms
        self.bookings: list[UUID] = []
        self.sagas: dict[UUID, Running] = {}
        self.envelopes: list[CommandEnvelope] = []
        self.undelivered: list[CommandEnvelope] = []
        self.untold: list[Event] = []
        self.history: list[Event] = []
        self.modifications: dict[UUID, list[UUID]] = {}
        self._seen = dict.fromkeys(self.fakes.streams, 0)
        for room_type_id in ROOM_TYPES:
            self.ask(
                OpenRoomType(
                    hotel_id=HOTEL, room_type_id=room_type_id, owner_id=UUID(int=1003), default_allotment=rooms
                )
            )

    def close(self) -> None:
        """No more of it."""
        self.loop.close()

    # What people do

    def request(self, wish: Wish, percent: int) -> None:
        """Somebody books; to cancel costs ``percent``."""
        booking_id = UUID(int=len(self.bookings) + 1)
        self.bookings.append(booking_id)
        self.modifications[booking_id] = []
        self.ask(
            RequestBooking(
                booking_id=booking_id,
                guest_id=UUID(int=1004),
                account_id=UUID(int=1004),
                hotel_id=HOTEL,
                **self._terms(wish, percent),
            )
        )

    def modifiable(self) -> list[UUID]:
        """Bookings that are confirmed, and not about to become something else."""
        bookings = {booking_id: self.booking(booking_id) for booking_id in self.bookings}
        return [
            booking_id
            for booking_id, booking in bookings.items()
            if booking.status == "confirmed" and booking.settlement is None and not booking.is_modifying
        ]

    def modify(self, booking_id: UUID, wish: Wish) -> None:
        """The guest wants another stay, if that can be asked for."""
        booking = self.booking(booking_id)
        assert booking.details is not None
        number = len(self.modifications[booking_id]) + 1
        modification_id = UUID(int=booking_id.int * 100 + number)
        try:
            self.ask(
                RequestModification(
                    booking_id=booking_id,
                    modification_id=modification_id,
                    quoted_version=booking.version,
                    **self._terms(wish, booking.details.cancellation[0].percent_charged),
                )
            )
        except (GivesUpTooLate, IllegalTransition):  # or it is so already, or the stay has begun
            return
        self.modifications[booking_id].append(modification_id)

    def _terms(self, wish: Wish, percent: int) -> dict[str, Any]:
        check_in = NIGHTS[wish.first]
        stay = Stay(check_in=check_in, check_out=check_in + dt.timedelta(days=wish.nights))
        return {
            "room_type_id": ROOM_TYPES[wish.room_type],
            "rate_plan_id": UUID(int=1005),
            "stay": stay,
            "today": MONDAY - dt.timedelta(days=30),
            "check_in_at": dt.datetime.combine(check_in, dt.time(13), dt.UTC),
            "rooms": wish.rooms,
            "adults": 1,
            "children": 0,
            "nightly": tuple(NightPrice(date=night, amount_minor=PRICE) for night in stay.nights),
            "currency": "EUR",
            "payment_policy": wish.policy,
            "cancellation": (CancellationTier(hours_before=0, percent_charged=percent),),
            "payment_provider": "sandbox",
            "payment_token": wish.token,
        }

    def cancel(self, booking_id: UUID) -> None:
        """The guest cancels, if there is something to cancel."""
        if booking_id in self.modifiable():
            self.ask(RequestCancellation(booking_id=booking_id))

    def act(self, payment_id: UUID, booking_id: UUID, *, approve: bool) -> None:
        """The guest approves the payment or does not, or finds that it is too late."""
        try:
            self.ask(ResolvePaymentAction(payment_id=payment_id, booking_id=booking_id, approve=approve))
        except IllegalTransition:
            assert self.payment(payment_id).status != "requires_action" or self.payment(payment_id).voiding

    def ask(self, command: Command) -> None:
        """Somebody asks for something, now."""
        self.deliver(envelope_of(command, at=self.fakes.clock.now()))

    # What messages do

    def deliver(self, envelope: CommandEnvelope) -> bool:
        """Hand a command to its handler; False if the provider failed it."""
        try:
            self._run(self.dispatcher.handle(envelope))
        except (ProviderTimeout, ProviderUnavailable):
            return False
        finally:
            self._listen()
        return True

    def tell(self, event: Event) -> None:
        """Tell the sagas of an event."""
        if event in self.untold:
            self.untold.remove(event)
        for saga in SAGAS:
            route = saga.routes.get(type(event))
            if route is not None:
                subject = route(event)
                if subject is None:
                    continue
                running = self.sagas.get(saga.saga_id(subject))
                if running is not None or type(event) in saga.starts:
                    self._react(saga, saga.saga_id(subject), Happening(self.fakes.clock.now(), event))

    def pass_deadline(self, saga_id: UUID) -> None:
        """The time of a saga's step is over."""
        running = self.sagas[saga_id]
        if running.deadline is not None:
            self._reach(running.deadline)
            happening = Happening(self.fakes.clock.now(), deadline=running.state.step)
            self._react(running.saga, saga_id, happening)

    def timers(self) -> list[tuple[str, UUID, dt.datetime]]:
        """Timers of the services, soonest first."""
        return sorted(
            (
                (name, timer.timer_id, timer.due_at)
                for name, s in self.fakes.streams.items()
                for timer in s.timers.values()
            ),
            key=lambda timer: (timer[2], timer[1]),
        )

    def fire(self, context: str, timer_id: UUID) -> None:
        """A timer of a service is due: it is forgotten unless its command fails or sets it again."""
        timer = self.fakes.streams[context].timers[timer_id]
        self._reach(timer.due_at)
        if self.deliver(timer.command) and self.fakes.streams[context].timers.get(timer_id) is timer:
            del self.fakes.streams[context].timers[timer_id]

    def settle(self) -> None:
        """Let everything come to its end. Commands that have not been delivered yet are lost."""
        self.provider.recover()
        self.undelivered.clear()
        for _ in range(2_000):
            if self.untold:
                self.tell(self.untold[0])
            elif self.undelivered:
                assert self.deliver(self.undelivered.pop(0))
            elif not self._wait():
                return
        raise AssertionError("the world does not come to rest")

    def _wait(self) -> bool:
        waits = [(due_at, "timer", (context, timer_id)) for context, timer_id, due_at in self.timers()]
        deadlines = [(each.deadline, "saga", saga_id) for saga_id, each in self.sagas.items() if each.deadline]
        soonest: Any = min([*waits, *deadlines], key=lambda wait: wait[0], default=None)
        if soonest is None:
            return False
        if soonest[1] == "timer":
            self.fire(*soonest[2])
        else:
            self.pass_deadline(soonest[2])
        return True

    def _react(self, saga: Saga[Any], saga_id: UUID, happening: Happening) -> None:
        running = self.sagas.get(saga_id)
        reaction = saga.react(running.state if running else None, happening)
        if reaction.state is None:
            return
        deadline = running.deadline if reaction.keep_deadline and running else reaction.deadline
        assert (deadline is None) == (reaction.state.status == "finished"), "a saga that runs must have a deadline"
        self.sagas[saga_id] = Running(saga, reaction.state, deadline)
        for issue in reaction.commands:
            assert type(issue.command) in saga.commands
            identity = command_id(saga_id, issue.purpose)
            assert identity not in {each.command_id for each in self.envelopes}, f"{issue.purpose} was issued twice"
            metadata = Metadata(correlation_id=saga_id, actor=f"saga:{saga.name}", at=self.fakes.clock.now())
            envelope = CommandEnvelope(identity, issue.command, metadata)
            self.envelopes.append(envelope)
            self.undelivered.append(envelope)

    def _listen(self) -> None:
        for context, streams in self.fakes.streams.items():
            news = [recorded.event for recorded in streams.log[self._seen[context] :]]
            self._seen[context] += len(news)
            self.untold += news
            self.history += news

    def _reach(self, moment: dt.datetime) -> None:
        self.fakes.clock.advance(seconds=max(0.0, (moment - self.fakes.clock.now()).total_seconds()))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    # How things stand

    def booking(self, booking_id: UUID) -> BookingState:
        """The aggregate."""
        return self._run(self.fakes.streams["bookings"].load(BOOKING, booking_id)).state

    def payment(self, payment_id: UUID) -> PaymentState:
        """The aggregate."""
        return self._run(self.fakes.streams["payments"].load(PAYMENT, payment_id)).state

    def payments(self, booking_id: UUID) -> dict[UUID, PaymentState]:
        """All payments that a booking may have."""
        ids = (payment_id_of(booking_id), *self.modifications[booking_id])
        return {payment_id: self.payment(payment_id) for payment_id in ids}

    def inventory(self, room_type_id: UUID) -> InventoryState:
        """The aggregate."""
        return self._run(self.fakes.streams["inventory"].load(INVENTORY, room_type_id)).state
