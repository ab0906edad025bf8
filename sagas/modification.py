"""The modification saga: hold other rooms, take the difference, exchange the rooms, give back what is too much.

It is about one modification, and what that takes bears the modification's id: a hold, and a payment if more is due.
The money is taken before the rooms are exchanged, because an exchange cannot be undone: others may buy what was given
up. So the exchange is the pivot. Before it, whatever goes wrong is undone in reverse order (give back, void, release,
reject) and the booking stays as it was. From the pivot on, and while undoing, a command is issued again at every
deadline until it is answered.

What is known of the hold and of the payments says what comes next, not the order in which messages arrive.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, Literal
from uuid import UUID

from domain.booking.commands import AwaitModificationPayment, CompleteModification, RejectModification
from domain.booking.events import (
    BookingModified,
    ModificationAwaitingPayment,
    ModificationRejected,
    ModificationRequested,
    Paid,
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
from domain.payment.commands import AuthorisePayment, CapturePayment, RefundPayment, VoidPayment
from domain.payment.events import (
    PaymentActionRequired,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentDeclined,
    PaymentEvent,
    PaymentRefunded,
    PaymentVoided,
)
from domain.shared.errors import IllegalTransition
from domain.shared.messages import Command, Event
from domain.shared.money import Money
from domain.shared.stay import Stay
from sagas.booking import HOLD_FOR
from sagas.saga import (
    Issue,
    Reaction,
    Saga,
    SagaState,
    UnplannedHappening,
    finished,
    noted,
    purpose,
    reacting,
    retry_at,
)

REASON = "modification"
HELD_BEYOND = dt.timedelta(minutes=5)
"""How much longer than the guest's time to act the rooms are held: money that was taken then must not be too late."""


class ModificationSaga(SagaState):
    """What is known of one modification on its way.

    ``hold``: asked for, held, sold, ended; ``payment``: none, asked for, authorised, captured, ended without a capture,
    or returned after it. ``freed``: the rooms that the booking had before are given back; ``refunded`` is how many of
    ``refunds`` were made. ``act_until`` ends the guest's time to act; ``announced``: the booking tells that they have
    to. ``rejection`` is set from the first moment of undoing.
    """

    modification_id: UUID
    booking_id: UUID
    hotel_id: UUID
    room_type_id: UUID
    stay: Stay
    rooms: int
    old_room_type_id: UUID
    old_hold_id: UUID
    charge: Money
    refunds: tuple[Paid, ...]
    provider: str
    token: str
    act_until: dt.datetime
    hold: Literal["asked", "held", "sold", "ended"] = "asked"
    payment: Literal["none", "asked", "authorised", "captured", "ended", "returned"] = "none"
    freed: bool = False
    refunded: int = 0
    announced: bool = False
    rejection: RejectionReason | None = None


Told = Reaction[ModificationSaga]
IGNORED: Told = Reaction(None)
PAYING = frozenset({"authorising", "awaiting_action"})
UNDOING = frozenset({"returning", "voiding", "releasing", "rejecting"})


def _hold_rooms(state: ModificationSaga) -> Command:
    return HoldRooms(
        **_hold(state),
        stay=state.stay,
        rooms=state.rooms,
        expires_at=state.act_until + HELD_BEYOND,
        replaces=state.old_hold_id if state.room_type_id == state.old_room_type_id else None,
    )


def _authorise(state: ModificationSaga) -> Command:
    return AuthorisePayment(**_payment(state), amount=state.charge, provider=state.provider, token=state.token)


def _await_payment(state: ModificationSaga) -> Command:
    return AwaitModificationPayment(booking_id=state.booking_id, modification_id=state.modification_id)


def _capture(state: ModificationSaga) -> Command:
    return CapturePayment(**_payment(state), amount=state.charge)


def _exchange(state: ModificationSaga) -> Command:
    return ConfirmHold(**_hold(state))


def _free(state: ModificationSaga) -> Command:
    return ReleaseHold(
        hotel_id=state.hotel_id,
        room_type_id=state.old_room_type_id,
        hold_id=state.old_hold_id,
        booking_id=state.booking_id,
        reason=REASON,
        replaced_by=state.modification_id,
    )


