"""What a booking's payments keep. There is one to begin with, and one for each modification that cost more."""

from __future__ import annotations

from collections.abc import Iterable

from domain.booking.events import Paid
from domain.shared.money import Money

Ledger = tuple[Paid, ...]
"""In the order in which they were taken; each keeps something."""


def taken(ledger: Ledger, more: Paid) -> Ledger:
    """The ledger with another payment, unless that is of nothing."""
    return (*ledger, more) if more.amount.minor > 0 else ledger


def to_give_back(ledger: Ledger, amount: Money) -> Ledger:
    """Which payments give back ``amount``, or all that they keep: the newest first, whose capture is the youngest."""
    parts: list[Paid] = []
    left = amount
    for paid in reversed(ledger):
        part = paid.amount if paid.amount.minor <= left.minor else left
        if part.minor > 0:
            parts.append(Paid(payment_id=paid.payment_id, amount=part))
            left -= part
    return tuple(parts)


def given_back(ledger: Ledger, parts: Iterable[Paid]) -> Ledger:
    """The ledger after ``parts`` were given back."""
    gone = {part.payment_id: part.amount for part in parts}
    rest: Ledger = ()
    for paid in ledger:
        amount = paid.amount - gone[paid.payment_id] if paid.payment_id in gone else paid.amount
        rest = taken(rest, Paid(payment_id=paid.payment_id, amount=amount))
    return rest
