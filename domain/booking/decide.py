"""What may be done with a booking. Pure: the state and a command in, events out; a refusal is raised.

Messages of the saga may come twice and out of order: what is already so changes nothing, and what contradicts the
outcome (confirming what was rejected) is refused, so that somebody looks at it.
"""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from domain.booking.commands import (
    AwaitPayment,
    BookingCommand,
    CheckIn,
    CheckOut,
    CompleteCancellation,
    ConfirmBooking,
    RecordNoShow,
    RejectBooking,
    RequestBooking,
    RequestCancellation,
    TermsCommand,
)
from domain.booking.events import (
    BookingAwaitingPayment,
    BookingCancelled,
    BookingConfirmed,
    BookingDetails,
    BookingRejected,
    BookingRequested,
    CancellationRequested,
    GuestCheckedIn,
    GuestCheckedOut,
    NoShowRecorded,
)
from domain.booking.identity import payment_id_of
from domain.booking.paid import to_give_back
from domain.booking.state import PAST_CANCELLING, WAS_CONFIRMED, BookingState, BookingStatus, details_of
from domain.hotel.cancellation import percent_charged, policy
from domain.hotel.events import PaymentPolicy
from domain.hotel.places import CURRENCIES
from domain.hotel.pricing import total_of
from domain.shared.errors import AlreadyExists, DomainError, IllegalTransition, NotFound, require_version
from domain.shared.messages import Event
from domain.shared.money import Money
from domain.shared.validation import Problems

MAX_ROOMS = 9
MAX_GUESTS = 90
MAX_DAYS_AHEAD = 1_100
MAX_NIGHT_MINOR = 10**12
DUE_NOW_PERCENT: dict[PaymentPolicy, int] = {"prepaid": 100, "deposit": 30, "at_hotel": 0}


class AlreadyCancelled(DomainError):
    """The booking is cancelled or about to be; nothing is left to do."""

    problem = "already-cancelled"


def decide_request(state: BookingState, command: RequestBooking) -> list[Event]:
    """Take down what somebody wants to book. Raises AlreadyExists; InvalidCommand that names every wrong field."""
    if state.details is not None:
        raise AlreadyExists(f"booking {command.booking_id} exists already")
    problems = Problems()
    check_terms(problems, command)
    check_means(problems, command)
    problems.refuse()
    return [
        BookingRequested(
            **terms_of(command),
            guest_id=command.guest_id,
            account_id=command.account_id,
            hotel_id=command.hotel_id,
            payment_id=payment_id_of(command.booking_id),
            payment_provider=command.payment_provider,
            payment_token=command.payment_token,
        )
    ]


def decide_await_payment(state: BookingState, command: AwaitPayment) -> list[Event]:
    """Note that the guest has to act; too late to matter once the booking has gone on. Raises NotFound."""
    _requested(state, command)
    if state.status != "pending":
        return []
    return [BookingAwaitingPayment(booking_id=command.booking_id, payment_id=command.payment_id)]


def decide_confirm(state: BookingState, command: ConfirmBooking) -> list[Event]:
    """Confirm, once. Raises NotFound; IllegalTransition if the booking was rejected."""
    details = _requested(state, command)
    if state.status == "rejected":
        raise IllegalTransition(
            f"booking {command.booking_id} was rejected ({state.rejection}) and cannot be confirmed"
        )
    if state.status in WAS_CONFIRMED:
        return []
    return [BookingConfirmed(**details_of(details))]


def decide_reject(state: BookingState, command: RejectBooking) -> list[Event]:
    """Reject, once; the first reason stays. Raises NotFound; IllegalTransition if the booking was confirmed."""
    details = _requested(state, command)
    if state.status in WAS_CONFIRMED:
        raise IllegalTransition(f"booking {command.booking_id} is {state.status} and cannot be rejected; cancel it")
    if state.status == "rejected":
        return []
    return [BookingRejected(**details_of(details), reason=command.reason)]


