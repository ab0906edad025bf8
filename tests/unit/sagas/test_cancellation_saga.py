"""The cancellation saga, transition by transition."""

from __future__ import annotations

import pytest

from domain.shared.messages import Event
from domain.shared.money import Money
from sagas.cancellation import CANCELLATION_SAGA, CancellationSaga, refund_id
from tests.unit.sagas import spec
from tests.unit.sagas.spec import (
    BOOKING_ID,
    NOTHING,
    Deadline,
    History,
    booking_cancelled,
    booking_confirmed,
    cancellation_requested,
    complete,
    expired,
    held,
    refund,
    refunded,
    release,
    released,
    withdrawn,
)

Past = tuple[Event | Deadline, ...]

REFUND_ID = refund_id(BOOKING_ID)
RELEASING: Past = (cancellation_requested(),)
REFUNDING: Past = (*RELEASING, released(sold=True))
COMPLETING: Past = (*REFUNDING, refunded(REFUND_ID))
CANCELLED: Past = (*COMPLETING, booking_cancelled())


def given(*history: Event | Deadline) -> History[CancellationSaga]:
    return spec.given(CANCELLATION_SAGA, *history)


def test_the_rooms_are_freed_first() -> None:
    given().when(cancellation_requested()).then("releasing", release("cancelled"), within=30)


@pytest.mark.parametrize("freed", [released(sold=True), released(), withdrawn(), expired()])
def test_then_the_money_goes_back(freed: Event) -> None:
    given(*RELEASING).when(freed).then("refunding", refund(REFUND_ID), within=30)


def test_a_part_is_refunded_where_the_rest_is_kept() -> None:
    part = Money(minor=6_000, currency="EUR")
    given(cancellation_requested(part)).when(released()).then("refunding", refund(REFUND_ID, part), within=30)


def test_where_nothing_goes_back_there_is_no_refund() -> None:
    given(cancellation_requested(NOTHING)).when(released()).then("completing", complete(), within=30)


def test_then_the_booking_is_cancelled() -> None:
    given(*REFUNDING).when(refunded(REFUND_ID)).then("completing", complete(), within=30)
    given(*COMPLETING).when(booking_cancelled()).then("cancelled", status="finished")


def test_another_refund_is_not_ours() -> None:
    given(*REFUNDING).when(refunded(BOOKING_ID)).then_ignored()


@pytest.mark.parametrize(
    ("past", "step", "command"),
    [
        (RELEASING, "releasing", lambda n: release("cancelled", n)),
        (REFUNDING, "refunding", lambda n: refund(REFUND_ID, attempt=n)),
        (COMPLETING, "completing", complete),
    ],
)
def test_every_step_is_repeated_for_ever_ever_more_slowly(past: Past, step: str, command: object) -> None:
    assert callable(command)
    for attempt, wait in {2: 60, 3: 120, 6: 600, 50: 600}.items():
        repeated = (*past, *(Deadline(step),) * (attempt - 2))
        given(*repeated).when(Deadline(step)).then(step, command(attempt), within=wait)


@pytest.mark.parametrize("past", [RELEASING, REFUNDING, COMPLETING, CANCELLED])
def test_whatever_was_told_once_is_ignored(past: Past) -> None:
    for what in past:
        assert isinstance(what, Event)
        given(*past).when(what).then_ignored()


@pytest.mark.parametrize("past", [RELEASING, REFUNDING, COMPLETING, CANCELLED])
def test_the_deadline_of_another_step_is_ignored(past: Past) -> None:
    here = spec.state_after(CANCELLATION_SAGA, *past).step
    for step in {"releasing", "refunding", "completing", "cancelled"} - {here}:
        given(*past).when(Deadline(step)).then_ignored()
    given(*CANCELLED).when(Deadline("cancelled")).then_ignored()


def test_answers_out_of_turn_are_ignored() -> None:
    given(*RELEASING).when(refunded(REFUND_ID)).then_ignored()
    given(*RELEASING).when(booking_cancelled()).then_ignored()
    given(*REFUNDING).when(booking_cancelled()).then_ignored()


def test_a_saga_begins_with_its_request_only() -> None:
    for event in (released(), refunded(REFUND_ID), booking_confirmed(), held(), booking_cancelled()):
        given().when(event).then_ignored()


def test_the_saga_is_found_by_the_booking_of_each_event() -> None:
    for route in CANCELLATION_SAGA.routes.values():
        assert route(released()) == BOOKING_ID