def _refund(state: ModificationSaga) -> Command:
    return _give_back(state, state.refunds[state.refunded])


def _return(state: ModificationSaga) -> Command:
    return _give_back(state, Paid(payment_id=state.modification_id, amount=state.charge))


def _void(state: ModificationSaga) -> Command:
    return VoidPayment(**_payment(state), reason=str(state.rejection))


def _release(state: ModificationSaga) -> Command:
    return ReleaseHold(**_hold(state), reason=str(state.rejection))


def _complete(state: ModificationSaga) -> Command:
    return CompleteModification(booking_id=state.booking_id, modification_id=state.modification_id)


def _reject(state: ModificationSaga) -> Command:
    if state.rejection is None:
        raise UnplannedHappening(f"modification {state.modification_id} is to be rejected without a reason")
    return RejectModification(
        booking_id=state.booking_id, modification_id=state.modification_id, reason=state.rejection
    )


def _give_back(state: ModificationSaga, part: Paid) -> Command:
    return RefundPayment(
        payment_id=part.payment_id,
        booking_id=state.booking_id,
        refund_id=state.modification_id,
        amount=part.amount,
        reason=REASON,
    )


def _hold(state: ModificationSaga) -> dict[str, UUID]:
    return {
        "hotel_id": state.hotel_id,
        "room_type_id": state.room_type_id,
        "hold_id": state.modification_id,
        "booking_id": state.booking_id,
    }


def _payment(state: ModificationSaga) -> dict[str, UUID]:
    return {"payment_id": state.modification_id, "booking_id": state.booking_id}


STEPS: Mapping[str, tuple[str, Callable[[ModificationSaga], Command]]] = {
    "holding": ("hold", _hold_rooms),
    "authorising": ("authorise", _authorise),
    "awaiting_action": ("await_payment", _await_payment),
    "capturing": ("capture", _capture),
    "exchanging": ("exchange", _exchange),
    "freeing": ("free", _free),
    "refunding": ("refund", _refund),
    "completing": ("complete", _complete),
    "returning": ("return", _return),
    "voiding": ("void", _void),
    "releasing": ("release", _release),
    "rejecting": ("reject", _reject),
}


def _enter(state: ModificationSaga, step: str, at: dt.datetime, attempt: int = 1, **known: Any) -> Told:
    """Issue the command of ``step`` and wait for its answer."""
    name, command = STEPS[step]
    after = state.model_copy(update={"step": step, "attempts": attempt, **known})
    part = f"{name}-{after.refunded}" if step == "refunding" and after.refunded else name
    deadline = retry_at(at, attempt)
    if step == "awaiting_action":
        deadline = min(deadline, state.act_until)
    return Reaction(after, (Issue(purpose(part, attempt), command(after)),), deadline)


def _next(state: ModificationSaga, at: dt.datetime, **known: Any) -> Told:
    """What is still missing, in the order in which it is safe to take it."""
    after = state.model_copy(update=known)
    if after.charge.minor > 0 and after.payment == "none":
        return _enter(after, "authorising", at, payment="asked")
    if after.payment == "authorised":
        return _enter(after, "capturing", at)
    if after.hold == "held":
        return _enter(after, "exchanging", at)
    if not after.freed:
        return _enter(after, "freeing", at)
    return _enter(after, "refunding" if after.refunded < len(after.refunds) else "completing", at)


def _undo(state: ModificationSaga, reason: RejectionReason, at: dt.datetime, **known: Any) -> Told:
    """The next thing to give back, last taken first; the first reason stays."""
    after = state.model_copy(update={"rejection": state.rejection or reason, **known})
    if after.payment == "captured":
        return _enter(after, "returning", at)
    if after.payment in {"asked", "authorised"}:
        return _enter(after, "voiding", at)
    return _enter(after, "releasing" if after.hold in {"asked", "held"} else "rejecting", at)


