"""Whether a confirmed booking may become another stay, and what that costs."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from domain.booking.commands import (
    AwaitModificationPayment,
    CheckIn,
    CompleteModification,
    RejectModification,
    RequestCancellation,
    RequestModification,
)
from domain.booking.decide import decide_check_in, decide_request, decide_request_cancellation
from domain.booking.events import (
    BookingCancelled,
    BookingConfirmed,
    BookingModified,
    BookingRequested,
    CancellationRequested,
    ModificationAwaitingPayment,
    ModificationRejected,
    ModificationRequested,
    Paid,
)
from domain.booking.identity import hold_id_of, payment_id_of
from domain.booking.modification import (
    GivesUpTooLate,
    decide_await_modification_payment,
    decide_complete_modification,
    decide_reject_modification,
    decide_request_modification,
)
from domain.booking.paid import given_back, taken, to_give_back
from domain.booking.state import BOOKING, BookingState, details_of
from domain.hotel.cancellation import POLICIES
from domain.hotel.events import NightPrice, PaymentPolicy
from domain.shared.errors import IllegalTransition, InvalidCommand, NotFound
from domain.shared.messages import Event
from domain.shared.money import Money
from domain.shared.stay import Stay
from tests.unit.domain.test_booking import (
    ACCOUNT,
    BOOKING_ID,
    CANCELLED,
    CANCELLING,
    CHECK_IN,
    CHECK_IN_AT,
    CHECKED_IN,
    CONFIRMED,
    NO_SHOW,
    PAYMENT_ID,
    REJECTED,
    REQUESTED,
    eur,
    requesting,
)
from tests.unit.spec import History, Outcome, given

CHANGE, NEXT_CHANGE = UUID(int=50), UUID(int=51)
NIGHT = dt.timedelta(days=1)


def stay(first: int, last: int) -> Stay:
    """Nights counted from the booked check-in; booked are 0 and 1."""
    return Stay(check_in=CHECK_IN + first * NIGHT, check_out=CHECK_IN + (last + 1) * NIGHT)


def modifying(wanted: Stay | None = None, price: int = 10_000, **changes: Any) -> RequestModification:
    wanted = wanted or stay(0, 2)
    asked: dict[str, Any] = {
        name: value for name, value in dict(requesting()).items() if name not in {"guest_id", "account_id", "hotel_id"}
    }
    asked |= {
        "modification_id": CHANGE,
        "quoted_version": 2,
        "asked_by": ACCOUNT,
        "stay": wanted,
        "check_in_at": CHECK_IN_AT + (wanted.check_in - CHECK_IN),
        "nightly": tuple(NightPrice(date=night, amount_minor=price) for night in wanted.nights),
    }
    return RequestModification(**asked | changes)


def asking(
    *history: Event, hours_left: float = 200, command: RequestModification | None = None, **changes: Any
) -> Outcome[BookingState]:
    asked = command or modifying(**changes)
    now = CHECK_IN_AT - dt.timedelta(hours=hours_left)
    return given(BOOKING, *history).when(lambda state: decide_request_modification(state, asked, now))


def asked(*history: Event, **changes: Any) -> ModificationRequested:
    [event] = asking(*(history or (REQUESTED, CONFIRMED)), **changes).then_events()
    assert isinstance(event, ModificationRequested)
    return event


LONGER = asked()
AWAITING = ModificationAwaitingPayment(booking_id=BOOKING_ID, modification_id=CHANGE)
MODIFIED = BookingModified(
    **details_of(LONGER.after),
    modification_id=CHANGE,
    before=LONGER.before,
    charge=eur(20_000),
    refund=eur(0),
    paid=(Paid(payment_id=PAYMENT_ID, amount=eur(40_000)), Paid(payment_id=CHANGE, amount=eur(20_000))),
)
NOT_MODIFIED = ModificationRejected(**details_of(LONGER.before), modification_id=CHANGE, reason="payment_declined")


class TestAsking:
    def test_what_is_wanted_is_taken_down_beside_what_is(self) -> None:
        assert (LONGER.before.stay, LONGER.after.stay) == (stay(0, 1), stay(0, 2))
        assert LONGER.hold_id == hold_id_of(BOOKING_ID)
        assert (LONGER.after.total, LONGER.after.due_now) == (eur(60_000), eur(60_000))
        assert LONGER.after.guest_id == LONGER.before.guest_id
        assert LONGER.after.payment_id == PAYMENT_ID

    def test_more_costs_the_difference(self) -> None:
        assert (LONGER.charge, LONGER.refunds) == (eur(20_000), ())
        assert (LONGER.payment_provider, LONGER.payment_token) == ("sandbox", "tok_ok")

    def test_of_less_the_difference_goes_back(self) -> None:
        shorter = asked(wanted=stay(0, 0))
        assert shorter.charge == eur(0)
        assert shorter.refunds == (Paid(payment_id=PAYMENT_ID, amount=eur(20_000)),)
        assert shorter.payment_token == "", "nothing is paid with it"

    @pytest.mark.parametrize(
        ("policy", "charge", "back"), [("prepaid", 20_000, 0), ("deposit", 0, 22_000), ("at_hotel", 0, 40_000)]
    )
    def test_what_is_due_depends_on_the_new_policy(self, policy: PaymentPolicy, charge: int, back: int) -> None:
        event = asked(payment_policy=policy)
        assert (event.charge, sum(part.amount.minor for part in event.refunds)) == (eur(charge), back)

    def test_where_something_is_due_it_must_be_said_how_it_is_paid(self) -> None:
        asking(REQUESTED, CONFIRMED, payment_token="").then_refused(InvalidCommand, "payment")
        asking(REQUESTED, CONFIRMED, wanted=stay(0, 0), payment_token="", payment_provider="").then_events()

    def test_until_it_is_done_the_booking_stays_as_it_was(self) -> None:
        state = given(BOOKING, REQUESTED, CONFIRMED, LONGER).state
        assert state.details is not None
        assert (state.status, state.details.stay, state.is_modifying) == ("confirmed", stay(0, 1), True)

    @pytest.mark.parametrize(
        "history",
        [[], [REJECTED], [CONFIRMED, CHECKED_IN], [CONFIRMED, NO_SHOW], [CONFIRMED, CANCELLING, CANCELLED]],
    )
    def test_only_a_confirmed_booking(self, history: list[Event]) -> None:
        version = len(history) + 1
        asking(REQUESTED, *history, quoted_version=version).then_refused(IllegalTransition)

    @pytest.mark.parametrize("under_way", [CANCELLING, LONGER])
    def test_not_while_something_else_is_under_way(self, under_way: Event) -> None:
        refused = asking(REQUESTED, CONFIRMED, under_way, quoted_version=3).then_refused(IllegalTransition)
        assert "is being" in refused.detail

    def test_not_after_check_in(self) -> None:
        asking(REQUESTED, CONFIRMED, hours_left=0).then_refused(IllegalTransition)

    def test_not_by_a_quote_for_what_the_booking_was(self) -> None:
        refused = asking(REQUESTED, CONFIRMED, LONGER, NOT_MODIFIED).then_refused(IllegalTransition)
        assert "ask for another" in refused.detail

    def test_of_other_peoples_bookings_nothing_is_known(self) -> None:
        asking(REQUESTED, CONFIRMED, asked_by=uuid4()).then_refused(NotFound)
        asking(REQUESTED, REJECTED, asked_by=uuid4()).then_refused(NotFound)
        asking().then_refused(NotFound)
        asking(REQUESTED, CONFIRMED, asked_by=None).then_events()

    def test_not_if_nothing_changes(self) -> None:
        asking(REQUESTED, CONFIRMED, wanted=stay(0, 1)).then_refused(IllegalTransition)

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"rooms": 0}, "rooms"),
            ({"today": CHECK_IN + NIGHT}, "check_in"),
            ({"nightly": ()}, "nightly"),
            ({"adults": 0, "children": 0}, "adults"),
            ({"payment_token": "x" * 256}, "payment.token"),
        ],
    )
    def test_what_is_wanted_must_make_sense(self, changes: dict[str, Any], field: str) -> None:
        asking(REQUESTED, CONFIRMED, **changes).then_refused(InvalidCommand, field)

    def test_not_in_another_currency(self) -> None:
        asking(REQUESTED, CONFIRMED, currency="USD").then_refused(InvalidCommand)


class TestGivingUp:
    """The policy is moderate: to cancel is free until 120 hours before check-in."""

    @pytest.mark.parametrize(
        "changes",
        [
            {"wanted": stay(0, 0)},
            {"wanted": stay(1, 4)},
            {"rooms": 1},
            {"rate_plan_id": UUID(int=60)},
            {"room_type_id": UUID(int=61)},
            {"wanted": stay(0, 2), "price": 5_000},
        ],
    )
    def test_is_possible_as_long_as_to_cancel_is_free(self, changes: dict[str, Any]) -> None:
        asked(hours_left=120, **changes)
        refused = asking(REQUESTED, CONFIRMED, hours_left=119, **changes).then_refused(GivesUpTooLate)
        assert "50 %" in refused.detail

    @pytest.mark.parametrize("changes", [{"wanted": stay(-1, 1)}, {"rooms": 3}, {"adults": 4}])
    def test_more_can_always_be_had(self, changes: dict[str, Any]) -> None:
        if "adults" in changes:
            changes = changes | {"wanted": stay(0, 1), "price": 12_000}
        assert asked(hours_left=1, today=CHECK_IN - 2 * NIGHT, **changes).charge.minor > 0


completing = CompleteModification(booking_id=BOOKING_ID, modification_id=CHANGE)
rejecting = RejectModification(booking_id=BOOKING_ID, modification_id=CHANGE, reason="payment_declined")


def done(*history: Event) -> History[BookingState]:
    return given(BOOKING, REQUESTED, CONFIRMED, *history)


class TestEnding:
    def test_it_is_another_stay_when_rooms_and_money_are_exchanged(self) -> None:
        done(LONGER).when(lambda state: decide_complete_modification(state, completing)).then(MODIFIED)

    def test_the_booking_is_what_was_wanted_then(self) -> None:
        state = done(LONGER, MODIFIED).state
        assert state.details == LONGER.after
        assert (state.status, state.hold_id, state.paid) == ("confirmed", CHANGE, MODIFIED.paid)
        assert not state.is_modifying

    def test_or_it_stays_what_it_was(self) -> None:
        done(LONGER).when(lambda state: decide_reject_modification(state, rejecting)).then(NOT_MODIFIED)
        state = done(LONGER, NOT_MODIFIED).state
        assert state.details == LONGER.before
        assert state.hold_id == hold_id_of(BOOKING_ID)
        assert state.modification is not None
        assert (state.modification.outcome, state.modification.reason) == ("rejected", "payment_declined")

    def test_each_end_comes_once(self) -> None:
        done(LONGER, MODIFIED).when(lambda state: decide_complete_modification(state, completing)).then_nothing()
        done(LONGER, NOT_MODIFIED).when(lambda state: decide_reject_modification(state, rejecting)).then_nothing()

    def test_also_when_another_has_been_asked_for_since(self) -> None:
        known = {"modification_id": NEXT_CHANGE, "quoted_version": 4}
        again = asked(REQUESTED, CONFIRMED, LONGER, MODIFIED, wanted=stay(0, 0), **known)
        later = done(LONGER, MODIFIED, again)
        later.when(lambda state: decide_complete_modification(state, completing)).then_nothing()
        later.when(lambda state: decide_reject_modification(state, rejecting)).then_refused(IllegalTransition)

    def test_the_two_ends_exclude_each_other(self) -> None:
        for decide, command, history in (
            (decide_complete_modification, completing, [LONGER, NOT_MODIFIED]),
            (decide_reject_modification, rejecting, [LONGER, MODIFIED]),
        ):
            done(*history).when(partial(_swapped, decide, command)).then_refused(IllegalTransition)

    def test_the_guest_has_to_act(self) -> None:
        waiting = AwaitModificationPayment(booking_id=BOOKING_ID, modification_id=CHANGE)
        done(LONGER).when(lambda state: decide_await_modification_payment(state, waiting)).then(AWAITING)
        for ended in ([AWAITING], [AWAITING, MODIFIED], [NOT_MODIFIED]):
            later = done(LONGER, *ended)
            later.when(lambda state: decide_await_modification_payment(state, waiting)).then_nothing()

    def test_nothing_ends_that_nobody_asked_for(self) -> None:
        for history in ([], [LONGER]):
            other = CompleteModification(booking_id=BOOKING_ID, modification_id=uuid4())
            done(*history).when(partial(_swapped, decide_complete_modification, other)).then_refused(NotFound)


class TestWhatFollows:
    def test_nothing_else_happens_to_the_booking_meanwhile(self) -> None:
        now = CHECK_IN_AT - dt.timedelta(hours=200)
        cancelling = RequestCancellation(booking_id=BOOKING_ID)
        checking_in = CheckIn(booking_id=BOOKING_ID, today=CHECK_IN)
        for history in ([LONGER], [LONGER, AWAITING]):
            for decide in (
                lambda state: decide_request_cancellation(state, cancelling, now),
                lambda state: decide_check_in(state, checking_in),
            ):
                refused = done(*history).when(decide).then_refused(IllegalTransition)
                assert "is being modified" in refused.detail

    def test_it_can_be_modified_again(self) -> None:
        again = asked(
            REQUESTED,
            CONFIRMED,
            LONGER,
            MODIFIED,
            wanted=stay(0, 0),
            modification_id=NEXT_CHANGE,
            quoted_version=4,
        )
        assert again.hold_id == CHANGE
        assert again.refunds == (
            Paid(payment_id=CHANGE, amount=eur(20_000)),
            Paid(payment_id=PAYMENT_ID, amount=eur(20_000)),
        )

    def test_a_cancellation_gives_back_what_all_payments_keep(self) -> None:
        cancelling = RequestCancellation(booking_id=BOOKING_ID)
        now = CHECK_IN_AT - dt.timedelta(hours=100)
        [event] = done(LONGER, MODIFIED).when(partial(_cancelling, cancelling, now)).then_events()
        assert isinstance(event, CancellationRequested)
        assert (event.charge, event.refund, event.hold_id) == (eur(30_000), eur(30_000), CHANGE)
        assert event.refunds == (
            Paid(payment_id=CHANGE, amount=eur(20_000)),
            Paid(payment_id=PAYMENT_ID, amount=eur(10_000)),
        )
        gone = BookingCancelled(**details_of(LONGER.after), charge=eur(30_000), refund=eur(30_000), reason="")
        state = done(LONGER, MODIFIED, event, gone).state
        assert state.paid == (Paid(payment_id=PAYMENT_ID, amount=eur(30_000)),)


def _swapped(decide: Any, command: Any, state: BookingState) -> Any:
    return decide(state, command)


def _cancelling(command: RequestCancellation, now: dt.datetime, state: BookingState) -> list[Event]:
    return decide_request_cancellation(state, command, now)


ledgers = st.lists(st.integers(1, 10_000), max_size=5).map(
    lambda amounts: tuple(Paid(payment_id=UUID(int=number), amount=eur(minor)) for number, minor in enumerate(amounts))
)


def _sum(parts: tuple[Paid, ...]) -> int:
    return sum(part.amount.minor for part in parts)


class TestTheLedger:
    @for_all(ledgers, st.integers(0, 60_000))
    def test_what_is_given_back_and_what_is_kept_make_what_was_there(
        self, ledger: tuple[Paid, ...], amount: int
    ) -> None:
        parts = to_give_back(ledger, eur(amount))
        rest = given_back(ledger, parts)
        assert _sum(parts) == min(amount, _sum(ledger))
        assert _sum(parts) + _sum(rest) == _sum(ledger)
        assert all(part.amount.minor > 0 for part in (*parts, *rest))
        kept = {paid.payment_id: paid.amount.minor for paid in ledger}
        assert all(part.amount.minor <= kept[part.payment_id] for part in parts)

    @for_all(ledgers, st.integers(1, 60_000))
    def test_the_oldest_payment_gives_back_last(self, ledger: tuple[Paid, ...], amount: int) -> None:
        rest = given_back(ledger, to_give_back(ledger, eur(amount)))
        assert [paid.payment_id for paid in rest] == [paid.payment_id for paid in ledger][: len(rest)]
        assert rest[:-1] == ledger[: max(0, len(rest) - 1)], "of those that are left, only the last may keep less"

    def test_nothing_is_not_noted(self) -> None:
        assert taken((), Paid(payment_id=CHANGE, amount=Money.zero("EUR"))) == ()


@for_all(
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from(["prepaid", "deposit", "at_hotel"]),
    st.sampled_from(["prepaid", "deposit", "at_hotel"]),
)
def test_what_is_kept_after_it_is_what_is_due_then(
    before: int, after: int, nights: int, rooms: int, policy: PaymentPolicy, new_policy: PaymentPolicy
) -> None:
    nightly = tuple(NightPrice(date=night, amount_minor=before) for night in stay(0, 1).nights)
    asked_for = requesting(nightly=nightly, payment_policy=policy, cancellation=POLICIES["flexible"])
    [booked] = decide_request(BookingState(), asked_for)
    change = modifying(stay(0, nights), after, rooms=rooms, payment_policy=new_policy)
    assert isinstance(booked, BookingRequested)
    history = given(BOOKING, booked, BookingConfirmed(**details_of(booked)))
    now = CHECK_IN_AT - dt.timedelta(hours=200)
    history = history.and_when(lambda state: decide_request_modification(state, change, now))
    [done] = history.when(lambda state: decide_complete_modification(state, completing)).then_events()
    assert isinstance(done, BookingModified)
    assert _sum(done.paid) == done.due_now.minor
    assert done.before.due_now + done.charge - done.refund == done.due_now
    assert {paid.payment_id for paid in done.paid} <= {payment_id_of(BOOKING_ID), CHANGE}
