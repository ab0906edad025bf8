"""Who is written to, about what, and how often."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any, get_args
from uuid import UUID

import pytest

from commands.accounts import Person
from commands.mailing import TOO_LATE, Mail, MailAway, Mailing, MailRefused
from commands.notices import REASONS, TOLD, UNCHANGED_BECAUSE, Notice
from commands.ports import Checkpoint, RecordedEvent
from domain.booking.events import (
    BookingCancelled,
    BookingConfirmed,
    BookingDetails,
    BookingModified,
    BookingRejected,
    GuestCheckedIn,
    ModificationRejected,
    NoShowRecorded,
    RejectionReason,
)
from tests.fakes import FakeClock
from tests.unit.projections.booking_events import BOOKING, as_details, euros, told
from tests.unit.projections.recording import recorded, run_of

ADA = Person(UUID(int=1), "Ada Guest", "ada@example.com")
SETTLED: dict[str, Any] = {"charge": euros(20_000), "refund": euros(46_000), "reason": "ill"}
CHANGE = UUID(int=20)
EVEN: dict[str, Any] = {
    "modification_id": CHANGE,
    "before": as_details(told(BookingConfirmed)),
    "charge": euros(0),
    "refund": euros(0),
    "paid": (),
}
DEARER, CHEAPER = EVEN | {"charge": euros(6_000)}, EVEN | {"refund": euros(6_000)}


class World:
    """A mail server and a delivery log; ``person`` None: the guest has been forgotten."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.sent: list[Mail] = []
        self.noted: dict[UUID, int | None] = {}
        self.failure: Exception | None = None
        self.guest: Person | None = ADA
        self.feed = Mailing(
            self, self, self.person, self.hotel, lambda booking: f"https://n.example/{booking}", self.clock
        )

    async def send(self, mail: Mail) -> None:
        if self.failure is not None:
            raise self.failure
        self.sent.append(mail)

    async def has(self, mail_id: UUID) -> bool:
        return mail_id in self.noted

    async def note(self, mail_id: UUID, at: dt.datetime, refused: int | None = None) -> None:
        assert at == self.clock.now()
        self.noted[mail_id] = refused

    async def person(self, guest_id: UUID) -> Person | None:
        assert guest_id == told(BookingConfirmed).guest_id
        return self.guest

    async def hotel(self, hotel_id: UUID) -> str:
        assert hotel_id == told(BookingConfirmed).hotel_id
        return "Hotel Alfama"

    def happened(self, event: BookingDetails, ago: dt.timedelta = dt.timedelta(0)) -> RecordedEvent:
        return recorded(event, at=self.clock.now() - ago)

    async def hear(self, *events: RecordedEvent) -> None:
        run = run_of(*events)
        await self.feed.handle(run, Checkpoint(Mailing.name, "bookings", run.position))


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    ("event", "subject", "words"),
    [
        (told(BookingConfirmed), "Your booking at Hotel Alfama is confirmed", "660.00 EUR"),
        (told(BookingRejected, reason="sold_out"), "Your booking at Hotel Alfama could not be made", "last room"),
        (told(BookingCancelled, **SETTLED), "Your booking at Hotel Alfama is cancelled", "460.00 EUR go back to you"),
        (told(BookingModified, **DEARER), "Your booking at Hotel Alfama has changed", "You have paid 60.00 EUR more"),
        (told(BookingModified, **CHEAPER), "Your booking at Hotel Alfama has changed", "60.00 EUR go back to you"),
        (told(BookingModified, **EVEN), "Your booking at Hotel Alfama has changed", "is 660.00 EUR now.\n"),
        (
            told(ModificationRejected, modification_id=CHANGE, reason="payment_declined"),
            "Your booking at Hotel Alfama could not be changed",
            "was declined. The booking stays as it was",
        ),
        (told(NoShowRecorded), "Hotel Alfama has been waiting for you", "not arrived"),
    ],
)
async def test_the_guest_is_told_what_became_of_the_booking(
    world: World, event: BookingDetails, subject: str, words: str
) -> None:
    happened = world.happened(event)
    await world.hear(happened)
    [mail] = world.sent
    assert (mail.mail_id, mail.address) == (happened.event_id, ADA.email)
    assert mail.subject == subject
    assert mail.text.startswith("Dear guest,\n\nHotel Alfama, ")
    assert ADA.name not in mail.subject + mail.text, "a stranger's words are sent to nobody"
    assert words in mail.text
    assert f"https://n.example/{BOOKING}" in mail.text


async def test_nobody_is_told_twice(world: World) -> None:
    event = world.happened(told(BookingConfirmed))
    await world.hear(event)
    await world.hear(event)
    assert len(world.sent) == 1


async def test_nobody_is_told_what_is_no_news(world: World) -> None:
    imported = world.happened(told(BookingConfirmed))
    imported = replace(imported, metadata=imported.metadata.model_copy(update={"historic": True}))
    old = world.happened(told(BookingConfirmed), TOO_LATE)
    await world.hear(imported, old, world.happened(told(GuestCheckedIn)))
    assert not world.sent
    assert not world.noted


async def test_who_has_been_forgotten_is_left_alone(world: World) -> None:
    world.guest = None
    await world.hear(world.happened(told(BookingConfirmed)))
    assert not world.sent


async def test_while_the_server_is_away_nothing_is_noted(world: World) -> None:
    event = world.happened(told(BookingConfirmed))
    world.failure = MailAway("SMTP is away")
    with pytest.raises(MailAway):
        await world.hear(event)
    assert not world.noted
    world.failure = None
    await world.hear(event)
    assert len(world.sent) == 1


async def test_a_refused_mail_is_noted_and_the_next_one_sent(world: World) -> None:
    first, second = world.happened(told(BookingConfirmed)), world.happened(told(BookingCancelled, **SETTLED))
    world.failure = MailRefused(550)
    await world.hear(first)
    world.failure = None
    await world.hear(first, second)
    assert world.noted == {first.event_id: 550, second.event_id: None}
    assert [mail.mail_id for mail in world.sent] == [second.event_id]


@pytest.mark.parametrize("reason", get_args(RejectionReason))
def test_every_reason_of_a_rejected_modification_has_words(reason: RejectionReason) -> None:
    notice = Notice("modification_rejected", "H", dt.date(2026, 7, 1), dt.date(2026, 7, 2), "1.00 EUR", reason=reason)
    assert UNCHANGED_BECAUSE[reason] in notice.text


@pytest.mark.parametrize("reason", get_args(RejectionReason))
def test_every_reason_of_a_rejection_has_words(reason: RejectionReason) -> None:
    notice = Notice("rejected", "H", dt.date(2026, 7, 1), dt.date(2026, 7, 2), "1.00 EUR", reason=reason)
    assert notice.text == f"H, Wed 01 Jul 2026 to Thu 02 Jul 2026. {REASONS[reason]}"
    assert "Nothing was charged" in notice.text


def test_all_outcomes_are_told() -> None:
    assert {event.__name__ for event in TOLD} == {
        "BookingConfirmed",
        "BookingRejected",
        "BookingModified",
        "ModificationRejected",
        "BookingCancelled",
        "NoShowRecorded",
    }
