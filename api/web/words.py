"""What pages say: amounts, dates, terms and statuses in plain words."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.numbers import format_currency, get_currency_precision

from commands.notices import REASONS, UNCHANGED_BECAUSE

_LOCALE = "en_GB"
_EVERYTHING = 100

_BOARDS = {
    "room_only": "Room only",
    "breakfast": "Breakfast included",
    "half_board": "Half board",
    "full_board": "Full board",
}
_PAYMENT_POLICIES = {
    "prepaid": "Pay in full when you book",
    "deposit": "Pay a deposit when you book, the rest at the hotel",
    "at_hotel": "Pay at the hotel",
}
_STATUSES = {
    "pending": "Being booked",
    "awaiting_payment": "Waiting for your approval",
    "confirmed": "Confirmed",
    "rejected": "Not booked",
    "cancelled": "Cancelled",
    "checked_in": "Checked in",
    "checked_out": "Stay completed",
    "no_show": "Not arrived",
}
_PAYMENT_STATUSES = {
    "requested": "Being processed",
    "requires_action": "Waits for your approval",
    "authorised": "Reserved on your card",
    "declined": "Declined",
    "unknown": "Being checked with the provider",
    "captured": "Paid",
    "voided": "Reservation on your card released",
    "refunded": "Refunded",
    "partially_refunded": "Partly refunded",
}
_EVENTS = {
    "BookingRequested": "Booking requested",
    "RoomsHeld": "Room held for you",
    "HoldRefused": "No room could be held",
    "HoldConfirmed": "Room assigned to your booking",
    "HoldConfirmationRefused": "The held room was no longer available",
    "HoldExpired": "The hold on the room ended",
    "HoldReleased": "Room given back to the hotel",
    "HoldWithdrawn": "The hold was withdrawn",
    "PaymentRequested": "Payment started",
    "PaymentActionRequired": "Your bank asked you to approve the payment",
    "PaymentAuthorised": "Amount reserved on your card",
    "PaymentDeclined": "Payment declined",
    "AuthorisationOutcomeUnknown": "The provider did not answer; we ask again",
    "CaptureRequested": "Charging your card",
    "PaymentCaptured": "Payment received",
    "VoidRequested": "Releasing the reserved amount",
    "PaymentVoided": "Reserved amount released",
    "RefundRequested": "Refund started",
    "PaymentRefunded": "Refund sent",
    "BookingAwaitingPayment": "Waiting for your approval of the payment",
    "BookingConfirmed": "Booking confirmed",
    "BookingRejected": "Booking could not be made",
    "CancellationRequested": "Cancellation requested",
    "BookingCancelled": "Booking cancelled",
    "ModificationRequested": "Change of the stay requested",
    "ModificationAwaitingPayment": "Waiting for your approval of the payment",
    "BookingModified": "Stay changed",
    "ModificationRejected": "Stay could not be changed",
    "GuestCheckedIn": "Checked in",
    "GuestCheckedOut": "Checked out",
    "NoShowRecorded": "Not arrived",
}
_ARRIVAL_STEPS = {"check-in": "Check in", "no-show": "Guest has not come", "check-out": "Check out"}
Tone = Literal["good", "fair", "poor"]


@dataclass(frozen=True, slots=True)
class Term:
    """One line of a cancellation policy."""

    text: str
    tone: Tone


def money(value: Mapping[str, str]) -> str:
    """An amount in full: ``€345.00``."""
    return str(format_currency(Decimal(value["amount"]), value["currency"], locale=_LOCALE))


def short_money(value: Mapping[str, str]) -> str:
    """An amount without places if they are all zero: ``€345``."""
    amount = Decimal(value["amount"])
    text = money(value)
    places = get_currency_precision(value["currency"])
    return text.removesuffix("." + "0" * places) if places and amount == amount.to_integral_value() else text


def is_nothing(value: Mapping[str, str]) -> bool:
    """Whether an amount is zero."""
    return Decimal(value["amount"]) == 0


def day(value: str | dt.date) -> str:
    """A date with its weekday: ``Thu 12 Mar 2026``."""
    return str(format_date(_date(value), "EEE d MMM y", locale=_LOCALE))


def day_span(check_in: str, check_out: str) -> str:
    """A stay: ``12 - 14 Mar 2026`` with as little repeated as possible."""
    first, last = _date(check_in), _date(check_out)
    pattern = "d" if (first.year, first.month) == (last.year, last.month) else "d MMM"
    if first.year != last.year:
        pattern = "d MMM y"
    return f"{format_date(first, pattern, locale=_LOCALE)} \u2013 {format_date(last, 'd MMM y', locale=_LOCALE)}"


def moment(value: str | dt.datetime, time_zone: str = "UTC") -> str:
    """An instant by the clock of ``time_zone``: ``Thu 12 Mar, 15:00``."""
    return str(format_datetime(_instant(value), "EEE d MMM, HH:mm", tzinfo=ZoneInfo(time_zone), locale=_LOCALE))


def counted(number: int, one: str, many: str | None = None) -> str:
    """``1 night``, ``2 nights``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def country(code: str) -> str:
    """The name of a country; the code itself if it is not known."""
    return str(Locale.parse(_LOCALE).territories.get(code, code))


