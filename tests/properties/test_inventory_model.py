"""Whatever is asked of a room type, in any order: no night is sold twice, and the books agree with a plain model."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain.inventory.commands import ConfirmHold, ExpireHold, HoldRooms, OpenRoomType, ReleaseHold, SetAllotment
from domain.inventory.decide import (
    AllotmentBelowSold,
    decide_confirm,
    decide_expire,
    decide_hold,
    decide_open,
    decide_release,
    decide_set_allotment,
)
from domain.inventory.events import (
    HoldConfirmed,
    HoldExpired,
    HoldRefused,
    HoldReleased,
    HoldWithdrawn,
    NightLeft,
    RoomsHeld,
)
from domain.inventory.state import INVENTORY, InventoryState
from domain.shared.messages import Event
from domain.shared.stay import Stay

IDS: dict[str, Any] = {"hotel_id": UUID(int=1), "room_type_id": UUID(int=2)}
MONDAY = dt.date(2026, 6, 1)
NIGHTS = tuple(MONDAY + dt.timedelta(days=day) for day in range(8))
EXPIRES = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)

HOLDS = tuple(UUID(int=number) for number in range(1, 17))
holds = st.sampled_from(HOLDS)
starts = st.integers(0, 5)
lengths = st.integers(1, 3)
rooms = st.integers(1, 3)


def booking_of(hold: UUID) -> UUID:
    """Two bookings have half of the holds each."""
    return UUID(int=100 + hold.int % 2)


class Inventory(RuleBasedStateMachine):
    """The aggregate beside a model that only knows which hold takes how many rooms on which nights.

    And which is to take the place of which: on a night of both the larger of the two counts, once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.state = InventoryState()
        self.events: list[Event] = []
        self.allotment: dict[dt.date, int] = {}
        self.live: dict[UUID, tuple[Stay, int]] = {}
        self.sold: set[UUID] = set()
        self.following: dict[UUID, UUID] = {}
        self.answered: set[UUID] = set()
        self.withdrawn: set[UUID] = set()

    def decide(self, decision: Callable[[InventoryState], Sequence[Event]]) -> Sequence[Event]:
        """Let a decision happen; taken again, it must change nothing, because it was answered."""
        events = decision(self.state)
        self.state = INVENTORY.fold(events, self.state)
        self.events += events
        assert decision(self.state) == []
        for event in events:
            self.told_truly(getattr(event, "nights", ()))
        return events

    def told_truly(self, nights: Sequence[NightLeft]) -> None:
        """What an event tells of its nights is how they stand after it."""
        for night in nights:
            assert night == self.state.night(night.date)

    @initialize(default=st.integers(0, 4))
    def open(self, default: int) -> None:
        self.decide(
            lambda state: decide_open(state, OpenRoomType(**IDS, owner_id=UUID(int=3), default_allotment=default))
        )
        self.allotment = dict.fromkeys(NIGHTS, default)

    @rule(hold=holds, start=starts, length=lengths, wanted=rooms)
    def hold_rooms(self, hold: UUID, start: int, length: int, wanted: int) -> None:
        self.ask(hold, start, length, wanted, None)

    @precondition(lambda self: self.sold)
    @rule(which=st.integers(0, 11), new=st.integers(0, 11), start=starts, length=lengths, wanted=rooms)
    def hold_in_place_of_what_was_sold(self, which: int, new: int, start: int, length: int, wanted: int) -> None:
        old = sorted(self.sold)[which % len(self.sold)]
        own = [hold for hold in HOLDS if booking_of(hold) == booking_of(old) and hold not in self.answered]
        self.ask(own[new % len(own)] if own else old, start, length, wanted, old)

    def ask(self, hold: UUID, start: int, length: int, wanted: int, replaces: UUID | None) -> None:
        stay = Stay(check_in=NIGHTS[start], check_out=NIGHTS[start] + dt.timedelta(days=length))
        command = HoldRooms(
            **IDS,
            hold_id=hold,
            booking_id=booking_of(hold),
            stay=stay,
            rooms=wanted,
            expires_at=EXPIRES,
            replaces=replaces,
        )
        with_it = {**self.live, hold: (stay, wanted)}, dict(self.following)
        if (
            replaces is not None
            and replaces not in self.following.values()
            and booking_of(replaces) == booking_of(hold)
        ):
            with_it[1][hold] = replaces
        free = all(taken(night, *with_it) <= self.allotment[night] for night in stay.nights)
        events = self.decide(lambda state: decide_hold(state, command))
        if hold in self.withdrawn:
            assert [event.reason for event in events if isinstance(event, HoldRefused)] == ["withdrawn"]
            self.withdrawn.discard(hold)
        elif hold in self.answered:
            assert events == []
        else:
            assert isinstance(events[0], RoomsHeld if free else HoldRefused)
            if free:
                self.live, self.following = with_it
        self.answered.add(hold)

    @rule(hold=holds)
    def confirm(self, hold: UUID) -> None:
        confirming = ConfirmHold(**IDS, hold_id=hold, booking_id=booking_of(hold))
        events = self.decide(lambda state: decide_confirm(state, confirming))
        confirmed = any(isinstance(event, HoldConfirmed) for event in events)
        assert confirmed == (hold in self.live and hold not in self.sold)
        if confirmed:
            self.sold.add(hold)
            self.forget(self.following.pop(hold, None))

    @rule(hold=holds)
    def release(self, hold: UUID) -> None:
        command = ReleaseHold(**IDS, hold_id=hold, booking_id=booking_of(hold), reason="given up")
        events = self.decide(lambda state: decide_release(state, command))
        assert any(isinstance(event, HoldReleased) for event in events) == (hold in self.live)
        if hold not in self.answered and hold not in self.withdrawn:
            assert isinstance(events[0], HoldWithdrawn)
            self.withdrawn.add(hold)
        self.forget(hold)

    @rule(hold=holds)
    def expire(self, hold: UUID) -> None:
        events = self.decide(lambda state: decide_expire(state, ExpireHold(**IDS, hold_id=hold)))
        expired = any(isinstance(event, HoldExpired) for event in events)
        assert expired == (hold in self.live and hold not in self.sold)
        if expired:
            self.forget(hold)

    @rule(start=starts, length=lengths, offered=st.integers(0, 5))
    def set_allotment(self, start: int, length: int, offered: int) -> None:
        nights = NIGHTS[start : start + length]
        command = SetAllotment(**IDS, first_night=nights[0], last_night=nights[-1], rooms=offered)
        try:
            self.decide(lambda state: decide_set_allotment(state, command))
        except AllotmentBelowSold:
            assert any(self.taken(night) > offered for night in nights)
        else:
            assert all(self.taken(night) <= offered for night in nights)
            self.allotment |= dict.fromkeys(nights, offered)

    def forget(self, hold: UUID | None) -> None:
        if hold is not None:
            self.live.pop(hold, None)
            self.sold.discard(hold)
            self.following = {new: old for new, old in self.following.items() if hold not in {new, old}}

    def taken(self, night: dt.date) -> int:
        return taken(night, self.live, self.following)

    @invariant()
    def no_night_is_oversold(self) -> None:
        for night in NIGHTS:
            assert 0 <= self.state.taken_on(night).rooms <= self.state.allotment(night)

    @invariant()
    def the_books_agree_with_the_model(self) -> None:
        for night in self.allotment:
            assert self.state.taken_on(night).rooms == self.taken(night)
            assert self.state.allotment(night) == self.allotment[night]
        assert self.state.held.keys() | self.state.sold.keys() == self.live.keys()
        assert self.state.sold.keys() == self.sold

    @invariant()
    def the_log_is_the_state(self) -> None:
        assert INVENTORY.fold(self.events) == self.state


