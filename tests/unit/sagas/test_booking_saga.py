"""The booking saga, transition by transition: there and back, every deadline, every duplicate, every late answer."""

from __future__ import annotations

import datetime as dt

import pytest

from domain.booking.events import RejectionReason
from domain.inventory.events import ConfirmationRefusalReason
from domain.payment.events import DeclineReason
from domain.shared.errors import IllegalTransition
from domain.shared.messages import Event
from sagas.booking import BOOKING_SAGA, BookingSaga
from sagas.saga import UnplannedHappening
from tests.unit.sagas import spec
from tests.unit.sagas.spec import (
    AT,
    NOTHING,
    Deadline,
    History,
    action_required,
    authorise,
    authorised,
    await_payment,
    awaiting_payment,
    booking_cancelled,
    booking_confirmed,
    booking_rejected,
    cancellation_requested,
    capture,
    captured,
    confirm_booking,
    confirm_hold,
    confirmation_refused,
    declined,
    expired,
    held,
    hold_confirmed,
    hold_refused,
    hold_rooms,
    late_release,
    late_void,
    reject,
    release,
    released,
    requested,
    state_after,
    unknown,
    void,
    voided,
    withdrawn,
)

Past = tuple[Event | Deadline, ...]

HOLDING: Past = (requested(),)
AUTHORISING: Past = (*HOLDING, held())
ACTING: Past = (*AUTHORISING, action_required())
ANNOUNCED: Past = (*ACTING, awaiting_payment())
CONFIRMING_HOLD: Past = (*AUTHORISING, authorised())
CAPTURING: Past = (*CONFIRMING_HOLD, hold_confirmed())
CONFIRMING: Past = (*CAPTURING, captured())
CONFIRMED: Past = (*CONFIRMING, booking_confirmed())

VOIDING: Past = (
    *CONFIRMING_HOLD,
    Deadline("confirming_hold"),
    Deadline("confirming_hold"),
    Deadline("confirming_hold"),
)
RELEASING: Past = (*AUTHORISING, declined())
REJECTING: Past = (*RELEASING, released())
REJECTED: Past = (*REJECTING, booking_rejected("payment_declined"))

AT_HOTEL: Past = (requested(NOTHING),)


def given(*history: Event | Deadline) -> History[BookingSaga]:
    return spec.given(BOOKING_SAGA, *history)


class TestTheWayThere:
    def test_a_request_asks_for_rooms(self) -> None:
        given().when(requested()).then("holding", hold_rooms(), within=30)

    def test_rooms_held_asks_for_the_payment(self) -> None:
        given(*HOLDING).when(held()).then("authorising", authorise(), within=30)

    def test_a_payment_that_needs_the_guest_is_announced(self) -> None:
        given(*AUTHORISING).when(action_required()).then("awaiting_action", await_payment(), within=30)

    def test_once_announced_the_guest_has_until_the_hold_expires(self) -> None:
        given(*ACTING).when(awaiting_payment()).then("awaiting_action", within=15 * 60)

    @pytest.mark.parametrize("past", [AUTHORISING, ACTING, ANNOUNCED, (*AUTHORISING, unknown(1), unknown(2))])
    def test_authorised_asks_to_sell_the_rooms(self, past: Past) -> None:
        given(*past).when(authorised()).then("confirming_hold", confirm_hold(), within=30)

    def test_a_sold_room_is_paid(self) -> None:
        given(*CONFIRMING_HOLD).when(hold_confirmed()).then("capturing", capture(), within=30)

    def test_a_capture_confirms_the_booking(self) -> None:
        given(*CAPTURING).when(captured()).then("confirming", confirm_booking(), within=30)

    def test_a_confirmed_booking_is_the_end(self) -> None:
        given(*CONFIRMING).when(booking_confirmed()).then("confirmed", status="finished")

    def test_what_is_paid_at_the_hotel_needs_no_payment(self) -> None:
        given(*AT_HOTEL).when(held()).then("confirming_hold", confirm_hold(), within=30)
        given(*AT_HOTEL, held()).when(hold_confirmed()).then("confirming", confirm_booking(), within=30)

    def test_a_saga_begins_with_its_request_only(self) -> None:
        for event in (held(), authorised(), booking_confirmed(), expired()):
            given().when(event).then_ignored()
        given().when(Deadline("holding")).then_ignored()

    def test_the_saga_is_found_by_the_booking_of_each_event(self) -> None:
        for route in BOOKING_SAGA.routes.values():
            assert route(held()) == spec.BOOKING_ID


