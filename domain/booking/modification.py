"""Whether a confirmed booking may become another stay, and what that costs. Pure, as ``decide`` is."""

from __future__ import annotations

import datetime as dt

from domain.booking.commands import (
    AwaitModificationPayment,
    CompleteModification,
    RejectModification,
    RequestModification,
)
from domain.booking.decide import check_means, check_terms, require_at_rest, require_own, terms_of
from domain.booking.events import (
    BookingDetails,
    BookingModified,
    ModificationAwaitingPayment,
    ModificationRejected,
    ModificationRequested,
    Paid,
)
from domain.booking.identity import hold_id_of
from domain.booking.paid import given_back, taken, to_give_back
from domain.booking.state import BookingState, Modification, details_of
from domain.hotel.cancellation import percent_charged
from domain.shared.errors import DomainError, IllegalTransition, NotFound
from domain.shared.messages import Event
from domain.shared.money import Money, total
from domain.shared.validation import Problems


class GivesUpTooLate(DomainError):
    """A cancellation would cost something by now, so that nothing of the stay may be given up."""

    problem = "gives-up-too-late"


def decide_request_modification(state: BookingState, command: RequestModification, now: dt.datetime) -> list[Event]:
    """Begin to make another stay, at the same hotel, of a confirmed booking before its check-in.

    Nights, rooms, room type and rate plan may be given up for as long as a cancellation is free; after that there may
    only be more. Raises NotFound (also for somebody else's booking), IllegalTransition, GivesUpTooLate, InvalidCommand.
    """
    require_own(state, command.booking_id, command.asked_by)
    details = require_at_rest(state, command.booking_id, {"confirmed"}, "modified")
    if command.quoted_version != state.version:
        raise IllegalTransition(f"booking {command.booking_id} has changed since the quote was made; ask for another")
    if now >= details.check_in_at:
        raise IllegalTransition(f"the stay began at {details.check_in_at.isoformat()} and cannot be modified any more")
    after = _after(details, command)
    charge, refund = difference(details, after)
    problems = Problems()
    check_terms(problems, command)
    if charge.minor > 0:
        paid = bool(command.payment_token)
        problems.require(paid, "payment", f"must say how {charge.amount} {charge.currency} are paid")
        if paid:
            check_means(problems, command)
    problems.refuse()
    _may_become(details, after, now)
    return [
        ModificationRequested(
            booking_id=command.booking_id,
            modification_id=command.modification_id,
            before=details,
            after=after,
            hold_id=state.hold_id or hold_id_of(command.booking_id),
            charge=charge,
            refunds=to_give_back(state.paid, refund),
            payment_provider=command.payment_provider if charge.minor > 0 else "",
            payment_token=command.payment_token if charge.minor > 0 else "",
        )
    ]


def decide_await_modification_payment(state: BookingState, command: AwaitModificationPayment) -> list[Event]:
    """Note that the guest has to act; too late to matter once the modification has gone on. Raises NotFound."""
    if command.modification_id in state.ended_modifications or _asked(state, command).outcome != "pending":
        return []
    return [ModificationAwaitingPayment(booking_id=command.booking_id, modification_id=command.modification_id)]


def decide_complete_modification(state: BookingState, command: CompleteModification) -> list[Event]:
    """Make another stay of the booking, once. Raises NotFound; IllegalTransition if the modification was rejected."""
    match state.ended_modifications.get(command.modification_id):
        case "modified":
            return []
        case "rejected":
            raise IllegalTransition(f"modification {command.modification_id} was rejected and cannot be completed")
    asked = _asked(state, command).asked
    paid = taken(state.paid, Paid(payment_id=command.modification_id, amount=asked.charge))
    return [
        BookingModified(
            **details_of(asked.after),
            modification_id=command.modification_id,
            before=asked.before,
            charge=asked.charge,
            refund=refunded(asked),
            paid=given_back(paid, asked.refunds),
        )
    ]


def decide_reject_modification(state: BookingState, command: RejectModification) -> list[Event]:
    """Leave the booking as it is, once; the first reason stays. Raises NotFound; IllegalTransition once it is done."""
    match state.ended_modifications.get(command.modification_id):
        case "rejected":
            return []
        case "modified":
            raise IllegalTransition(f"modification {command.modification_id} is done and cannot be rejected any more")
    unchanged = details_of(_asked(state, command).asked.before)
    return [ModificationRejected(**unchanged, modification_id=command.modification_id, reason=command.reason)]


def difference(before: BookingDetails, after: BookingDetails) -> tuple[Money, Money]:
    """What is to be paid and what goes back when ``before`` becomes ``after``; one of the two is nothing.

    Raises InvalidCommand if they are not of one currency.
    """
    due, nothing = after.due_now - before.due_now, Money.zero(before.due_now.currency)
    return (due, nothing) if due.minor > 0 else (nothing, nothing - due)


def refunded(asked: ModificationRequested) -> Money:
    """What goes back to the guest, all payments together."""
    nothing = Money.zero(asked.charge.currency)
    return total((nothing, *(part.amount for part in asked.refunds)))


def _after(details: BookingDetails, command: RequestModification) -> BookingDetails:
    return BookingDetails(**details_of(details) | terms_of(command))


def _may_become(before: BookingDetails, after: BookingDetails, now: dt.datetime) -> None:
    if after == before:
        raise IllegalTransition(f"booking {before.booking_id} is that already: nothing would change")
    charged = percent_charged(before.cancellation, before.check_in_at, now)
    if charged > 0 and _gives_up(before, after):
        raise GivesUpTooLate(
            f"to cancel booking {before.booking_id} costs {charged} % by now: nights and rooms can only be added to it"
        )


def _gives_up(before: BookingDetails, after: BookingDetails) -> bool:
    """Whether something of ``before`` is not part of ``after``."""
    keeps_kind = (before.room_type_id, before.rate_plan_id) == (after.room_type_id, after.rate_plan_id)
    keeps_nights = set(before.stay.nights) <= set(after.stay.nights) and before.rooms <= after.rooms
    return not keeps_kind or not keeps_nights or (after.total - before.total).minor < 0


def _asked(
    state: BookingState, command: AwaitModificationPayment | CompleteModification | RejectModification
) -> Modification:
    if state.modification is None or state.modification.asked.modification_id != command.modification_id:
        raise NotFound(f"booking {command.booking_id} has no modification {command.modification_id}")
    return state.modification