def taken(night: dt.date, live: Mapping[UUID, tuple[Stay, int]], following: Mapping[UUID, UUID]) -> int:
    """Rooms that are not free: of two holds that follow one another, the larger."""
    rooms = {hold: rooms for hold, (stay, rooms) in live.items() if night in stay.nights}
    twice = [min(rooms[new], rooms[old]) for new, old in following.items() if new in rooms and old in rooms]
    return sum(rooms.values()) - sum(twice)


Inventory.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestInventory = Inventory.TestCase


def test_thousands_of_holds_stay_cheap_to_keep() -> None:
    """A snapshot after 2,000 finished bookings takes no more than some 60 bytes for each."""
    state = INVENTORY.fold(
        decide_open(InventoryState(), OpenRoomType(**IDS, owner_id=UUID(int=3), default_allotment=9_999))
    )
    for number in range(2_000):
        hold = UUID(int=number)
        night = MONDAY + dt.timedelta(days=number % 365)
        stay = Stay(check_in=night, check_out=night + dt.timedelta(days=2))
        held = HoldRooms(**IDS, hold_id=hold, booking_id=hold, stay=stay, rooms=1, expires_at=EXPIRES)
        state = INVENTORY.fold(decide_hold(state, held), state)
        released = ReleaseHold(**IDS, hold_id=hold, booking_id=hold, reason="cancelled")
        state = INVENTORY.fold(decide_release(state, released), state)
    assert state.taken == {}
    assert len(state.model_dump_json()) < 2_000 * 60