class TestTheWayBack:
    @pytest.mark.parametrize(
        "refusal", [hold_refused(), hold_refused("restricted"), expired(), withdrawn(), released()]
    )
    def test_without_rooms_there_is_nothing_to_give_back(self, refusal: Event) -> None:
        given(*HOLDING).when(refusal).then("rejecting", reject("sold_out"), within=30)

    @pytest.mark.parametrize("past", [AUTHORISING, ACTING, ANNOUNCED, (*AUTHORISING, unknown())])
    @pytest.mark.parametrize(
        ("why", "reason"),
        [
            ("declined", "payment_declined"),
            ("action_declined", "payment_declined"),
            ("provider_unavailable", "provider_unavailable"),
        ],
    )
    def test_a_declined_payment_releases_the_rooms(
        self, past: Past, why: DeclineReason, reason: RejectionReason
    ) -> None:
        given(*past).when(declined(why)).then("releasing", release(reason), within=30)
        given(*past, declined(why)).when(released()).then("rejecting", reject(reason), within=30)

    @pytest.mark.parametrize("past", [AUTHORISING, ACTING, ANNOUNCED, CONFIRMING_HOLD])
    def test_a_hold_that_expires_voids_and_rejects(self, past: Past) -> None:
        given(*past).when(expired()).then("voiding", void("payment_expired"), within=30)
        given(*past, expired()).when(voided()).then("rejecting", reject("payment_expired"), within=30)

    @pytest.mark.parametrize(
        ("why", "reason"), [("expired", "payment_expired"), ("released", "sold_out"), ("refused", "sold_out")]
    )
    def test_rooms_that_cannot_be_sold_any_more(self, why: ConfirmationRefusalReason, reason: RejectionReason) -> None:
        past = (*CONFIRMING_HOLD, confirmation_refused(why))
        given(*CONFIRMING_HOLD).when(confirmation_refused(why)).then("voiding", void(reason), within=30)
        given(*past).when(voided()).then("rejecting", reject(reason), within=30)

    def test_a_hold_that_inventory_does_not_know_is_withdrawn(self) -> None:
        past = (*CONFIRMING_HOLD, confirmation_refused("unknown"))
        given(*past).when(voided()).then("releasing", release("sold_out"), within=30)
        given(*past, voided()).when(withdrawn()).then("rejecting", reject("sold_out"), within=30)

    def test_an_expired_hold_without_a_payment_was_lost_to_others(self) -> None:
        past = (*AT_HOTEL, held())
        given(*past).when(expired()).then("rejecting", reject("sold_out"), within=30)
        given(*past).when(confirmation_refused("expired")).then("rejecting", reject("sold_out"), within=30)

    @pytest.mark.parametrize("past", [AUTHORISING, ACTING, ANNOUNCED, CONFIRMING_HOLD, CAPTURING])
    def test_a_payment_that_somebody_else_voids_releases_the_rooms(self, past: Past) -> None:
        given(*past).when(voided()).then("releasing", release("payment_expired"), within=30)

    def test_void_then_release_then_reject(self) -> None:
        given(*VOIDING).when(voided()).then("releasing", release("sold_out"), within=30)
        given(*VOIDING, voided()).when(released(sold=True)).then("rejecting", reject("sold_out"), within=30)
        past = (*VOIDING, voided(), released(sold=True))
        given(*past).when(booking_rejected()).then("rejected", status="finished")

    @pytest.mark.parametrize(
        "answer", [released(), released(sold=True), withdrawn(), expired(), hold_refused(), hold_refused("withdrawn")]
    )
    def test_whatever_ends_the_hold_answers_the_release(self, answer: Event) -> None:
        given(*RELEASING).when(answer).then("rejecting", reject("payment_declined"), within=30)

    @pytest.mark.parametrize("why", ["expired", "released", "refused"])
    def test_a_late_refusal_to_confirm_answers_the_release(self, why: ConfirmationRefusalReason) -> None:
        past = (*VOIDING, voided())
        given(*past).when(confirmation_refused(why)).then("rejecting", reject("sold_out"), within=30)
        given(*past).when(confirmation_refused("unknown")).then_ignored()

    def test_a_hold_that_ends_while_voiding_needs_no_release(self) -> None:
        given(*VOIDING).when(expired()).then_noted()
        given(*VOIDING).when(confirmation_refused("expired")).then_noted()
        given(*VOIDING, expired()).when(voided()).then("rejecting", reject("sold_out"), within=30)

    def test_a_payment_that_is_declined_while_voiding_needs_no_void(self) -> None:
        given(*VOIDING).when(declined()).then("releasing", release("sold_out"), within=30)


