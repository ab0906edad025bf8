"""What may be done with a booking."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from domain.booking.commands import (
    AwaitPayment,
    CheckIn,
    CheckOut,
    CompleteCancellation,
    ConfirmBooking,
    RecordNoShow,
    RejectBooking,
    RequestBooking,
    RequestCancellation,
)
from domain.booking.decide import (
    AlreadyCancelled,
    decide_await_payment,
    decide_check_in,
    decide_check_out,
    decide_complete_cancellation,
    decide_confirm,
    decide_no_show,
    decide_reject,
    decide_request,
    decide_request_cancellation,
)
from domain.booking.events import (
    BookingAwaitingPayment,
    BookingCancelled,
    BookingConfirmed,
    BookingRejected,
    BookingRequested,
    CancellationRequested,
    GuestCheckedIn,
    GuestCheckedOut,
    NoShowRecorded,
    Paid,
)
from domain.booking.identity import hold_id_of, payment_id_of
from domain.booking.state import BOOKING, BookingState, details_of
from domain.hotel.cancellation import POLICIES
from domain.hotel.events import CancellationTier, NightPrice, PaymentPolicy
from domain.shared.errors import AlreadyExists, IllegalTransition, InvalidCommand, NotFound, VersionMismatch
from domain.shared.messages import Event
from domain.shared.money import Money
from domain.shared.stay import Stay
from tests.unit.spec import Outcome, given

BOOKING_ID, ACCOUNT = UUID(int=1), UUID(int=2)
CHECK_IN = dt.date(2026, 7, 1)
CHECK_IN_AT = dt.datetime(2026, 7, 1, 13, tzinfo=dt.UTC)
STAY = Stay(check_in=CHECK_IN, check_out=CHECK_IN + dt.timedelta(days=2))
NIGHTLY = tuple(NightPrice(date=night, amount_minor=10_000) for night in STAY.nights)
PAYMENT_ID = payment_id_of(BOOKING_ID)


def eur(minor: int) -> Money:
    return Money(minor=minor, currency="EUR")


def requesting(**changes: Any) -> RequestBooking:
    asked: dict[str, Any] = {
        "booking_id": BOOKING_ID,
        "guest_id": UUID(int=3),
        "account_id": ACCOUNT,
        "hotel_id": UUID(int=4),
        "room_type_id": UUID(int=5),
        "rate_plan_id": UUID(int=6),
        "stay": STAY,
        "today": dt.date(2026, 6, 1),
        "check_in_at": CHECK_IN_AT,
        "rooms": 2,
        "adults": 3,
        "children": 1,
        "nightly": NIGHTLY,
        "currency": "EUR",
        "payment_policy": "prepaid",
        "cancellation": POLICIES["moderate"],
        "payment_provider": "sandbox",
        "payment_token": "tok_ok",
    }
    return RequestBooking(**asked | changes)


def requested(**changes: Any) -> BookingRequested:
    [event] = decide_request(BookingState(), requesting(**changes))
    assert isinstance(event, BookingRequested)
    return event


REQUESTED = requested()
DETAILS = details_of(REQUESTED)
AWAITING = BookingAwaitingPayment(booking_id=BOOKING_ID, payment_id=PAYMENT_ID)
CONFIRMED = BookingConfirmed(**DETAILS)
REJECTED = BookingRejected(**DETAILS, reason="sold_out")
CANCELLING = CancellationRequested(
    booking_id=BOOKING_ID,
    hotel_id=UUID(int=4),
    room_type_id=UUID(int=5),
    payment_id=PAYMENT_ID,
    charge=eur(20_000),
    refund=eur(20_000),
    reason="ill",
    hold_id=hold_id_of(BOOKING_ID),
    refunds=(Paid(payment_id=PAYMENT_ID, amount=eur(20_000)),),
)
CHECKED_IN, CHECKED_OUT, NO_SHOW = GuestCheckedIn(**DETAILS), GuestCheckedOut(**DETAILS), NoShowRecorded(**DETAILS)
CANCELLED = BookingCancelled(**DETAILS, charge=eur(20_000), refund=eur(20_000), reason="ill")


class TestRequesting:
    def test_what_somebody_wants_is_taken_down_with_its_total(self) -> None:
        [event] = given(BOOKING).when(lambda state: decide_request(state, requesting())).then_events()
        assert isinstance(event, BookingRequested)
        assert (event.total, event.due_now) == (eur(40_000), eur(40_000))
        assert event.payment_id == PAYMENT_ID
        assert event.payment_token == "tok_ok"

    @pytest.mark.parametrize(("policy", "due"), [("prepaid", 40_000), ("deposit", 12_000), ("at_hotel", 0)])
    def test_what_is_due_now_depends_on_the_payment_policy(self, policy: PaymentPolicy, due: int) -> None:
        assert requested(payment_policy=policy).due_now == eur(due)

    def test_a_booking_is_requested_once(self) -> None:
        given(BOOKING, REQUESTED).when(lambda state: decide_request(state, requesting())).then_refused(AlreadyExists)

    def test_a_stay_may_begin_today(self) -> None:
        assert requested(today=CHECK_IN).stay == STAY

    def test_a_stay_may_cost_nothing(self) -> None:
        free = tuple(night.model_copy(update={"amount_minor": 0}) for night in NIGHTLY)
        assert requested(nightly=free).due_now == eur(0)

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"today": CHECK_IN + dt.timedelta(days=1)}, "check_in"),
            ({"today": CHECK_IN - dt.timedelta(days=1_101)}, "check_in"),
            ({"check_in_at": CHECK_IN_AT + dt.timedelta(days=2)}, "check_in_at"),
            ({"check_in_at": CHECK_IN_AT.replace(tzinfo=None)}, "check_in_at"),
            ({"rooms": 0}, "rooms"),
            ({"rooms": 10}, "rooms"),
            ({"adults": 0, "children": 0}, "adults"),
            ({"adults": 91}, "adults"),
            ({"children": -1}, "children"),
            ({"children": 91}, "children"),
            ({"nightly": NIGHTLY[:1]}, "nightly"),
            ({"nightly": ()}, "nightly"),
            ({"nightly": NIGHTLY[::-1]}, "nightly"),
            ({"nightly": (*NIGHTLY, NightPrice(date=STAY.check_out, amount_minor=1))}, "nightly"),
            ({"nightly": (NIGHTLY[0], NIGHTLY[1].model_copy(update={"amount_minor": -1}))}, "nightly"),
            ({"currency": "euro"}, "currency"),
            ({"payment_provider": ""}, "payment.provider"),
            ({"payment_token": "x" * 256}, "payment.token"),
            ({"payment_token": "tok\x00"}, "payment.token"),
            ({"cancellation": ()}, "cancellation_policy"),
        ],
    )
    def test_every_field_has_its_bounds(self, changes: dict[str, Any], field: str) -> None:
        refusal = given(BOOKING).when(lambda state: decide_request(state, requesting(**changes)))
        caught = refusal.then_refused(InvalidCommand)
        assert field in {name for name, _ in caught.errors}


class TestTheOutcome:
    def test_the_guest_has_to_act(self) -> None:
        given(BOOKING, REQUESTED).when(waiting).then(AWAITING)

    @pytest.mark.parametrize("later", [[AWAITING], [CONFIRMED], [REJECTED], [AWAITING, CONFIRMED]])
    def test_that_news_is_late_once_the_booking_has_gone_on(self, later: list[Event]) -> None:
        given(BOOKING, REQUESTED, *later).when(waiting).then_nothing()

    @pytest.mark.parametrize("before", [[], [AWAITING]])
    def test_it_is_confirmed(self, before: list[Event]) -> None:
        given(BOOKING, REQUESTED, *before).when(confirming).then(CONFIRMED)

    @pytest.mark.parametrize(
        "history",
        [
            [CONFIRMED],
            [CONFIRMED, CANCELLING],
            [CONFIRMED, CANCELLING, CANCELLED],
            [CONFIRMED, CHECKED_IN],
            [CONFIRMED, NO_SHOW],
        ],
    )
    def test_it_is_confirmed_once(self, history: list[Event]) -> None:
        given(BOOKING, REQUESTED, *history).when(confirming).then_nothing()

    @pytest.mark.parametrize("before", [[], [AWAITING]])
    def test_it_is_rejected_with_a_reason(self, before: list[Event]) -> None:
        given(BOOKING, REQUESTED, *before).when(rejecting).then(REJECTED)

    def test_it_is_rejected_once_and_the_first_reason_stays(self) -> None:
        again = RejectBooking(booking_id=BOOKING_ID, reason="payment_declined")
        given(BOOKING, REQUESTED, REJECTED).when(lambda state: decide_reject(state, again)).then_nothing()

    def test_what_was_rejected_cannot_be_confirmed(self) -> None:
        given(BOOKING, REQUESTED, REJECTED).when(confirming).then_refused(IllegalTransition)

    @pytest.mark.parametrize("history", [[CONFIRMED], [CONFIRMED, CANCELLING, CANCELLED], [CONFIRMED, CHECKED_IN]])
    def test_what_was_confirmed_cannot_be_rejected(self, history: list[Event]) -> None:
        given(BOOKING, REQUESTED, *history).when(rejecting).then_refused(IllegalTransition)

    def test_there_must_be_a_booking(self) -> None:
        for decision in (waiting, confirming, rejecting, completing):
            given(BOOKING).when(decision).then_refused(NotFound)


def waiting(state: BookingState) -> list[Event]:
    return decide_await_payment(state, AwaitPayment(booking_id=BOOKING_ID, payment_id=PAYMENT_ID))


def confirming(state: BookingState) -> list[Event]:
    return decide_confirm(state, ConfirmBooking(booking_id=BOOKING_ID))


def rejecting(state: BookingState) -> list[Event]:
    return decide_reject(state, RejectBooking(booking_id=BOOKING_ID, reason="sold_out"))


def completing(state: BookingState) -> list[Event]:
    return decide_complete_cancellation(state, CompleteCancellation(booking_id=BOOKING_ID))


class TestCancelling:
    @staticmethod
    def cancelling(
        *history: Event, hours_left: float = 48, asked_by: UUID | None = ACCOUNT, reason: str = "ill"
    ) -> Outcome[BookingState]:
        command = RequestCancellation(booking_id=BOOKING_ID, reason=reason, asked_by=asked_by)
        now = CHECK_IN_AT - dt.timedelta(hours=hours_left)
        return given(BOOKING, *history).when(lambda state: decide_request_cancellation(state, command, now))

    def test_the_policy_says_what_is_kept(self) -> None:
        self.cancelling(REQUESTED, CONFIRMED).then(CANCELLING)

    @pytest.mark.parametrize(("hours_left", "kept"), [(121, 0), (120, 0), (100, 20_000), (24, 20_000), (1, 40_000)])
    def test_it_costs_more_the_later_it_is(self, hours_left: float, kept: int) -> None:
        [event] = self.cancelling(REQUESTED, CONFIRMED, hours_left=hours_left).then_events()
        assert isinstance(event, CancellationRequested)
        assert (event.charge, event.refund) == (eur(kept), eur(40_000 - kept))

    @pytest.mark.parametrize(
        ("policy", "hours_left", "kept", "back"),
        [
            ("deposit", 48, 12_000, 0),
            ("deposit", 130, 0, 12_000),
            ("at_hotel", 48, 0, 0),
            ("at_hotel", 1, 0, 0),
        ],
    )
    def test_never_is_more_kept_than_was_captured(
        self, policy: PaymentPolicy, hours_left: float, kept: int, back: int
    ) -> None:
        booked = requested(payment_policy=policy)
        [event] = self.cancelling(booked, BookingConfirmed(**details_of(booked)), hours_left=hours_left).then_events()
        assert isinstance(event, CancellationRequested)
        assert (event.charge, event.refund) == (eur(kept), eur(back))

    @for_all(
        st.integers(0, 10**9),
        st.sampled_from(["prepaid", "deposit", "at_hotel"]),
        st.integers(0, 100),
        st.floats(0.1, 9_000),
    )
    def test_what_is_kept_and_what_goes_back_make_what_was_captured(
        self, night: int, policy: PaymentPolicy, percent: int, hours_left: float
    ) -> None:
        tiers = (
            CancellationTier(hours_before=100, percent_charged=percent),
            CancellationTier(hours_before=0, percent_charged=100),
        )
        nightly = tuple(NightPrice(date=date, amount_minor=night) for date in STAY.nights)
        booked = requested(payment_policy=policy, cancellation=tiers, nightly=nightly)
        [event] = self.cancelling(booked, BookingConfirmed(**details_of(booked)), hours_left=hours_left).then_events()
        assert isinstance(event, CancellationRequested)
        assert event.charge + event.refund == booked.due_now
        assert 0 <= event.charge.minor <= booked.total.minor
        assert event.refund.minor >= 0

    def test_operators_may_cancel_for_the_guest(self) -> None:
        self.cancelling(REQUESTED, CONFIRMED, asked_by=None).then(CANCELLING)

    def test_of_other_peoples_bookings_nothing_is_known(self) -> None:
        theirs = self.cancelling(REQUESTED, CONFIRMED, asked_by=uuid4()).then_refused(NotFound)
        unknown = self.cancelling().then_refused(NotFound)
        assert theirs.detail == unknown.detail

    @pytest.mark.parametrize("history", [[], [AWAITING], [REJECTED], [CONFIRMED, CHECKED_IN], [CONFIRMED, NO_SHOW]])
    def test_only_a_confirmed_booking_can_be_cancelled(self, history: list[Event]) -> None:
        self.cancelling(REQUESTED, *history).then_refused(IllegalTransition)

    @pytest.mark.parametrize("hours_left", [0, -1])
    def test_not_after_check_in(self, hours_left: float) -> None:
        self.cancelling(REQUESTED, CONFIRMED, hours_left=hours_left).then_refused(IllegalTransition)

    @pytest.mark.parametrize("history", [[CANCELLING], [CANCELLING, CANCELLED]])
    def test_once(self, history: list[Event]) -> None:
        self.cancelling(REQUESTED, CONFIRMED, *history).then_refused(AlreadyCancelled)

    @pytest.mark.parametrize("reason", ["x" * 501, "\x00"])
    def test_the_reason_has_its_bounds(self, reason: str) -> None:
        self.cancelling(REQUESTED, CONFIRMED, reason=reason).then_refused(InvalidCommand, "reason")

    def test_it_is_cancelled_when_rooms_and_money_are_given_back(self) -> None:
        given(BOOKING, REQUESTED, CONFIRMED, CANCELLING).when(completing).then(CANCELLED)

    def test_it_is_cancelled_once(self) -> None:
        given(BOOKING, REQUESTED, CONFIRMED, CANCELLING, CANCELLED).when(completing).then_nothing()

    @pytest.mark.parametrize("history", [[], [CONFIRMED], [REJECTED]])
    def test_nothing_is_completed_that_nobody_asked_for(self, history: list[Event]) -> None:
        given(BOOKING, REQUESTED, *history).when(completing).then_refused(IllegalTransition)

    def test_until_then_it_is_still_confirmed(self) -> None:
        assert given(BOOKING, REQUESTED, CONFIRMED, CANCELLING).state.status == "confirmed"
        assert given(BOOKING, REQUESTED, CONFIRMED, CANCELLING, CANCELLED).state.status == "cancelled"


def checking_in(
    *history: Event, today: dt.date = CHECK_IN, expected_version: int | None = None
) -> Outcome[BookingState]:
    command = CheckIn(booking_id=BOOKING_ID, today=today, expected_version=expected_version)
    return given(BOOKING, *history).when(lambda state: decide_check_in(state, command))


def checking_out(*history: Event, expected_version: int | None = None) -> Outcome[BookingState]:
    command = CheckOut(booking_id=BOOKING_ID, expected_version=expected_version)
    return given(BOOKING, *history).when(lambda state: decide_check_out(state, command))


def missing(
    *history: Event, now: dt.datetime = CHECK_IN_AT, expected_version: int | None = None
) -> Outcome[BookingState]:
    command = RecordNoShow(booking_id=BOOKING_ID, expected_version=expected_version)
    return given(BOOKING, *history).when(lambda state: decide_no_show(state, command, now))


class TestTheStay:
    @pytest.mark.parametrize("today", STAY.nights)
    def test_the_guest_comes_on_any_day_before_the_last(self, today: dt.date) -> None:
        checking_in(REQUESTED, CONFIRMED, today=today).then(CHECKED_IN)

    @pytest.mark.parametrize("today", [CHECK_IN - dt.timedelta(days=1), STAY.check_out])
    def test_not_before_and_not_after(self, today: dt.date) -> None:
        caught = checking_in(REQUESTED, CONFIRMED, today=today).then_refused(IllegalTransition)
        assert str(today) in caught.detail

    def test_the_guest_leaves(self) -> None:
        checking_out(REQUESTED, CONFIRMED, CHECKED_IN).then(CHECKED_OUT)

    @pytest.mark.parametrize("later", [dt.timedelta(0), dt.timedelta(days=30)])
    def test_nobody_has_come(self, later: dt.timedelta) -> None:
        missing(REQUESTED, CONFIRMED, now=CHECK_IN_AT + later).then(NO_SHOW)

    def test_that_can_be_said_when_the_stay_begins(self) -> None:
        early = CHECK_IN_AT - dt.timedelta(seconds=1)
        missing(REQUESTED, CONFIRMED, now=early).then_refused(IllegalTransition)

    def test_a_guest_who_comes_late_after_all_is_checked_in(self) -> None:
        checking_in(REQUESTED, CONFIRMED, NO_SHOW, today=CHECK_IN + dt.timedelta(days=1)).then(CHECKED_IN)

    @pytest.mark.parametrize(
        "history",
        [[], [AWAITING], [REJECTED], [CONFIRMED, CANCELLING], [CONFIRMED, CANCELLING, CANCELLED]],
    )
    def test_only_a_booking_that_stands(self, history: list[Event]) -> None:
        for step in (checking_in, checking_out, missing):
            step(REQUESTED, *history).then_refused(IllegalTransition)

    def test_each_step_once(self) -> None:
        checking_in(REQUESTED, CONFIRMED, CHECKED_IN).then_refused(IllegalTransition)
        checking_in(REQUESTED, CONFIRMED, CHECKED_IN, CHECKED_OUT).then_refused(IllegalTransition)
        checking_out(REQUESTED, CONFIRMED).then_refused(IllegalTransition)
        checking_out(REQUESTED, CONFIRMED, CHECKED_IN, CHECKED_OUT).then_refused(IllegalTransition)
        missing(REQUESTED, CONFIRMED, CHECKED_IN).then_refused(IllegalTransition)
        missing(REQUESTED, CONFIRMED, NO_SHOW).then_refused(IllegalTransition)

    def test_only_the_version_that_was_seen(self) -> None:
        checking_in(REQUESTED, CONFIRMED, expected_version=1).then_refused(VersionMismatch)
        checking_out(REQUESTED, CONFIRMED, CHECKED_IN, expected_version=2).then_refused(VersionMismatch)
        missing(REQUESTED, CONFIRMED, expected_version=1).then_refused(VersionMismatch)
        checking_in(REQUESTED, CONFIRMED, expected_version=2).then(CHECKED_IN)

    def test_there_must_be_a_booking(self) -> None:
        for step in (checking_in, checking_out, missing):
            step().then_refused(NotFound)