def sentence(text: str) -> str:
    """A message of the API as a sentence."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def amenity(name: str) -> str:
    """``airport_shuttle`` as ``Airport shuttle``."""
    special = {"wifi": "Wi-Fi", "gym": "Gym", "pets": "Pets welcome"}
    return special.get(name, name.replace("_", " ").capitalize())


def event_name(topic: str) -> str:
    """The name of an event without context and version: ``BookingConfirmed``."""
    return topic.rpartition(".")[2]


def is_told(topic: str) -> bool:
    """Whether an event means something to guests; the rest is how it is done."""
    return event_name(topic) in _EVENTS


def cancellation_terms(
    tiers: Sequence[Mapping[str, int]], check_in_at: dt.datetime, time_zone: str, now: dt.datetime
) -> list[Term]:
    """A policy as lines with dates on the hotel's clock; what is over already is left out."""
    terms: list[Term] = []
    for tier in sorted(tiers, key=lambda tier: -tier["hours_before"]):
        until = check_in_at - dt.timedelta(hours=tier["hours_before"])
        if until > now:
            terms.append(
                _term(tier["percent"], moment(until, time_zone), first=not terms, last=not tier["hours_before"])
            )
    return terms or [Term("The stay has begun: cancelling is no longer possible", "poor")]


def cancellation_terms_at(booking: Mapping[str, Any], time_zone: str) -> list[Term]:
    """The policy of a booking, or of a quote for one, as it is at this moment."""
    check_in_at = dt.datetime.fromisoformat(booking["stay"]["check_in_at"])
    return cancellation_terms(booking["cancellation_policy"], check_in_at, time_zone, dt.datetime.now(dt.UTC))


def _term(percent: int, until: str, *, first: bool, last: bool) -> Term:
    if percent == 0:
        return Term("Free cancellation until check-in" if last else f"Free cancellation until {until}", "good")
    if percent >= _EVERYTHING:
        return Term("Non-refundable" if first else "After that, no refund", "poor")
    share = f"{percent} % of the total is kept"
    when = "if you cancel" if last else f"if you cancel until {until}"
    return Term(f"{share} {when}" if first else f"After that, {share} {when}", "fair")


def _date(value: str | dt.date) -> dt.date:
    return dt.date.fromisoformat(value) if isinstance(value, str) else value


def _instant(value: str | dt.datetime) -> dt.datetime:
    return dt.datetime.fromisoformat(value) if isinstance(value, str) else value


def _named(names: Mapping[str, str]) -> Callable[[str], str]:
    """Look a word up; one that is new is shown as it is written, readable."""
    return lambda name: names.get(name, name.replace("_", " ").capitalize())


def _event(topic: str) -> str:
    name = event_name(topic)
    return _EVENTS.get(name, "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip())


FILTERS: Mapping[str, Callable[..., Any]] = {
    "money": money,
    "short_money": short_money,
    "is_nothing": is_nothing,
    "day": day,
    "moment": moment,
    "counted": counted,
    "country": country,
    "amenity": amenity,
    "sentence": sentence,
    "board": _named(_BOARDS),
    "payment_policy": _named(_PAYMENT_POLICIES),
    "status": _named(_STATUSES),
    "reason": _named(REASONS),
    "unchanged_because": _named(UNCHANGED_BECAUSE),
    "payment_status": _named(_PAYMENT_STATUSES),
    "arrival_step": _named(_ARRIVAL_STEPS),
    "event": _event,
    "day_span": day_span,
    "event_name": event_name,
    "is_told": is_told,
}
