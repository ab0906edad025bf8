"""In whatever order messages come, however often, whichever commands are lost: rooms and money end where they belong.

The real handlers of three services and both sagas, driven by Hypothesis: no night is oversold, no money is captured
without a confirmed booking, every saga ends, every hold ends, and nothing stays reserved.
"""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from commands.payment_provider import ProviderTimeout, ProviderUnavailable
from domain.booking.events import BookingConfirmed, BookingRejected
from domain.hotel.events import PaymentPolicy
from domain.payment.events import PaymentCaptured
from sagas.saga import hold_id
from tests.properties.booking_world import NIGHTS, BookingWorld

any_of = st.integers(0, 10_000)
tokens = st.sampled_from(["authorised", "authorised", "authorised", "requires_action", "declined"])
policies: st.SearchStrategy[PaymentPolicy] = st.sampled_from(["prepaid", "deposit", "at_hotel"])
operations = st.sampled_from(
    ["authorise", "authorise", "authorisation_of", "resolve_action", "capture", "void", "refund"]
)
errors = st.sampled_from([ProviderTimeout, ProviderUnavailable])

MOST_BOOKINGS = 5


class Bookings(RuleBasedStateMachine):
    """Messages in the hands of chance."""

    world: BookingWorld

    @initialize(rooms=st.integers(1, 2))
    def open(self, rooms: int) -> None:
        """A small hotel."""
        self.world = BookingWorld(rooms)

    @precondition(lambda self: len(self.world.bookings) < MOST_BOOKINGS)
    @rule(first=st.integers(0, 2), nights=st.integers(1, 2), rooms=st.integers(1, 2), policy=policies, token=tokens)
    def request(self, first: int, nights: int, rooms: int, policy: PaymentPolicy, token: str) -> None:
        self.world.request(first, nights, rooms, policy, token)

    @precondition(lambda self: self.world.bookings)
    @rule(which=any_of)
    def cancel(self, which: int) -> None:
        self.world.cancel(self._booking(which))

    @precondition(lambda self: self.world.bookings)
    @rule(which=any_of, approve=st.booleans())
    def act(self, which: int, approve: bool) -> None:
        booking_id = self._booking(which)
        if self.world.payment(booking_id).status == "requires_action":
            with suppress(ProviderTimeout, ProviderUnavailable):  # the guest will try again, or not
                self.world.act(booking_id, approve=approve)

    @rule(operation=operations, error=errors, after=st.booleans())
    def trouble(self, operation: str, error: type[Exception], after: bool) -> None:
        """The provider's next call of that kind fails; ``after``: it had taken effect (nobody knows: no answer)."""
        self.world.provider.fail(operation, ProviderTimeout if after else error, after=after)

    @precondition(lambda self: self.world.untold)
    @rule(which=any_of)
    def tell_any(self, which: int) -> None:
        self.world.tell(self.world.untold[which % len(self.world.untold)])

    @precondition(lambda self: self.world.untold)
    @rule()
    def tell_all_in_order(self) -> None:
        for event in list(self.world.untold):
            self.world.tell(event)

    @precondition(lambda self: self.world.history)
    @rule(which=any_of)
    def tell_again(self, which: int) -> None:
        event = self.world.history[which % len(self.world.history)]
        if event not in self.world.untold:
            self.world.tell(event)

    @precondition(lambda self: self.world.undelivered)
    @rule(which=any_of)
    def deliver_any(self, which: int) -> None:
        envelope = self.world.undelivered[which % len(self.world.undelivered)]
        if self.world.deliver(envelope):
            self.world.undelivered.remove(envelope)

    @precondition(lambda self: self.world.undelivered)
    @rule()
    def deliver_all_and_tell_all(self) -> None:
        """A moment in which everything works."""
        for envelope in list(self.world.undelivered):
            if self.world.deliver(envelope):
                self.world.undelivered.remove(envelope)
        self.tell_all_in_order()

    @precondition(lambda self: self.world.envelopes)
    @rule(which=any_of)
    def deliver_again(self, which: int) -> None:
        self.world.deliver(self.world.envelopes[which % len(self.world.envelopes)])

    @precondition(lambda self: self.world.undelivered)
    @rule(which=any_of)
    def lose(self, which: int) -> None:
        self.world.undelivered.pop(which % len(self.world.undelivered))

    @precondition(lambda self: self.world.sagas)
    @rule(which=any_of)
    def pass_deadline(self, which: int) -> None:
        self.world.pass_deadline(list(self.world.sagas)[which % len(self.world.sagas)])

    @precondition(lambda self: self.world.sagas)
    @rule(which=any_of)
    def leave_alone_until_it_gives_up(self, which: int) -> None:
        for _ in range(3):
            self.pass_deadline(which)

    @precondition(lambda self: self.world.timers())
    @rule(which=any_of)
    def fire(self, which: int) -> None:
        timers = self.world.timers()
        context, timer_id, _ = timers[which % len(timers)]
        self.world.fire(context, timer_id)

    @invariant()
    def no_night_is_oversold(self) -> None:
        confirmed = [self.world.booking(booking_id) for booking_id in self.world.bookings]
        for night in NIGHTS:
            sold = sum(
                each.details.rooms
                for each in confirmed
                if each.status == "confirmed"
                and each.details is not None
                and night in each.details.stay.nights
                and each.settlement is None  # its rooms may be free already
            )
            assert sold <= self.world.rooms
            assert self.world.inventory().taken_on(night).rooms <= self.world.rooms

    @invariant()
    def what_a_booking_says_is_so(self) -> None:
        """Confirmed: paid, and the rooms are sold. Rejected: neither, and no rooms are held either."""
        captured = {each.booking_id for each in self.world.history if isinstance(each, PaymentCaptured)}
        for event in self.world.history:
            if isinstance(event, BookingConfirmed):
                assert event.due_now.minor == 0 or event.booking_id in captured
                if self.world.booking(event.booking_id).settlement is None:
                    assert hold_id(event.booking_id) in self.world.inventory().sold
            if isinstance(event, BookingRejected):
                assert event.booking_id not in captured
                assert hold_id(event.booking_id) not in self.world.inventory().held.keys() | self.world.inventory().sold

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.world.settle()
            self._everything_is_where_it_belongs()
            for event in self.world.history:
                self.world.tell(event)
            for envelope in list(self.world.envelopes):
                self.world.deliver(envelope)
            self.world.settle()
            self._everything_is_where_it_belongs()
        finally:
            self.world.close()

    def _everything_is_where_it_belongs(self) -> None:
        world = self.world
        inventory = world.inventory()
        assert inventory.held == {}
        assert world.provider.reserved == {}
        for running in world.sagas.values():
            assert running.state.status == "finished", f"{running.saga.name} is still {running.state.step}"
        kept = 0
        for booking_id in world.bookings:
            booking, payment = world.booking(booking_id), world.payment(booking_id)
            assert booking.details is not None
            assert booking.status in {"confirmed", "rejected", "cancelled"}
            assert (hold_id(booking_id) in inventory.sold) == (booking.status == "confirmed")
            owed = booking.details.due_now.minor if booking.status == "confirmed" else 0
            if booking.status == "cancelled":
                assert booking.settlement is not None
                owed = booking.settlement.charge.minor
            assert payment.captured_minor - payment.refunded_minor == owed
            assert all(refund.done for refund in payment.refunds.values())
            kept += owed
        taken = sum(amount.minor for amount in world.provider.captured.values())
        given_back = sum(amount.minor for amounts in world.provider.refunded.values() for amount in amounts)
        assert taken - given_back == kept

    def _booking(self, which: int) -> UUID:
        return self.world.bookings[which % len(self.world.bookings)]


Bookings.TestCase.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
TestBookings = Bookings.TestCase