def decide_request_cancellation(state: BookingState, command: RequestCancellation, now: dt.datetime) -> list[Event]:
    """Begin to cancel a confirmed booking before its check-in, at the price of its policy at ``now``.

    What is kept is never more than what was captured. Raises NotFound (also for somebody else's booking),
    VersionMismatch, AlreadyCancelled, IllegalTransition, InvalidCommand.
    """
    details = require_own(state, command.booking_id, command.asked_by)
    require_version(f"booking {command.booking_id}", state.version, command.expected_version)
    problems = Problems()
    problems.text("reason", command.reason, 500, shortest=0, lines=True)
    problems.refuse()
    if state.settlement is not None:
        raise AlreadyCancelled(f"the cancellation of booking {command.booking_id} was requested before")
    if state.status != "confirmed":
        raise IllegalTransition(f"only a confirmed booking can be cancelled; {command.booking_id} is {state.status}")
    if state.is_modifying:
        raise IllegalTransition(f"booking {command.booking_id} is being modified; cancel it when that has ended")
    if now >= details.check_in_at:
        raise IllegalTransition(f"the stay began at {details.check_in_at.isoformat()} and cannot be cancelled any more")
    charge = _charge(details, now)
    return [
        CancellationRequested(
            booking_id=command.booking_id,
            hotel_id=details.hotel_id,
            room_type_id=details.room_type_id,
            payment_id=details.payment_id,
            charge=charge,
            refund=details.due_now - charge,
            reason=command.reason,
            hold_id=state.hold_id,
            refunds=to_give_back(state.paid, details.due_now - charge),
        )
    ]


def decide_complete_cancellation(state: BookingState, command: CompleteCancellation) -> list[Event]:
    """End the cancellation that was requested, once. Raises NotFound; IllegalTransition if none was requested."""
    details = _requested(state, command)
    if state.status == "cancelled":
        return []
    if state.settlement is None:
        raise IllegalTransition(f"nobody has asked to cancel booking {command.booking_id}")
    return [
        BookingCancelled(
            **details_of(details),
            charge=state.settlement.charge,
            refund=state.settlement.refund,
            reason=state.settlement.reason,
        )
    ]


def decide_check_in(state: BookingState, command: CheckIn) -> list[Event]:
    """The guest of a confirmed booking, or of a no-show, has come: on any day of the stay before its last.

    Raises NotFound, VersionMismatch; IllegalTransition, also while a cancellation is under way.
    """
    details = _standing(state, command, {"confirmed", "no_show"}, "checked in", command.expected_version)
    stay = details.stay
    if not stay.check_in <= command.today < stay.check_out:
        raise IllegalTransition(
            f"booking {command.booking_id} can be checked in from {stay.check_in} to before {stay.check_out};"
            f" at the hotel it is {command.today}"
        )
    return [GuestCheckedIn(**details_of(details))]


def decide_check_out(state: BookingState, command: CheckOut) -> list[Event]:
    """Who is checked in leaves, at any time. Raises NotFound, VersionMismatch, IllegalTransition."""
    details = _standing(state, command, {"checked_in"}, "checked out", command.expected_version)
    return [GuestCheckedOut(**details_of(details))]


def decide_no_show(state: BookingState, command: RecordNoShow, now: dt.datetime) -> list[Event]:
    """Nobody has come to a confirmed booking, as can be said from ``check_in_at`` on: until then it can be cancelled.

    Raises NotFound, VersionMismatch; IllegalTransition, also while a cancellation is under way.
    """
    details = _standing(state, command, {"confirmed"}, "a no-show", command.expected_version)
    if now < details.check_in_at:
        raise IllegalTransition(
            f"booking {command.booking_id} is no no-show before its stay begins at {details.check_in_at.isoformat()}"
        )
    return [NoShowRecorded(**details_of(details))]


def require_past_cancelling(state: BookingState, booking_id: UUID) -> BookingDetails:
    """The booking, if no cancellation can give money back any more, so that an operator may out of goodwill.

    Raises NotFound; IllegalTransition for one that can still be cancelled, or is being cancelled, or came to nothing.
    """
    if state.details is None:
        raise _unknown(booking_id)
    if state.status not in PAST_CANCELLING:
        raise IllegalTransition(
            f"booking {booking_id} is {state.status}: there is goodwill after check-in, a no-show or a cancellation"
        )
    return state.details


