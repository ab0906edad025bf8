"""In whatever order messages come, however often, whichever commands are lost: rooms and money end where they belong.

The real handlers of three services and all sagas, driven by Hypothesis: no night is oversold, no money is kept that no
confirmed booking owes, every saga ends, every hold ends, and nothing stays reserved.
"""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from commands.payment_provider import ProviderTimeout, ProviderUnavailable
from domain.booking.events import BookingConfirmed, BookingModified, BookingRejected
from domain.booking.identity import hold_id_of
from domain.hotel.events import PaymentPolicy
from domain.payment.events import PaymentCaptured
from tests.properties.booking_world import NIGHTS, ROOM_TYPES, BookingWorld, Wish

any_of = st.integers(0, 10_000)
tokens = st.sampled_from(["authorised", "authorised", "authorised", "requires_action", "declined"])
policies: st.SearchStrategy[PaymentPolicy] = st.sampled_from(["prepaid", "deposit", "at_hotel"])
wishes = st.builds(
    Wish, st.sampled_from([0, 0, 0, 1]), st.integers(0, 2), st.integers(1, 2), st.integers(1, 2), policies, tokens
)
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
    @rule(wish=wishes, percent=st.sampled_from([0, 40]))
    def request(self, wish: Wish, percent: int) -> None:
        self.world.request(wish, percent)

    @precondition(lambda self: self.world.modifiable())
    @rule(which=any_of, wish=wishes)
    def modify(self, which: int, wish: Wish) -> None:
        modifiable = self.world.modifiable()
        self.world.modify(modifiable[which % len(modifiable)], wish)

    @precondition(lambda self: self.world.bookings)
    @rule(which=any_of)
    def cancel(self, which: int) -> None:
        self.world.cancel(self._booking(which))

    @precondition(lambda self: self.world.bookings)
    @rule(which=any_of, approve=st.booleans())
    def act(self, which: int, approve: bool) -> None:
        booking_id = self._booking(which)
        for payment_id, payment in self.world.payments(booking_id).items():
            if payment.status == "requires_action":
                with suppress(ProviderTimeout, ProviderUnavailable):  # the guest will try again, or not
                    self.world.act(payment_id, booking_id, approve=approve)

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
        bookings = [self.world.booking(booking_id) for booking_id in self.world.bookings]
        for room_type_id in ROOM_TYPES:
            inventory = self.world.inventory(room_type_id)
            for night in NIGHTS:
                sold = sum(
                    each.details.rooms
                    for each in bookings
                    if each.status == "confirmed"
                    and each.details is not None
                    and each.details.room_type_id == room_type_id
                    and night in each.details.stay.nights
                    # Those of others may be free already, or be exchanged.
                    and each.settlement is None
                    and not each.is_modifying
                )
                assert sold <= self.world.rooms
                assert inventory.taken_on(night).rooms <= self.world.rooms

    @invariant()
    def what_a_booking_says_is_so(self) -> None:
        """Confirmed or modified: paid, and the rooms are sold. Rejected: neither, and no rooms are held either."""
        captured = {each.payment_id for each in self.world.history if isinstance(each, PaymentCaptured)}
        for event in self.world.history:
            match event:
                case BookingConfirmed():
                    assert event.due_now.minor == 0 or event.payment_id in captured
                case BookingModified():
                    assert event.charge.minor == 0 or event.modification_id in captured
                    assert sum(paid.amount.minor for paid in event.paid) == event.due_now.minor
                case BookingRejected():
                    assert event.payment_id not in captured
                    inventory = self.world.inventory(event.room_type_id)
                    assert hold_id_of(event.booking_id) not in inventory.held.keys() | inventory.sold.keys()
        for booking in map(self.world.booking, self.world.bookings):
            if booking.status == "confirmed" and booking.settlement is None and not booking.is_modifying:
                assert booking.details is not None
                hold = self.world.inventory(booking.details.room_type_id).sold[booking.hold_id or UUID(int=0)]
                assert (hold.stay, hold.rooms) == (booking.details.stay, booking.details.rooms)

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
        inventories = [world.inventory(room_type_id) for room_type_id in ROOM_TYPES]
        assert all(inventory.held == {} for inventory in inventories)
        sold = {hold_id for inventory in inventories for hold_id in inventory.sold}
        assert world.provider.reserved == {}
        for running in world.sagas.values():
            assert running.state.status == "finished", f"{running.saga.name} is still {running.state.step}"
        kept = 0
        assert sold == {each.hold_id for each in map(world.booking, world.bookings) if each.status == "confirmed"}
        for booking_id in world.bookings:
            booking, payments = world.booking(booking_id), world.payments(booking_id)
            assert booking.details is not None
            assert booking.status in {"confirmed", "rejected", "cancelled"}
            assert not booking.is_modifying
            owed = booking.details.due_now.minor if booking.status == "confirmed" else 0
            if booking.status == "cancelled":
                assert booking.settlement is not None
                owed = booking.settlement.charge.minor
            assert sum(each.captured_minor - each.refunded_minor for each in payments.values()) == owed
            for paid in booking.paid:
                payment = payments[paid.payment_id]
                assert payment.captured_minor - payment.refunded_minor == paid.amount.minor
            assert all(refund.done for payment in payments.values() for refund in payment.refunds.values())
            kept += owed
        taken = sum(amount.minor for amount in world.provider.captured.values())
        given_back = sum(amount.minor for amounts in world.provider.refunded.values() for amount in amounts)
        assert taken - given_back == kept

    def _booking(self, which: int) -> UUID:
        return self.world.bookings[which % len(self.world.bookings)]


class Modifications(Bookings):
    """The same, where two bookings have been confirmed before anything goes wrong."""

    @initialize(rooms=st.integers(2, 3), policy=policies, percent=st.sampled_from([0, 0, 40]))
    def open(self, rooms: int, policy: PaymentPolicy, percent: int) -> None:
        """A small hotel with guests who may want something else."""
        self.world = BookingWorld(rooms)
        for first in range(2):
            self.world.request(Wish(0, first, 1, 1, policy, "authorised"), percent)
        self.world.settle()


Bookings.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
Modifications.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
TestBookings = Bookings.TestCase
TestModifications = Modifications.TestCase