def _begun(event: ModificationRequested, at: dt.datetime) -> ModificationSaga:
    return ModificationSaga(
        saga_id=MODIFICATION_SAGA.saga_id(event.modification_id),
        step="holding",
        modification_id=event.modification_id,
        booking_id=event.booking_id,
        hotel_id=event.after.hotel_id,
        room_type_id=event.after.room_type_id,
        stay=event.after.stay,
        rooms=event.after.rooms,
        old_room_type_id=event.before.room_type_id,
        old_hold_id=event.hold_id,
        charge=event.charge,
        refunds=event.refunds,
        provider=event.payment_provider,
        token=event.payment_token,
        act_until=at + HOLD_FOR,
    )


def _begin(event: ModificationRequested, at: dt.datetime) -> Told:
    return _enter(_begun(event, at), "holding", at)


def _rooms_held(state: ModificationSaga, event: RoomsHeld, at: dt.datetime) -> Told:
    del event
    return _next(state, at, hold="held") if state.step == "holding" else IGNORED


def _hold_ended(state: ModificationSaga, event: HoldEvent, at: dt.datetime) -> Told:
    """The new rooms are not ours: refused, expired, or released as we asked."""
    if state.hold in {"ended", "sold"}:
        return IGNORED
    if state.step in {"voiding", "returning", "capturing"}:
        return noted(state, hold="ended")
    lost_to_payment = isinstance(event, HoldExpired | HoldConfirmationRefused) and state.charge.minor > 0
    return _undo(state, "payment_expired" if lost_to_payment else "sold_out", at, hold="ended")


def _released(state: ModificationSaga, event: HoldReleased, at: dt.datetime) -> Told:
    if event.hold_id == state.modification_id:
        return _hold_ended(state, event, at)
    if state.freed:
        return IGNORED
    return _next(state, at, freed=True) if state.step == "freeing" else noted(state, freed=True)


def _hold_confirmed(state: ModificationSaga, event: HoldConfirmed, at: dt.datetime) -> Told:
    del event
    return _next(state, at, hold="sold") if state.step == "exchanging" else IGNORED


def _action_required(state: ModificationSaga, event: PaymentActionRequired, at: dt.datetime) -> Told:
    del event
    return _enter(state, "awaiting_action", at) if state.step == "authorising" else IGNORED


def _announced(state: ModificationSaga, event: ModificationAwaitingPayment, at: dt.datetime) -> Told:
    del event, at
    if state.step != "awaiting_action" or state.announced:
        return IGNORED
    return Reaction(state.model_copy(update={"announced": True}), deadline=state.act_until)


def _authorised(state: ModificationSaga, event: PaymentAuthorised, at: dt.datetime) -> Told:
    del event
    return _next(state, at, payment="authorised") if state.step in PAYING else IGNORED


def _declined(state: ModificationSaga, event: PaymentDeclined, at: dt.datetime) -> Told:
    if state.step not in {*PAYING, "voiding"}:
        return IGNORED
    unavailable = event.reason == "provider_unavailable"
    return _undo(state, "provider_unavailable" if unavailable else "payment_declined", at, payment="ended")


def _voided(state: ModificationSaga, event: PaymentVoided, at: dt.datetime) -> Told:
    """As we asked; or, until something was captured, the end of an authorisation that nobody here gave up."""
    del event
    if state.step not in {*PAYING, "capturing", "voiding"}:
        return IGNORED
    return _undo(state, "payment_expired", at, payment="ended")


def _captured(state: ModificationSaga, event: PaymentCaptured, at: dt.datetime) -> Told:
    if state.payment in {"captured", "returned"}:
        return IGNORED
    if state.step != "capturing":
        raise UnplannedHappening(
            f"{event.amount.amount} {event.amount.currency} were captured for modification {state.modification_id} "
            f"while it was {state.step}; refund them"
        )
    if state.hold == "ended":
        return _undo(state, "payment_expired", at, payment="captured")
    return _next(state, at, payment="captured")


def _refunded(state: ModificationSaga, event: PaymentRefunded, at: dt.datetime) -> Told:
    if state.step == "returning" and event.payment_id == state.modification_id:
        return _undo(state, "payment_expired", at, payment="returned")
    if state.step == "refunding" and event.payment_id == state.refunds[state.refunded].payment_id:
        return _next(state, at, refunded=state.refunded + 1)
    return IGNORED


