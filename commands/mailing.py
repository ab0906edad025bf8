"""Mails to guests: a feed of the notifications service, which sends one for each outcome of a booking.

A mail is sent at least once: a process that dies between sending and noting it sends it again, under the same
Message-ID. While the mail server is away the feed waits, and is red; a mail that it does not take now is tried again
and then parked, like anything that a feed cannot handle; a recipient that it refuses for good is noted. A replay of
read models sends nothing, because no read model sends anything.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from commands.accounts import Person
from commands.notices import TOLD, notice_of
from commands.ports import Checkpoint, Clock, LogRun, Position, RecordedEvent, Temporary
from domain.booking.events import BookingDetails

TOO_LATE = dt.timedelta(days=1)
"""What is older when it is heard of is no news: a feed that begins on an old log must not write to everybody."""


class MailAway(Temporary):
    """The mail server cannot be reached, or takes nothing now."""


class MailDeferred(Exception):
    """The mail server takes mails, but not this one now: it is tried again, then parked, and others go on."""


class MailRefused(Exception):
    """The mail server refuses this mail for good, with this code (RFC 5321, section 4.2)."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the mail server answers {code}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Mail:
    """``mail_id`` is the id of the event that it tells of.

    Nothing in it was written by whoever books: addresses are not verified, and nobody is to be sent a stranger's words.
    """

    mail_id: UUID
    address: str
    subject: str
    text: str


class Mailer(Protocol):
    """A mail server."""

    async def send(self, mail: Mail) -> None:
        """Hand it over. Raises MailAway, MailDeferred, MailRefused."""
        ...


class SentMails(Protocol):
    """The delivery log: which mails have been handed over, or refused. It names nobody."""

    async def has(self, mail_id: UUID) -> bool:
        """Whether that mail is done with. Raises a Temporary error when the store is away."""
        ...

    async def note(self, mail_id: UUID, at: dt.datetime, refused: int | None = None) -> None:
        """It is; ``refused`` is the server's code if it would not take it. No error when repeated."""
        ...


class Mailing:
    """The feed. ``person`` finds who stays, ``hotel`` a hotel's name, ``page`` the address of a booking's page."""

    name = "mails"
    contexts: tuple[str, ...] = ("bookings",)
    topics: frozenset[str] | None = frozenset(event.topic for event in TOLD)
    commits_checkpoint = False

    def __init__(
        self,
        mailer: Mailer,
        sent: SentMails,
        person: Callable[[UUID], Awaitable[Person | None]],
        hotel: Callable[[UUID], Awaitable[str]],
        page: Callable[[UUID], str],
        clock: Clock,
    ) -> None:
        self._mailer = mailer
        self._sent = sent
        self._person = person
        self._hotel = hotel
        self._page = page
        self._clock = clock

    async def handle(self, run: LogRun, checkpoint: Checkpoint) -> None:  # noqa: ARG002 - the runner stores it
        """Write to whoever is to be told of something in ``run``."""
        for recorded in run.events:
            news = self._clock.now() - recorded.recorded_at < TOO_LATE and not recorded.metadata.historic
            if news and isinstance(recorded.event, BookingDetails) and type(recorded.event) in TOLD:
                await self._tell(recorded, recorded.event)

    async def resumes_at(self, checkpoint: Checkpoint) -> Position:
        """At the checkpoint: what was sent is noted."""
        return checkpoint.position

    async def _tell(self, recorded: RecordedEvent, event: BookingDetails) -> None:
        if await self._sent.has(recorded.event_id):
            return
        guest = await self._person(event.guest_id)
        if guest is None:  # who has been forgotten is left alone
            return
        notice = notice_of(event, await self._hotel(event.hotel_id))
        text = f"Dear guest,\n\n{notice.text}\n\n{self._page(event.booking_id)}\n"
        refused = None
        try:
            await self._mailer.send(Mail(recorded.event_id, guest.email, notice.subject, text))
        except MailRefused as error:
            refused = error.code
        await self._sent.note(recorded.event_id, self._clock.now(), refused)