def require_own(state: BookingState, booking_id: UUID, asked_by: UUID | None) -> BookingDetails:
    """The booking of whoever asks (None may do everything). Raises NotFound, for other people's bookings too."""
    if state.details is None or asked_by not in {None, state.details.account_id}:
        raise _unknown(booking_id)
    return state.details


def require_at_rest(state: BookingState, booking_id: UUID, allowed: set[BookingStatus], after: str) -> BookingDetails:
    """The booking, if it may go on from its status to ``after``.

    Raises NotFound; IllegalTransition, also while it is being cancelled or modified.
    """
    if state.details is None:
        raise _unknown(booking_id)
    if state.status not in allowed:
        raise IllegalTransition(f"booking {booking_id} is {state.status} and cannot be {after}")
    if state.settlement is not None:
        raise IllegalTransition(f"booking {booking_id} is being cancelled and cannot be {after}")
    if state.is_modifying:
        raise IllegalTransition(f"booking {booking_id} is being modified and cannot be {after} before that has ended")
    return state.details


def terms_of(command: TermsCommand) -> dict[str, Any]:
    """The fields of BookingDetails that a command asks for, with what they come to. Raises InvalidCommand."""
    total = total_of(command.nightly, command.rooms, command.currency)
    both = TermsCommand.model_fields.keys() & BookingDetails.model_fields.keys()
    wanted = {name: getattr(command, name) for name in both}
    return wanted | {
        "total": total,
        "due_now": total.percent(DUE_NOW_PERCENT[command.payment_policy]),
        "cancellation": policy(command.cancellation),
    }


def _standing(
    state: BookingState, command: BookingCommand, allowed: set[BookingStatus], after: str, expected_version: int | None
) -> BookingDetails:
    _requested(state, command)
    require_version(f"booking {command.booking_id}", state.version, expected_version)
    return require_at_rest(state, command.booking_id, allowed, after)


def _requested(state: BookingState, command: BookingCommand) -> BookingDetails:
    if state.details is None:
        raise _unknown(command.booking_id)
    return state.details


def _unknown(booking_id: UUID) -> NotFound:
    return NotFound(f"there is no booking {booking_id}")


def _charge(details: BookingDetails, now: dt.datetime) -> Money:
    by_policy = details.total.percent(percent_charged(details.cancellation, details.check_in_at, now))
    return by_policy if by_policy.minor <= details.due_now.minor else details.due_now


def check_terms(problems: Problems, command: TermsCommand) -> None:
    """Note every field of what is wanted that is wrong."""
    stay = command.stay
    problems.require(
        stay.check_in >= command.today, "check_in", f"must not be before {command.today}, today at the hotel"
    )
    problems.require(
        (stay.check_in - command.today).days <= MAX_DAYS_AHEAD, "check_in", f"must be within {MAX_DAYS_AHEAD} days"
    )
    problems.require(
        command.check_in_at.tzinfo is not None and abs((command.check_in_at.date() - stay.check_in).days) <= 1,
        "check_in_at",
        "must be an instant of the check-in date",
    )
    problems.between("rooms", command.rooms, 1, MAX_ROOMS)
    problems.between("adults", command.adults, 0, MAX_GUESTS)
    # Children may have a room of their own beside their parents' (there are such rows in real data).
    problems.require(command.adults + command.children > 0, "adults", "must be at least 1 if there are no children")
    problems.between("children", command.children, 0, MAX_GUESTS)
    problems.require(
        tuple(night.date for night in command.nightly) == stay.nights,
        "nightly",
        "must price each night of the stay once",
    )
    problems.require(
        all(0 <= night.amount_minor <= MAX_NIGHT_MINOR for night in command.nightly),
        "nightly",
        "must have amounts of 0 or more",
    )
    problems.require(command.currency in CURRENCIES, "currency", "must be an ISO 4217 code")


def check_means(problems: Problems, command: TermsCommand) -> None:
    """Note what is wrong with the means of payment."""
    problems.text("payment.provider", command.payment_provider, 50)
    problems.text("payment.token", command.payment_token, 255)
