"""Names of what belongs to a booking from the beginning. Made of the booking's own id, so that nobody has to look."""

from __future__ import annotations

from uuid import UUID, uuid5


def hold_id_of(booking_id: UUID) -> UUID:
    """The id of the hold that a booking begins with. A modification brings another, of the modification's own id."""
    return uuid5(booking_id, "hold")


def payment_id_of(booking_id: UUID) -> UUID:
    """The id of the payment that a booking begins with; what a modification charges has the modification's own id."""
    return uuid5(booking_id, "payment")
