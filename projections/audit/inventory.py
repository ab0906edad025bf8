"""The rooms of every night, counted anew from what was held and given back, and the holds that take them.

This knows nothing of how inventory decides: it adds up stays and rooms, and looks whether the nights ever come to more
than is on offer, and whether what events tell of their nights is what the sums say.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from commands.ports import RecordedEvent
from domain.inventory.events import (
    AllotmentSet,
    HoldConfirmed,
    HoldExpired,
    HoldReleased,
    NightLeft,
    RestrictionsSet,
    RoomsHeld,
    RoomTypeOpened,
)
from domain.shared.stay import Stay
from projections.audit.findings import GRACE, Cut, Findings, Period, Place

PROVEN_BY = 20
"""How many holds are shown as proof of one night."""


@dataclass(slots=True)
class Hold:
    """Rooms that a booking holds or, ``sold``, has bought. ``expires_at`` is in real time; ``version`` held it.

    ``replaces`` is what the booking has bought before and gives up for it.
    """

    booking_id: UUID
    stay: Stay
    rooms: int
    expires_at: dt.datetime
    at: dt.datetime
    version: int
    replaces: UUID | None = None
    sold: bool = False


@dataclass(slots=True)
class RoomType:
    """One stream: allotments with the version that set them, rooms taken per night, and live holds by id.

    ``following``: which hold is to take the place of a sold one.
    """

    default: int = 0
    opened: int = 0
    version: int = 0
    allotments: dict[dt.date, tuple[int, int]] = field(default_factory=dict)
    taken: dict[dt.date, int] = field(default_factory=dict)
    holds: dict[UUID, Hold] = field(default_factory=dict)
    following: dict[UUID, UUID] = field(default_factory=dict)
    reported: set[dt.date] = field(default_factory=set)

    def take(self, stay: Stay, rooms: int) -> None:
        """Count ``rooms`` more (less, if negative) on each night of ``stay``."""
        for night in stay.nights:
            self.taken[night] = self.taken.get(night, 0) + rooms

    def share(self, hold: Hold, old: Hold, sign: int) -> None:
        """Count once (-1) the rooms that are those of ``hold`` and of the one that it replaces; or no more so (1)."""
        for night in {*hold.stay.nights} & {*old.stay.nights}:
            self.taken[night] += sign * min(hold.rooms, old.rooms)

    def replacement_of(self, hold_id: UUID) -> Hold | None:
        """What is held in place of a sold hold."""
        following = self.holds.get(self.following.get(hold_id, hold_id))
        return following if following is not None and following.replaces == hold_id and not following.sold else None


@dataclass(frozen=True, slots=True)
class Overdue:
    """A hold that should have ended by the cut."""

    hold_id: UUID
    room_type_id: UUID
    hold: Hold
    read_up_to: int


class Inventory:
    """Counts rooms and follows holds."""

    takes = (RoomTypeOpened, AllotmentSet, RestrictionsSet, RoomsHeld, HoldConfirmed, HoldReleased, HoldExpired)

    def __init__(self, period: Period) -> None:
        self.nights = Findings("room_nights", "No night ever has more rooms held and sold than are on offer.")
        self.holds = Findings("holds", "Every hold was sold, given back, or is within its time.")
        self._period = period
        self._room_types: dict[UUID, RoomType] = {}

    def take(self, recorded: RecordedEvent) -> None:
        """Look at the next event of the log."""
        kind = self._room_types.setdefault(recorded.stream_id, RoomType())
        kind.version = recorded.version
        match recorded.event:
            case RoomTypeOpened() as opened:
                kind.default, kind.opened = opened.default_allotment, recorded.version
            case AllotmentSet() as changed:
                kind.allotments |= {night.date: (night.allotment, recorded.version) for night in changed.nights}
                self._count(kind, recorded, changed.nights)
            case RestrictionsSet() as changed:
                self._count(kind, recorded, changed.nights)
            case RoomsHeld() as held:
                self._held(kind, recorded, held)
            case HoldConfirmed() as confirmed:
                self._confirmed(kind, recorded, confirmed)
            case HoldReleased() | HoldExpired() as ended:
                self._ended(kind, recorded, ended)

    def live(self) -> Iterator[tuple[UUID, UUID, Hold]]:
        """Holds that have not ended: room type, hold id, hold."""
        for room_type_id, kind in self._room_types.items():
            for hold_id, hold in kind.holds.items():
                yield room_type_id, hold_id, hold

    def overdue(self, cut: Cut) -> Sequence[Overdue]:
        """Holds whose time was over at the cut. They may have ended since: look before judging."""
        return [
            Overdue(hold_id, room_type_id, hold, self._room_types[room_type_id].version)
            for room_type_id, hold_id, hold in self.live()
            if not hold.sold and hold.expires_at + GRACE < cut.now and self._period.has(hold.at)
        ]

    def judge_overdue(self, overdue: Overdue) -> None:
        """Nothing has ended it."""
        self.holds.violation(
            f"hold {overdue.hold_id} of booking {overdue.hold.booking_id} was to expire at"
            f" {overdue.hold.expires_at.isoformat()} and has not",
            Place("inventory", overdue.room_type_id, overdue.hold.version),
        )

    def _held(self, kind: RoomType, recorded: RecordedEvent, event: RoomsHeld) -> None:
        self.holds.checked += self._period.has(recorded.metadata.at)
        before = kind.holds.get(event.hold_id)
        if before is not None:
            self._irregular(recorded, f"hold {event.hold_id} was held twice", before.version)
        historic, at = recorded.metadata.historic, recorded.metadata.at
        expires_at = recorded.recorded_at + (event.expires_at - at) if historic else event.expires_at
        hold = Hold(event.booking_id, event.stay, event.rooms, expires_at, at, recorded.version)
        kind.take(event.stay, event.rooms)
        if event.replaces is not None:
            self._replaces(kind, recorded, event.hold_id, hold, event.replaces)
        kind.holds[event.hold_id] = hold
        self._count(kind, recorded, event.nights)

    def _replaces(self, kind: RoomType, recorded: RecordedEvent, hold_id: UUID, hold: Hold, old_id: UUID) -> None:
        """Count the rooms of both once, if the one may take the place of the other."""
        old = kind.holds.get(old_id)
        if old is None or not old.sold or old.booking_id != hold.booking_id:
            self._irregular(recorded, f"hold {hold_id} replaces {old_id}, which is not the booking's")
        elif kind.replacement_of(old_id) is not None:
            self._irregular(recorded, f"hold {old_id} is to be replaced twice")
        else:
            hold.replaces = old_id
            kind.following[old_id] = hold_id
            kind.share(hold, old, -1)

    def _confirmed(self, kind: RoomType, recorded: RecordedEvent, event: HoldConfirmed) -> None:
        hold = kind.holds.get(event.hold_id)
        if hold is None or hold.sold:
            why = "was not held" if hold is None else "had been sold before"
            self._irregular(recorded, f"hold {event.hold_id} was sold, but {why}", hold.version if hold else 0)
        else:
            hold.sold = True

    def _ended(self, kind: RoomType, recorded: RecordedEvent, event: HoldReleased | HoldExpired) -> None:
        hold = kind.holds.pop(event.hold_id, None)
        if hold is None:
            self._irregular(recorded, f"hold {event.hold_id} ended, but was not held")
            return
        if (hold.stay, hold.rooms) != (event.stay, event.rooms):
            detail = f"hold {event.hold_id} had {hold.rooms} rooms and gave back {event.rooms}, or other nights"
            self._irregular(recorded, detail, hold.version)
        if hold.sold != (isinstance(event, HoldReleased) and event.after_confirmation):
            detail = f"hold {event.hold_id} was {'sold' if hold.sold else 'held'}, but ended otherwise"
            self._irregular(recorded, detail, hold.version)
        kind.take(hold.stay, -hold.rooms)
        following = kind.replacement_of(event.hold_id)
        if following is not None:
            kind.share(following, hold, 1)
            following.replaces = None
        elif hold.replaces is not None and not hold.sold and (old := kind.holds.get(hold.replaces)) is not None:
            kind.share(hold, old, 1)
        self._count(kind, recorded, event.nights)

    def _irregular(self, recorded: RecordedEvent, detail: str, earlier: int = 0) -> None:
        if self._period.has(recorded.metadata.at):
            place = Place.of(recorded)
            self.holds.violation(detail, *((place._replace(version=earlier),) if earlier else ()), place)

    def _count(self, kind: RoomType, recorded: RecordedEvent, told: Sequence[NightLeft]) -> None:
        """Compare the nights that an event tells of with the sums."""
        judged = self._period.has(recorded.metadata.at)
        self.nights.checked += len(told) if judged else 0
        for night in told:
            allotment, set_by = kind.allotments.get(night.date, (kind.default, kind.opened))
            taken = kind.taken.get(night.date, 0)
            if taken <= allotment and (night.allotment, night.rooms_left) == (allotment, allotment - taken):
                continue
            if judged and night.date not in kind.reported:
                kind.reported.add(night.date)
                self.nights.violation(
                    f"room type {recorded.stream_id}, {night.date}: {taken} rooms held and sold of {allotment};"
                    f" the event tells {night.rooms_left} left of {night.allotment}",
                    *self._proof(kind, recorded, night.date, set_by),
                )

    def _proof(self, kind: RoomType, recorded: RecordedEvent, night: dt.date, set_by: int) -> Sequence[Place]:
        """What put the rooms on offer, the holds on that night, and the event after which it was found."""
        holds = [hold.version for hold in kind.holds.values() if night in hold.stay.nights]
        versions = sorted({*([set_by] if set_by else []), *holds[-PROVEN_BY:], recorded.version})
        return [Place(recorded.context, recorded.stream_id, version) for version in versions]
