"""The booking saga: hold rooms, authorise the payment, confirm the hold, capture, confirm the booking.

Capture is the pivot. Before it, whatever goes wrong is undone in reverse order (void, release, reject), each step
waiting for its answer. From the pivot on, and while undoing, a command is issued again at every deadline until it is
answered. What is paid at the hotel skips the payment.

A step that is given up may still be answered, and answers may come twice: each reaction looks at what is known of the
hold and of the payment, not at the order in which messages happen to arrive.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from domain.booking.commands import AwaitPayment, ConfirmBooking, RejectBooking
from domain.booking.events import (
    BookingAwaitingPayment,
    BookingConfirmed,
    BookingRejected,
    BookingRequested,
    RejectionReason,
)
from domain.booking.identity import hold_id_of, payment_id_of
from domain.inventory.commands import ConfirmHold, HoldRooms, ReleaseHold
from domain.inventory.events import (
    HoldConfirmationRefused,
    HoldConfirmed,
    HoldEvent,
    HoldExpired,
    HoldRefused,
    HoldReleased,
    HoldWithdrawn,
    RoomsHeld,
)
from domain.payment.commands import AuthorisePayment, CapturePayment, VoidPayment
from domain.payment.events import (
    AuthorisationOutcomeUnknown,
    PaymentActionRequired,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentDeclined,
    PaymentEvent,
    PaymentVoided,
)
from domain.shared.errors import IllegalTransition
from domain.shared.messages import Command, Event
from domain.shared.money import Money
from domain.shared.stay import Stay
from sagas.saga import (
    Issue,
    Reaction,
    Saga,
    SagaState,
    UnplannedHappening,
    booking_of,
    finished,
    noted,
    purpose,
    reacting,
    retry_at,
)

HOLD_FOR = dt.timedelta(minutes=15)
ANSWER_WITHIN = dt.timedelta(seconds=30)
OUTCOME_WITHIN = dt.timedelta(seconds=60)
"""How long payments may be silent after telling that the provider did not answer; they ask again more often."""


class BookingSaga(SagaState):
    """What is known of one booking on its way.

    ``hold``: none, asked for, held (or sold), ended; ``payment`` likewise. ``hold_until`` is when the hold expires,
    and with it the guest's time to act. ``rejection`` is set from the first moment of undoing.
    ``rooms_held`` and ``authorised`` remember that the answer came, however late; ``unknown_attempt`` is the last
    attempt of payments to learn an outcome; ``announced``: the booking tells that the guest has to act.
    """

    booking_id: UUID
    hotel_id: UUID
    room_type_id: UUID
    stay: Stay
    rooms: int
    payment_id: UUID
    due_now: Money
    provider: str
    token: str
    hold_until: dt.datetime
    hold: Literal["none", "asked", "held", "ended"] = "none"
    payment: Literal["none", "asked", "authorised", "captured", "ended"] = "none"
    rooms_held: bool = False
    authorised: bool = False
    unknown_attempt: int = 0
    announced: bool = False
    rejection: RejectionReason | None = None


Told = Reaction[BookingSaga]
IGNORED: Told = Reaction(None)
BEFORE_CAPTURE = frozenset({"holding", "authorising", "awaiting_action", "confirming_hold"})
PAYING = frozenset({"authorising", "awaiting_action"})
UNDOING = frozenset({"voiding", "releasing", "rejecting"})


@dataclass(frozen=True, slots=True)
class _Step:
    """What is waited for: the command that is answered, its purpose, and when to stop issuing it again.

    ``gives_up``: after ``tries`` without an answer the booking is rejected for that reason; None: never.
    """

    purpose: str
    command: Callable[[BookingSaga], Command]
    tries: int = 0
    gives_up: RejectionReason | None = None


def _hold_rooms(state: BookingSaga) -> Command:
    return HoldRooms(**_hold(state), stay=state.stay, rooms=state.rooms, expires_at=state.hold_until)


def _confirm_hold(state: BookingSaga) -> Command:
    return ConfirmHold(**_hold(state))


def _release_hold(state: BookingSaga) -> Command:
    return ReleaseHold(**_hold(state), reason=str(state.rejection))


def _authorise(state: BookingSaga) -> Command:
    return AuthorisePayment(**_payment(state), amount=state.due_now, provider=state.provider, token=state.token)


def _capture(state: BookingSaga) -> Command:
    return CapturePayment(**_payment(state), amount=state.due_now)


def _void(state: BookingSaga) -> Command:
    return VoidPayment(**_payment(state), reason=str(state.rejection))


def _await_payment(state: BookingSaga) -> Command:
    return AwaitPayment(booking_id=state.booking_id, payment_id=state.payment_id)


def _confirm_booking(state: BookingSaga) -> Command:
    return ConfirmBooking(booking_id=state.booking_id)


def _reject_booking(state: BookingSaga) -> Command:
    if state.rejection is None:
        raise UnplannedHappening(f"booking {state.booking_id} is to be rejected without a reason")
    return RejectBooking(booking_id=state.booking_id, reason=state.rejection)


def _hold(state: BookingSaga) -> dict[str, UUID]:
    return {
        "hotel_id": state.hotel_id,
        "room_type_id": state.room_type_id,
        "hold_id": hold_id_of(state.booking_id),
        "booking_id": state.booking_id,
    }


def _payment(state: BookingSaga) -> dict[str, UUID]:
    return {"payment_id": state.payment_id, "booking_id": state.booking_id}


STEPS: Mapping[str, _Step] = {
    "holding": _Step("hold", _hold_rooms, 3, "sold_out"),
    "authorising": _Step("authorise", _authorise, 2, "provider_unavailable"),
    "awaiting_action": _Step("await_payment", _await_payment),
    "confirming_hold": _Step("confirm_hold", _confirm_hold, 3, "sold_out"),
    "capturing": _Step("capture", _capture),
    "confirming": _Step("confirm", _confirm_booking),
    "voiding": _Step("void", _void),
    "releasing": _Step("release", _release_hold),
    "rejecting": _Step("reject", _reject_booking),
}


def _enter(state: BookingSaga, step: str, at: dt.datetime, attempt: int = 1, **known: Any) -> Told:
    """Issue the command of ``step`` and wait for its answer."""
    here = STEPS[step]
    after = state.model_copy(update={"step": step, "attempts": attempt, **known})
    deadline = at + ANSWER_WITHIN if here.gives_up else retry_at(at, attempt)
    if step == "awaiting_action":
        deadline = min(deadline, state.hold_until)
    return Reaction(after, (Issue(purpose(here.purpose, attempt), here.command(after)),), deadline)


def _undo(state: BookingSaga, reason: RejectionReason, at: dt.datetime, **known: Any) -> Told:
    """Begin to give everything back; the first reason stays."""
    return _undo_next(state, at, rejection=state.rejection or reason, **known)


def _undo_next(state: BookingSaga, at: dt.datetime, **known: Any) -> Told:
    """The next thing to give back, last taken first."""
    after = state.model_copy(update=known)
    if after.payment in {"asked", "authorised"}:
        return _enter(after, "voiding", at)
    if after.hold in {"asked", "held"}:
        return _enter(after, "releasing", at)
    return _enter(after, "rejecting", at)


def _begun(event: BookingRequested, at: dt.datetime) -> BookingSaga:
    return BookingSaga(
        saga_id=BOOKING_SAGA.saga_id(event.booking_id),
        step="holding",
        booking_id=event.booking_id,
        hotel_id=event.hotel_id,
        room_type_id=event.room_type_id,
        stay=event.stay,
        rooms=event.rooms,
        payment_id=event.payment_id,
        due_now=event.due_now,
        provider=event.payment_provider,
        token=event.payment_token,
        hold_until=at + HOLD_FOR,
    )


def _begin(event: BookingRequested, at: dt.datetime) -> Told:
    return _enter(_begun(event, at), "holding", at, hold="asked")


def _rooms_held(state: BookingSaga, event: RoomsHeld, at: dt.datetime) -> Told:
    del event
    if state.rooms_held:
        return IGNORED
    held: dict[str, Any] = {"hold": "held", "rooms_held": True}
    if state.step == "holding" and state.due_now.minor > 0:
        return _enter(state, "authorising", at, payment="asked", **held)
    if state.step == "holding":
        return _enter(state, "confirming_hold", at, **held)
    if state.step == "releasing":
        return noted(state, **held)
    if state.rejection is not None:
        return _late(state, "release", _release_hold, rooms_held=True)
    return IGNORED


def _hold_ended(state: BookingSaga, event: Event, at: dt.datetime) -> Told:
    """The rooms are not ours: refused, expired, or released as we asked."""
    if state.hold == "ended":
        return IGNORED
    if state.step == "releasing":
        return _undo_next(state, at, hold="ended")
    if state.step == "voiding":
        return noted(state, hold="ended")
    if state.step in BEFORE_CAPTURE:
        return _undo(state, _loss_of_hold(state, expired=isinstance(event, HoldExpired)), at, hold="ended")
    return IGNORED


def _confirmation_refused(state: BookingSaga, event: HoldConfirmationRefused, at: dt.datetime) -> Told:
    """There was nothing to confirm; a hold that is not known may still come, so that it has to be withdrawn."""
    if event.reason != "unknown" and state.step in UNDOING:
        return _hold_ended(state, event, at)
    if state.step != "confirming_hold":
        return IGNORED
    hold = state.hold if event.reason == "unknown" else "ended"
    return _undo(state, _loss_of_hold(state, expired=event.reason == "expired"), at, hold=hold)


def _loss_of_hold(state: BookingSaga, *, expired: bool) -> RejectionReason:
    """A hold that ran out while we waited for a payment was lost to the payment; any other, to other guests."""
    return "payment_expired" if expired and state.payment != "none" else "sold_out"


def _hold_confirmed(state: BookingSaga, event: HoldConfirmed, at: dt.datetime) -> Told:
    del event
    if state.step != "confirming_hold":
        return IGNORED
    return _enter(state, "capturing" if state.payment == "authorised" else "confirming", at)


def _action_required(state: BookingSaga, event: PaymentActionRequired, at: dt.datetime) -> Told:
    del event
    return _enter(state, "awaiting_action", at) if state.step == "authorising" else IGNORED


def _announced(state: BookingSaga, event: BookingAwaitingPayment, at: dt.datetime) -> Told:
    del event, at
    if state.step != "awaiting_action" or state.announced:
        return IGNORED
    return Reaction(state.model_copy(update={"announced": True}), deadline=state.hold_until)


def _authorised(state: BookingSaga, event: PaymentAuthorised, at: dt.datetime) -> Told:
    del event
    if state.authorised:
        return IGNORED
    if state.step in PAYING:
        return _enter(state, "confirming_hold", at, payment="authorised", authorised=True)
    if state.step == "voiding":
        return noted(state, authorised=True)
    if state.rejection is not None:
        return _late(state, "void", _void, authorised=True)
    return IGNORED


def _late(state: BookingSaga, what: str, command: Callable[[BookingSaga], Command], **known: Any) -> Told:
    """Give back what came after it was given up, as it can only have overtaken the answer that it was given back."""
    issue = Issue(f"{what}:late", command(state))
    return Reaction(state.model_copy(update=known), (issue,), keep_deadline=True, note=f"{what}: answered late")


def _outcome_unknown(state: BookingSaga, event: AuthorisationOutcomeUnknown, at: dt.datetime) -> Told:
    """Payments are at work and will settle it themselves; only their silence is a reason to give up."""
    if state.step != "authorising" or event.attempt <= state.unknown_attempt:
        return IGNORED
    return Reaction(state.model_copy(update={"unknown_attempt": event.attempt}), deadline=at + OUTCOME_WITHIN)


def _declined(state: BookingSaga, event: PaymentDeclined, at: dt.datetime) -> Told:
    if state.step in PAYING:
        unavailable = event.reason == "provider_unavailable"
        reason: RejectionReason = "provider_unavailable" if unavailable else "payment_declined"
        return _undo(state, reason, at, payment="ended")
    return _undo_next(state, at, payment="ended") if state.step == "voiding" else IGNORED


def _voided(state: BookingSaga, event: PaymentVoided, at: dt.datetime) -> Told:
    """As we asked; or, until something was captured, the end of an authorisation that nobody here gave up."""
    del event
    if state.step == "voiding":
        return _undo_next(state, at, payment="ended")
    if state.step in {*PAYING, "confirming_hold", "capturing"} and state.payment in {"asked", "authorised"}:
        return _undo(state, "payment_expired", at, payment="ended")
    return IGNORED


def _captured(state: BookingSaga, event: PaymentCaptured, at: dt.datetime) -> Told:
    if state.payment == "captured":
        return IGNORED
    if state.step == "capturing":
        return _enter(state, "confirming", at, payment="captured")
    raise UnplannedHappening(
        f"{event.amount.amount} {event.amount.currency} were captured for booking {state.booking_id} "
        f"while it was {state.step}; refund them or confirm the booking"
    )


def _confirmed(state: BookingSaga, event: BookingConfirmed, at: dt.datetime) -> Told:
    del event, at
    return finished(state, "confirmed") if state.step == "confirming" else IGNORED


def _rejected(state: BookingSaga, event: BookingRejected, at: dt.datetime) -> Told:
    del event, at
    return finished(state, "rejected") if state.step == "rejecting" else IGNORED


def _deadline_passed(state: BookingSaga, step: str, at: dt.datetime) -> Told:
    """No answer in time: ask again, or give up where there is a way back."""
    if step != state.step or state.status != "running":
        return IGNORED
    if step == "awaiting_action" and (state.announced or at >= state.hold_until):
        return _undo(state, "payment_expired", at)
    here = STEPS[step]
    silent_after_trouble = step == "authorising" and state.unknown_attempt > 0
    if here.gives_up is not None and (state.attempts >= here.tries or silent_after_trouble):
        return _undo(state, here.gives_up, at)
    return _enter(state, step, at, state.attempts + 1)


def compensate(state: BookingSaga, at: dt.datetime) -> Told:
    """Give everything back because an operator says so. Raises IllegalTransition from the capture on."""
    if state.step in UNDOING:
        return _enter(state, state.step, at, state.attempts + 1)
    if state.step not in BEFORE_CAPTURE:
        raise IllegalTransition(
            f"booking {state.booking_id} is {state.step}: it cannot be undone any more; cancel it once it is confirmed"
        )
    return _undo(state, "provider_unavailable", at)


def refuse(event: Event, at: dt.datetime) -> Told:
    """Reject a booking whose saga could not begin, because an operator says so."""
    if not isinstance(event, BookingRequested):
        raise IllegalTransition(f"a booking's saga does not begin with {event.topic}")
    return _enter(_begun(event, at), "rejecting", at, rejection="provider_unavailable")


_BEGINNINGS: Mapping[type[Event], Callable[[Any, dt.datetime], Told]] = {BookingRequested: _begin}
_REACTIONS: Mapping[type[Event], Callable[[BookingSaga, Any, dt.datetime], Told]] = {
    RoomsHeld: _rooms_held,
    HoldRefused: _hold_ended,
    HoldExpired: _hold_ended,
    HoldReleased: _hold_ended,
    HoldWithdrawn: _hold_ended,
    HoldConfirmed: _hold_confirmed,
    HoldConfirmationRefused: _confirmation_refused,
    PaymentActionRequired: _action_required,
    BookingAwaitingPayment: _announced,
    PaymentAuthorised: _authorised,
    AuthorisationOutcomeUnknown: _outcome_unknown,
    PaymentDeclined: _declined,
    PaymentVoided: _voided,
    PaymentCaptured: _captured,
    BookingConfirmed: _confirmed,
    BookingRejected: _rejected,
}


def _own(event: Event) -> UUID | None:
    """The booking, unless the event is about a hold or a payment of one of its modifications."""
    booking_id = booking_of(event)
    match event:
        case HoldEvent(hold_id=hold_id) if hold_id != hold_id_of(booking_id):
            return None
        case PaymentEvent(payment_id=payment_id) if payment_id != payment_id_of(booking_id):
            return None
    return booking_id


BOOKING_SAGA: Saga[BookingSaga] = Saga(
    name="booking",
    state_type=BookingSaga,
    starts=frozenset(_BEGINNINGS),
    routes=dict.fromkeys((*_BEGINNINGS, *_REACTIONS), _own),
    react=reacting(_BEGINNINGS, _REACTIONS, _deadline_passed),
    commands=frozenset(
        {
            HoldRooms,
            ConfirmHold,
            ReleaseHold,
            AuthorisePayment,
            CapturePayment,
            VoidPayment,
            AwaitPayment,
            ConfirmBooking,
            RejectBooking,
        }
    ),
    compensate=compensate,
    refuse=refuse,
)