class TestDeadlines:
    def test_rooms_are_asked_for_three_times(self) -> None:
        first, second = Deadline("holding"), Deadline("holding")
        given(*HOLDING).when(first).then("holding", hold_rooms(2), within=30)
        given(*HOLDING, first).when(second).then("holding", hold_rooms(3), within=30)
        past = (*HOLDING, first, second)
        given(*past).when(Deadline("holding")).then("releasing", release("sold_out"), within=30)
        given(*past, Deadline("holding")).when(withdrawn()).then("rejecting", reject("sold_out"), within=30)

    def test_a_silent_payment_is_void_after_a_minute(self) -> None:
        given(*AUTHORISING).when(Deadline("authorising")).then("authorising", authorise(2), within=30)
        past = (*AUTHORISING, Deadline("authorising"))
        given(*past).when(Deadline("authorising")).then("voiding", void("provider_unavailable"), within=30)

    def test_payments_that_ask_a_silent_provider_have_a_minute_each_time(self) -> None:
        given(*AUTHORISING).when(unknown(1)).then("authorising", within=60)
        given(*AUTHORISING, unknown(1)).when(unknown(2)).then("authorising", within=60)
        past = (*AUTHORISING, unknown(1), unknown(2))
        given(*past).when(Deadline("authorising")).then("voiding", void("provider_unavailable"), within=30)

    def test_a_guest_who_does_not_act_loses_the_rooms(self) -> None:
        past = (*ANNOUNCED, Deadline("awaiting_action", after=900))
        assert state_after(BOOKING_SAGA, *past).rejection == "payment_expired"
        given(*ANNOUNCED).when(Deadline("awaiting_action")).then("voiding", void("payment_expired"), within=30)
        given(*past).when(voided()).then("releasing", release("payment_expired"), within=30)

    def test_that_the_guest_has_to_act_is_said_until_it_is_heard_or_too_late(self) -> None:
        given(*ACTING).when(Deadline("awaiting_action")).then("awaiting_action", await_payment(2), within=60)
        too_late = given(*ACTING).when(Deadline("awaiting_action", after=900)).reaction.state
        assert too_late is not None
        assert (too_late.step, too_late.rejection) == ("voiding", "payment_expired")

    def test_saying_so_never_outlasts_the_hold(self) -> None:
        repeated = given(*ACTING).when(Deadline("awaiting_action", after=890)).reaction
        assert repeated.deadline == AT + dt.timedelta(minutes=15)

    def test_rooms_are_sold_at_the_third_try_or_given_back(self) -> None:
        again = Deadline("confirming_hold")
        given(*CONFIRMING_HOLD).when(again).then("confirming_hold", confirm_hold(2), within=30)
        given(*CONFIRMING_HOLD, again).when(again).then("confirming_hold", confirm_hold(3), within=30)
        given(*CONFIRMING_HOLD, again, again).when(again).then("voiding", void("sold_out"), within=30)

    def test_a_troubled_authorisation_leaves_the_sale_its_three_tries(self) -> None:
        past = (*AUTHORISING, unknown(1), authorised())
        given(*past).when(Deadline("confirming_hold")).then("confirming_hold", confirm_hold(2), within=30)

    def test_without_a_payment_the_rooms_are_only_released(self) -> None:
        past = (*AT_HOTEL, held(), Deadline("confirming_hold"), Deadline("confirming_hold"))
        given(*past).when(Deadline("confirming_hold")).then("releasing", release("sold_out"), within=30)

    @pytest.mark.parametrize(
        ("past", "step", "command"),
        [
            (CAPTURING, "capturing", capture),
            (CONFIRMING, "confirming", confirm_booking),
            (VOIDING, "voiding", lambda n: void("sold_out", n)),
            (RELEASING, "releasing", lambda n: release("payment_declined", n)),
            (REJECTING, "rejecting", lambda n: reject("payment_declined", n)),
        ],
    )
    def test_what_must_succeed_is_repeated_for_ever_ever_more_slowly(
        self, past: Past, step: str, command: object
    ) -> None:
        assert callable(command)
        waits = {2: 60, 3: 120, 4: 240, 5: 480, 6: 600, 7: 600, 50: 600}
        for attempt, wait in waits.items():
            repeated = (*past, *(Deadline(step),) * (attempt - 2))
            given(*repeated).when(Deadline(step)).then(step, command(attempt), within=wait)

    @pytest.mark.parametrize("past", [HOLDING, ANNOUNCED, CONFIRMING, REJECTING, CONFIRMED, REJECTED])
    def test_the_deadline_of_another_step_is_ignored(self, past: Past) -> None:
        for step in ("authorising", "confirming_hold", "capturing", "voiding", "releasing", "confirmed", "rejected"):
            given(*past).when(Deadline(step)).then_ignored()


