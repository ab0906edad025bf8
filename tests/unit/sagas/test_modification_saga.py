"""The modification saga, transition by transition."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

import pytest

from domain.booking.commands import AwaitModificationPayment, CompleteModification, RejectModification
from domain.booking.events import (
    BookingModified,
    ModificationAwaitingPayment,
    ModificationRejected,
    ModificationRequested,
    Paid,
    RejectionReason,
)
from domain.booking.state import details_of
from domain.inventory.commands import ConfirmHold, HoldRooms, ReleaseHold
from domain.inventory.events import (
    ConfirmationRefusalReason,
    HoldConfirmationRefused,
    HoldConfirmed,
    HoldExpired,
    HoldRefused,
    HoldReleased,
    HoldWithdrawn,
    RoomsHeld,
)
from domain.payment.commands import AuthorisePayment, CapturePayment, RefundPayment, VoidPayment
from domain.payment.events import (
    DeclineReason,
    PaymentActionRequired,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRefunded,
    PaymentVoided,
)
from domain.shared.errors import IllegalTransition
from domain.shared.messages import Command, Event
from domain.shared.money import Money
from domain.shared.stay import Stay
from sagas.booking import BOOKING_SAGA
from sagas.cancellation import CANCELLATION_SAGA, refund_id
from sagas.modification import MODIFICATION_SAGA, REASON, ModificationSaga, modification_of
from sagas.saga import UnplannedHappening
from tests.unit.sagas import spec
from tests.unit.sagas.spec import AT, BOOKING_ID, HOLD, NOTHING, PAYMENT_ID, STAY, Deadline, History

Past = tuple[Event | Deadline, ...]

CHANGE = UUID(int=30)
OTHER_ROOMS = UUID(int=31)
LONGER = Stay(check_in=STAY.check_in, check_out=STAY.check_out + dt.timedelta(days=1))
CHARGE = Money(minor=10_000, currency="EUR")
NEW: dict[str, UUID] = HOLD | {"hold_id": CHANGE}
PAYMENT: dict[str, UUID] = {"payment_id": CHANGE, "booking_id": BOOKING_ID}
ACT_WITHIN = 15 * 60
REFUNDS = (Paid(payment_id=UUID(int=32), amount=CHARGE), Paid(payment_id=PAYMENT_ID, amount=CHARGE))


def given(*history: Event | Deadline) -> History[ModificationSaga]:
    return spec.given(MODIFICATION_SAGA, *history)


def requested(charge: Money = CHARGE, room_type_id: UUID = HOLD["room_type_id"], **changes: Any) -> Event:
    before = spec.booking_details()
    after = before.model_copy(update={"stay": LONGER, "room_type_id": room_type_id})
    return ModificationRequested(
        **{
            "booking_id": BOOKING_ID,
            "modification_id": CHANGE,
            "before": before,
            "after": after,
            "hold_id": HOLD["hold_id"],
            "charge": charge,
            "refunds": (),
            "payment_provider": "sandbox",
            "payment_token": "tok_ok",
            **changes,
        }
    )


def held() -> Event:
    return RoomsHeld(**NEW, stay=LONGER, rooms=1, expires_at=AT, nights=(), replaces=HOLD["hold_id"])


def refused() -> Event:
    return HoldRefused(**NEW, stay=LONGER, rooms=1, reason="sold_out")


def expired() -> Event:
    return HoldExpired(**NEW, stay=LONGER, rooms=1, nights=())


def released() -> Event:
    return HoldReleased(**NEW, stay=LONGER, rooms=1, nights=(), after_confirmation=False, reason="")


def withdrawn() -> Event:
    return HoldWithdrawn(**NEW, reason="")


def sold() -> Event:
    return HoldConfirmed(**NEW)


def not_sold(reason: ConfirmationRefusalReason = "expired") -> Event:
    return HoldConfirmationRefused(**NEW, reason=reason)


def freed() -> Event:
    """The rooms that the booking had before."""
    return HoldReleased(
        **HOLD, stay=STAY, rooms=1, nights=(), after_confirmation=True, reason=REASON, replaced_by=CHANGE
    )


def action_required() -> Event:
    return PaymentActionRequired(**PAYMENT, reference="ref")


def announced() -> Event:
    return ModificationAwaitingPayment(booking_id=BOOKING_ID, modification_id=CHANGE)


def authorised() -> Event:
    return PaymentAuthorised(**PAYMENT, amount=CHARGE, reference="ref")


def declined(reason: DeclineReason = "declined") -> Event:
    return PaymentDeclined(**PAYMENT, reason=reason)


def captured() -> Event:
    return PaymentCaptured(**PAYMENT, amount=CHARGE)


def voided() -> Event:
    return PaymentVoided(**PAYMENT, reason="")


def refunded(payment_id: UUID) -> Event:
    return PaymentRefunded(payment_id=payment_id, booking_id=BOOKING_ID, refund_id=CHANGE, amount=CHARGE, reason=REASON)


def modified() -> Event:
    before = spec.booking_details()
    known = {"modification_id": CHANGE, "before": before, "charge": CHARGE, "refund": NOTHING, "paid": ()}
    return BookingModified(**details_of(before) | known)


def rejected(reason: RejectionReason = "sold_out") -> Event:
    return ModificationRejected(**details_of(spec.booking_details()), modification_id=CHANGE, reason=reason)


def nth(purpose: str, attempt: int, command: Command) -> tuple[str, Command]:
    return (purpose if attempt == 1 else f"{purpose}:{attempt}"), command


def hold_rooms(attempt: int = 1, **changes: Any) -> tuple[str, Command]:
    expires_at = AT + dt.timedelta(minutes=20)
    known: dict[str, Any] = {**NEW, "replaces": HOLD["hold_id"], **changes}
    return nth("hold", attempt, HoldRooms(**known, stay=LONGER, rooms=1, expires_at=expires_at))


def authorise(attempt: int = 1) -> tuple[str, Command]:
    return nth("authorise", attempt, AuthorisePayment(**PAYMENT, amount=CHARGE, provider="sandbox", token="tok_ok"))


def await_payment(attempt: int = 1) -> tuple[str, Command]:
    waiting = AwaitModificationPayment(booking_id=BOOKING_ID, modification_id=CHANGE)
    return nth("await_payment", attempt, waiting)


def capture(attempt: int = 1) -> tuple[str, Command]:
    return nth("capture", attempt, CapturePayment(**PAYMENT, amount=CHARGE))


def exchange(attempt: int = 1, **changes: Any) -> tuple[str, Command]:
    return nth("exchange", attempt, ConfirmHold(**{**NEW, **changes}))


def free(attempt: int = 1) -> tuple[str, Command]:
    return nth("free", attempt, ReleaseHold(**HOLD, reason=REASON, replaced_by=CHANGE))


def refund(number: int, attempt: int = 1) -> tuple[str, Command]:
    part = REFUNDS[number]
    command = give_back(part.payment_id)
    return nth(f"refund-{number}" if number else "refund", attempt, command)


def give_back(payment_id: UUID) -> Command:
    return RefundPayment(payment_id=payment_id, booking_id=BOOKING_ID, refund_id=CHANGE, amount=CHARGE, reason=REASON)


def give_charge_back(attempt: int = 1) -> tuple[str, Command]:
    return nth("return", attempt, give_back(CHANGE))


def void(reason: str, attempt: int = 1) -> tuple[str, Command]:
    return nth("void", attempt, VoidPayment(**PAYMENT, reason=reason))


def release(reason: str, attempt: int = 1) -> tuple[str, Command]:
    return nth("release", attempt, ReleaseHold(**NEW, reason=reason))


def complete(attempt: int = 1) -> tuple[str, Command]:
    return nth("complete", attempt, CompleteModification(booking_id=BOOKING_ID, modification_id=CHANGE))


def reject(reason: RejectionReason, attempt: int = 1) -> tuple[str, Command]:
    command = RejectModification(booking_id=BOOKING_ID, modification_id=CHANGE, reason=reason)
    return nth("reject", attempt, command)


HOLDING: Past = (requested(),)
AUTHORISING: Past = (*HOLDING, held())
AWAITING: Past = (*AUTHORISING, action_required())
ANNOUNCED: Past = (*AWAITING, announced())
CAPTURING: Past = (*AUTHORISING, authorised())
EXCHANGING: Past = (*CAPTURING, captured())
COMPLETING: Past = (*EXCHANGING, freed(), sold())
FREE_OF_CHARGE: Past = (requested(NOTHING, refunds=REFUNDS), held())
REFUNDING: Past = (*FREE_OF_CHARGE, freed(), sold())
OTHER_KIND: Past = (requested(NOTHING, room_type_id=OTHER_ROOMS), held())
FREEING: Past = (*OTHER_KIND, sold())
VOIDING: Past = (*AUTHORISING, expired())
RELEASING: Past = (*AUTHORISING, declined())
RETURNING: Past = (*EXCHANGING, not_sold())
REJECTING: Past = (*RELEASING, released())
FORTH = (AUTHORISING, ANNOUNCED, CAPTURING, EXCHANGING, COMPLETING, REFUNDING, FREEING)
BACK = (VOIDING, RELEASING, REJECTING)


class TestWhenAllGoesWell:
    def test_the_rooms_are_held_first_in_place_of_those_that_the_booking_has(self) -> None:
        given().when(requested()).then("holding", hold_rooms(), within=30)

    def test_then_the_difference_is_authorised_and_taken(self) -> None:
        given(*HOLDING).when(held()).then("authorising", authorise(), within=30)
        given(*AUTHORISING).when(authorised()).then("capturing", capture(), within=30)

    def test_only_then_are_the_rooms_exchanged(self) -> None:
        given(*CAPTURING).when(captured()).then("exchanging", exchange(), within=30)
        given(*EXCHANGING).when(freed()).then_noted()
        given(*EXCHANGING, freed()).when(sold()).then("completing", complete(), within=30)

    def test_then_the_booking_is_another_stay(self) -> None:
        given(*COMPLETING).when(modified()).then("modified", status="finished")

    def test_where_nothing_more_is_due_there_is_no_payment(self) -> None:
        given(requested(NOTHING)).when(held()).then("exchanging", exchange(), within=30)

    def test_where_less_is_due_each_payment_gives_back_its_part_in_the_end(self) -> None:
        first, second = (part.payment_id for part in REFUNDS)
        given(*FREE_OF_CHARGE, freed()).when(sold()).then("refunding", refund(0), within=30)
        given(*REFUNDING).when(refunded(first)).then("refunding", refund(1), within=30)
        given(*REFUNDING, refunded(first)).when(refunded(first)).then_ignored()
        given(*REFUNDING, refunded(first)).when(refunded(second)).then("completing", complete(), within=30)

    def test_rooms_of_another_kind_are_freed_by_a_step_of_its_own(self) -> None:
        other = hold_rooms(room_type_id=OTHER_ROOMS, replaces=None)
        given().when(requested(NOTHING, room_type_id=OTHER_ROOMS)).then("holding", other, within=30)
        given(*OTHER_KIND).when(sold()).then("freeing", free(), within=30)
        given(*FREEING).when(freed()).then("completing", complete(), within=30)

    def test_news_of_the_freed_rooms_may_come_last(self) -> None:
        given(*EXCHANGING).when(sold()).then("freeing", free(), within=30)
        given(*EXCHANGING, sold()).when(freed()).then("completing", complete(), within=30)


class TestThreeDSecure:
    def test_the_booking_tells_that_the_guest_has_to_act(self) -> None:
        given(*AUTHORISING).when(action_required()).then("awaiting_action", await_payment(), within=30)
        given(*AWAITING).when(announced()).then("awaiting_action", within=ACT_WITHIN)

    def test_the_guest_approves(self) -> None:
        for past in (AWAITING, ANNOUNCED):
            given(*past).when(authorised()).then("capturing", capture(), within=30)

    def test_or_not_in_time(self) -> None:
        late = Deadline("awaiting_action", ACT_WITHIN)
        given(*ANNOUNCED).when(Deadline("awaiting_action")).then("voiding", void("payment_expired"), within=30)
        given(*AWAITING).when(late).then("voiding", void("payment_expired"), within=ACT_WITHIN + 30)

    def test_until_it_was_told_it_is_told_again(self) -> None:
        given(*AWAITING).when(Deadline("awaiting_action")).then("awaiting_action", await_payment(2), within=60)


class TestGivingUp:
    def test_without_rooms_nothing_has_to_be_given_back(self) -> None:
        given(*HOLDING).when(refused()).then("rejecting", reject("sold_out"), within=30)

    @pytest.mark.parametrize(
        ("why", "reason"),
        [
            (declined(), "payment_declined"),
            (declined("action_declined"), "payment_declined"),
            (declined("provider_unavailable"), "provider_unavailable"),
            (voided(), "payment_expired"),
        ],
    )
    def test_without_money_the_rooms_go_back(self, why: Event, reason: RejectionReason) -> None:
        for past in (AUTHORISING, ANNOUNCED):
            given(*past).when(why).then("releasing", release(reason), within=30)

    def test_an_authorisation_that_ends_before_it_is_taken(self) -> None:
        given(*CAPTURING).when(voided()).then("releasing", release("payment_expired"), within=30)

    @pytest.mark.parametrize("gone", [released(), withdrawn(), expired(), refused()])
    def test_then_the_booking_stays_as_it_was(self, gone: Event) -> None:
        given(*RELEASING).when(gone).then("rejecting", reject("payment_declined"), within=30)
        given(*REJECTING).when(rejected()).then("rejected", status="finished")

    def test_rooms_that_expire_before_the_money_is_there(self) -> None:
        given(*ANNOUNCED).when(expired()).then("voiding", void("payment_expired"), within=30)
        given(*VOIDING).when(voided()).then("rejecting", reject("payment_expired"), within=30)
        given(*VOIDING).when(declined()).then("rejecting", reject("payment_expired"), within=30)

    def test_rooms_that_expire_while_the_money_is_taken(self) -> None:
        given(*CAPTURING).when(expired()).then_noted()
        given(*CAPTURING, expired()).when(captured()).then("returning", give_charge_back(), within=30)

    def test_money_that_was_taken_for_nothing_goes_back(self) -> None:
        given(*EXCHANGING).when(not_sold()).then("returning", give_charge_back(), within=30)
        given(*EXCHANGING).when(expired()).then("returning", give_charge_back(), within=30)
        given(*RETURNING).when(refunded(CHANGE)).then("rejecting", reject("payment_expired"), within=30)

    def test_that_it_had_been_taken_may_be_told_once_more(self) -> None:
        given(*RETURNING, refunded(CHANGE)).when(captured()).then_ignored()
        given(*RETURNING, refunded(CHANGE), rejected()).when(captured()).then_ignored()

    def test_without_a_payment_rooms_that_are_gone_are_sold_out(self) -> None:
        given(*FREE_OF_CHARGE).when(not_sold()).then("rejecting", reject("sold_out"), within=30)

    def test_a_capture_that_nobody_asked_for(self) -> None:
        with pytest.raises(UnplannedHappening, match="refund"):
            given(*RELEASING).when(captured())


@pytest.mark.parametrize(
    ("past", "step", "command"),
    [
        (HOLDING, "holding", hold_rooms),
        (AUTHORISING, "authorising", authorise),
        (CAPTURING, "capturing", capture),
        (EXCHANGING, "exchanging", exchange),
        (FREEING, "freeing", free),
        (REFUNDING, "refunding", lambda n: refund(0, n)),
        ((*REFUNDING, refunded(REFUNDS[0].payment_id)), "refunding", lambda n: refund(1, n)),
        (COMPLETING, "completing", complete),
        (VOIDING, "voiding", lambda n: void("payment_expired", n)),
        (RELEASING, "releasing", lambda n: release("payment_declined", n)),
        (RETURNING, "returning", give_charge_back),
        (REJECTING, "rejecting", lambda n: reject("payment_declined", n)),
    ],
)
def test_every_step_is_repeated_for_ever_ever_more_slowly(past: Past, step: str, command: object) -> None:
    assert callable(command)
    for attempt, wait in {2: 60, 3: 120, 6: 600, 50: 600}.items():
        repeated = (*past, *(Deadline(step),) * (attempt - 2))
        given(*repeated).when(Deadline(step)).then(step, command(attempt), within=wait)


@pytest.mark.parametrize(
    "past",
    [AUTHORISING, ANNOUNCED, CAPTURING, EXCHANGING, COMPLETING, REFUNDING, FREEING, VOIDING, RELEASING, REJECTING],
)
def test_whatever_was_told_once_is_ignored(past: Past) -> None:
    for what in past:
        assert isinstance(what, Event)
        given(*past).when(what).then_ignored()


def test_the_deadline_of_another_step_is_ignored() -> None:
    given(*CAPTURING).when(Deadline("holding")).then_ignored()
    given(*COMPLETING, modified()).when(Deadline("modified")).then_ignored()


def test_a_saga_begins_with_its_request_only() -> None:
    for event in (held(), authorised(), modified(), rejected()):
        given().when(event).then_ignored()


class TestOperators:
    @pytest.mark.parametrize(
        ("past", "step"), [(HOLDING, "releasing"), (AUTHORISING, "voiding"), (ANNOUNCED, "voiding")]
    )
    def test_let_it_come_to_nothing(self, past: Past, step: str) -> None:
        state = spec.state_after(MODIFICATION_SAGA, *past)
        assert MODIFICATION_SAGA.compensate is not None
        reaction = MODIFICATION_SAGA.compensate(state, AT)
        assert reaction.state is not None
        assert (reaction.state.step, reaction.state.rejection) == (step, "provider_unavailable")

    def test_ask_again_what_is_being_given_back(self) -> None:
        assert MODIFICATION_SAGA.compensate is not None
        reaction = MODIFICATION_SAGA.compensate(spec.state_after(MODIFICATION_SAGA, *RELEASING), AT)
        assert [issue.purpose for issue in reaction.commands] == ["release:2"]

    @pytest.mark.parametrize("past", [CAPTURING, EXCHANGING, FREEING, REFUNDING, COMPLETING])
    def test_not_any_more_from_the_capture_on(self, past: Past) -> None:
        assert MODIFICATION_SAGA.compensate is not None
        with pytest.raises(IllegalTransition):
            MODIFICATION_SAGA.compensate(spec.state_after(MODIFICATION_SAGA, *past), AT)

    def test_reject_what_could_not_begin(self) -> None:
        assert MODIFICATION_SAGA.refuse is not None
        reaction = MODIFICATION_SAGA.refuse(requested(), AT)
        assert [(issue.purpose, issue.command) for issue in reaction.commands] == [reject("provider_unavailable")]
        with pytest.raises(IllegalTransition):
            MODIFICATION_SAGA.refuse(held(), AT)


def test_each_saga_is_told_of_its_own_hold_and_payment() -> None:
    for event in (held(), sold(), authorised(), captured(), voided(), refunded(PAYMENT_ID), modified(), freed()):
        assert modification_of(event) == CHANGE
        route = BOOKING_SAGA.routes.get(type(event))
        assert route is None or route(event) is None or event == freed()
    for event in (spec.held(), spec.captured(), spec.refunded(UUID(int=40)), spec.released(), spec.booking_confirmed()):
        assert modification_of(event) is None


def test_a_cancellation_waits_for_the_hold_that_the_booking_has_by_then() -> None:
    cancelling = spec.cancellation_requested().model_copy(update={"hold_id": CHANGE, "refunds": REFUNDS})
    history = spec.given(CANCELLATION_SAGA, cancelling)
    history.when(spec.released()).then_ignored()
    first, second = (part.payment_id for part in REFUNDS)

    def command(number: int) -> tuple[str, Command]:
        asked = RefundPayment(
            payment_id=REFUNDS[number].payment_id,
            booking_id=BOOKING_ID,
            refund_id=refund_id(BOOKING_ID),
            amount=CHARGE,
            reason="cancelled",
        )
        return (f"refund-{number}" if number else "refund"), asked

    def back(payment_id: UUID) -> Event:
        known = {"payment_id": payment_id, "booking_id": BOOKING_ID, "refund_id": refund_id(BOOKING_ID)}
        return PaymentRefunded(**known, amount=CHARGE, reason="cancelled")

    history.when(released()).then("refunding", command(0), within=30)
    spec.given(CANCELLATION_SAGA, cancelling, released()).when(back(first)).then("refunding", command(1), within=30)
    spec.given(CANCELLATION_SAGA, cancelling, released(), back(first)).when(back(second)).then(
        "completing", spec.complete(), within=30
    )
