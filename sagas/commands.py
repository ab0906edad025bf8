"""What can be asked of a saga itself. The bookings service handles it, because sagas are stored there."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from domain.shared.messages import Command


class PassDeadline(Command, name="bookings.PassDeadline"):
    """Time is up for ``step``, which should have ended by ``due_at``. Sent by the saga's timer.

    Ignored once the saga has gone on or waits until another time.
    """

    saga: str
    saga_id: UUID
    subject_id: UUID
    step: str
    due_at: dt.datetime


class RetrySaga(Command, name="bookings.RetrySaga"):
    """Tell a quarantined saga again what it failed on, or a stuck one that its time is up.

    Answers {saga_id, step, status}; the status is still quarantined if it failed again.
    """

    saga_id: UUID


class CompensateSaga(Command, name="bookings.CompensateSaga"):
    """Give back everything that a saga has taken. Answers {saga_id, step, status}."""

    saga_id: UUID