def _modified(state: ModificationSaga, event: BookingModified, at: dt.datetime) -> Told:
    del event, at
    return finished(state, "modified") if state.step == "completing" else IGNORED


def _rejected(state: ModificationSaga, event: ModificationRejected, at: dt.datetime) -> Told:
    del event, at
    return finished(state, "rejected") if state.step == "rejecting" else IGNORED


def _deadline_passed(state: ModificationSaga, step: str, at: dt.datetime) -> Told:
    """No answer in time: ask again; only the guest's time to act is limited."""
    if step != state.step or state.status != "running":
        return IGNORED
    if step == "awaiting_action" and (state.announced or at >= state.act_until):
        return _undo(state, "payment_expired", at)
    return _enter(state, step, at, state.attempts + 1)


def compensate(state: ModificationSaga, at: dt.datetime) -> Told:
    """Leave the booking as it was because an operator says so. Raises IllegalTransition from the capture on."""
    if state.step in UNDOING:
        return _enter(state, state.step, at, state.attempts + 1)
    if state.step not in {*PAYING, "holding"}:
        raise IllegalTransition(
            f"modification {state.modification_id} is {state.step}: it cannot be undone any more; once it is done, "
            "modify the booking again"
        )
    return _undo(state, "provider_unavailable", at)


def refuse(event: Event, at: dt.datetime) -> Told:
    """Reject a modification whose saga could not begin, because an operator says so."""
    if not isinstance(event, ModificationRequested):
        raise IllegalTransition(f"a modification's saga does not begin with {event.topic}")
    return _enter(_begun(event, at), "rejecting", at, rejection="provider_unavailable", hold="ended")


_BEGINNINGS: Mapping[type[Event], Callable[[Any, dt.datetime], Told]] = {ModificationRequested: _begin}
_REACTIONS: Mapping[type[Event], Callable[[ModificationSaga, Any, dt.datetime], Told]] = {
    RoomsHeld: _rooms_held,
    HoldRefused: _hold_ended,
    HoldExpired: _hold_ended,
    HoldWithdrawn: _hold_ended,
    HoldConfirmationRefused: _hold_ended,
    HoldReleased: _released,
    HoldConfirmed: _hold_confirmed,
    PaymentActionRequired: _action_required,
    ModificationAwaitingPayment: _announced,
    PaymentAuthorised: _authorised,
    PaymentDeclined: _declined,
    PaymentVoided: _voided,
    PaymentCaptured: _captured,
    PaymentRefunded: _refunded,
    BookingModified: _modified,
    ModificationRejected: _rejected,
}


def modification_of(event: Event) -> UUID | None:
    """The modification that an event is about; None: the hold and the payment that a booking begins with."""
    match event:
        case ModificationRequested() | ModificationAwaitingPayment() | BookingModified() | ModificationRejected():
            return event.modification_id
        case HoldReleased(replaced_by=UUID() as modification_id):
            return modification_id
        case HoldEvent():
            return None if event.hold_id == hold_id_of(event.booking_id) else event.hold_id
        case PaymentRefunded():
            return event.refund_id if event.reason == REASON else None
        case PaymentEvent():
            return None if event.payment_id == payment_id_of(event.booking_id) else event.payment_id
    return None


MODIFICATION_SAGA: Saga[ModificationSaga] = Saga(
    name="modification",
    state_type=ModificationSaga,
    starts=frozenset(_BEGINNINGS),
    routes=dict.fromkeys((*_BEGINNINGS, *_REACTIONS), modification_of),
    react=reacting(_BEGINNINGS, _REACTIONS, _deadline_passed),
    commands=frozenset(
        {
            HoldRooms,
            AuthorisePayment,
            CapturePayment,
            ConfirmHold,
            ReleaseHold,
            RefundPayment,
            VoidPayment,
            AwaitModificationPayment,
            CompleteModification,
            RejectModification,
        }
    ),
    compensate=compensate,
    refuse=refuse,
)