class TestDuplicates:
    @pytest.mark.parametrize(
        "past",
        [HOLDING, AUTHORISING, ANNOUNCED, CONFIRMING_HOLD, CAPTURING, CONFIRMING, CONFIRMED, REJECTING, REJECTED],
    )
    def test_whatever_was_told_once_is_ignored(self, past: Past) -> None:
        for what in past:
            if isinstance(what, Event):
                given(*past).when(what).then_ignored()

    def test_an_older_attempt_to_learn_the_outcome_is_ignored(self) -> None:
        given(*AUTHORISING, unknown(2)).when(unknown(1)).then_ignored()
        given(*AUTHORISING, unknown(2)).when(unknown(2)).then_ignored()

    def test_a_hold_ends_once(self) -> None:
        given(*VOIDING, expired()).when(expired()).then_ignored()
        given(*VOIDING, expired()).when(released()).then_ignored()


class TestLateAnswers:
    @pytest.mark.parametrize("past", [CONFIRMING_HOLD, CAPTURING, CONFIRMING, CONFIRMED])
    def test_what_came_before_the_authorisation_does_not_matter_after_it(self, past: Past) -> None:
        for event in (unknown(9), action_required(), awaiting_payment(), declined(), hold_refused("withdrawn")):
            if past != CONFIRMING_HOLD or event != hold_refused("withdrawn"):
                given(*past).when(event).then_ignored()

    @pytest.mark.parametrize("past", [CAPTURING, CONFIRMING, CONFIRMED])
    def test_a_sold_room_is_released_by_a_cancellation_only(self, past: Past) -> None:
        for event in (released(sold=True), expired(), confirmation_refused("released")):
            given(*past).when(event).then_ignored()

    def test_rooms_held_after_giving_up_are_released_anyway(self) -> None:
        releasing = (*HOLDING, *(Deadline("holding"),) * 3)
        given(*releasing).when(held()).then_noted()
        given(*releasing, held()).when(released()).then("rejecting", reject("sold_out"), within=30)
        rejecting = (*releasing, withdrawn())
        given(*rejecting).when(held()).then_noted(late_release("sold_out"))
        given(*rejecting, held()).when(held()).then_ignored()
        rejected = (*rejecting, booking_rejected())
        given(*rejected).when(held()).then_noted(late_release("sold_out"))
        given(*rejected, held()).when(held()).then_ignored()

    def test_authorised_after_giving_up_is_void_anyway(self) -> None:
        voiding = (*AUTHORISING, Deadline("authorising"), Deadline("authorising"))
        given(*voiding).when(authorised()).then_noted()
        given(*voiding, authorised()).when(voided()).then("releasing", release("provider_unavailable"), within=30)
        releasing = (*voiding, voided())
        for past in (releasing, (*releasing, released()), (*releasing, released(), booking_rejected())):
            given(*past).when(authorised()).then_noted(late_void("provider_unavailable"))
            given(*past, authorised()).when(authorised()).then_ignored()

    @pytest.mark.parametrize("past", [RELEASING, REJECTING, REJECTED])
    def test_an_action_or_an_outcome_after_giving_up_does_not_matter(self, past: Past) -> None:
        for event in (unknown(9), action_required(), awaiting_payment(), declined(), voided(), hold_confirmed()):
            given(*past).when(event).then_ignored()

    def test_rooms_sold_after_giving_up_are_released_by_the_release_under_way(self) -> None:
        given(*VOIDING).when(hold_confirmed()).then_ignored()
        given(*VOIDING, voided()).when(hold_confirmed()).then_ignored()

    @pytest.mark.parametrize("past", [AUTHORISING, CONFIRMING_HOLD, VOIDING, RELEASING, REJECTED])
    def test_money_that_nobody_asked_for_is_a_case_for_a_person(self, past: Past) -> None:
        with pytest.raises(UnplannedHappening, match=r"200\.00 EUR were captured"):
            given(*past).when(captured())

    def test_events_of_other_sagas_are_ignored(self) -> None:
        for event in (cancellation_requested(), booking_cancelled(), spec.refunded(spec.BOOKING_ID)):
            given(*CONFIRMED).when(event).then_ignored()


class TestOperators:
    @pytest.mark.parametrize(
        ("past", "step"),
        [(HOLDING, "releasing"), (AUTHORISING, "voiding"), (ANNOUNCED, "voiding"), (CONFIRMING_HOLD, "voiding")],
    )
    def test_before_the_capture_everything_can_be_given_back(self, past: Past, step: str) -> None:
        assert BOOKING_SAGA.compensate is not None
        reaction = BOOKING_SAGA.compensate(state_after(BOOKING_SAGA, *past), AT)
        assert reaction.state is not None
        assert (reaction.state.step, reaction.state.rejection) == (step, "provider_unavailable")

    def test_giving_back_goes_on_where_it_was(self) -> None:
        assert BOOKING_SAGA.compensate is not None
        reaction = BOOKING_SAGA.compensate(state_after(BOOKING_SAGA, *RELEASING), AT)
        assert [(issue.purpose, issue.command) for issue in reaction.commands] == [release("payment_declined", 2)]

    @pytest.mark.parametrize("past", [CAPTURING, CONFIRMING, CONFIRMED, REJECTED])
    def test_from_the_capture_on_it_is_too_late(self, past: Past) -> None:
        assert BOOKING_SAGA.compensate is not None
        with pytest.raises(IllegalTransition):
            BOOKING_SAGA.compensate(state_after(BOOKING_SAGA, *past), AT)
