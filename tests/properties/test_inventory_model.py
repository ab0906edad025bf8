"""Whatever is asked of a room type, in any order: no night is sold twice, and the books agree with a plain model."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

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

holds = st.integers(1, 12).map(lambda number: UUID(int=number))
starts = st.integers(0, 5)
lengths = st.integers(1, 3)
rooms = st.integers(1, 3)


class Inventory(RuleBasedStateMachine):
    """The aggregate beside a model that only knows which hold takes how many rooms on which nights."""

    def __init__(self) -> None:
        super().__init__()
        self.state = InventoryState()
        self.events: list[Event] = []
        self.allotment: dict[dt.date, int] = {}
        self.live: dict[UUID, tuple[Stay, int]] = {}
        self.sold: set[UUID] = set()
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
        stay = Stay(check_in=NIGHTS[start], check_out=NIGHTS[start] + dt.timedelta(days=length))
        command = HoldRooms(**IDS, hold_id=hold, booking_id=hold, stay=stay, rooms=wanted, expires_at=EXPIRES)
        free = all(self.taken(night) + wanted <= self.allotment[night] for night in stay.nights)
        events = self.decide(lambda state: decide_hold(state, command))
        if hold in self.withdrawn:
            assert [event.reason for event in events if isinstance(event, HoldRefused)] == ["withdrawn"]
            self.withdrawn.discard(hold)
        elif hold in self.answered:
            assert events == []
        else:
            assert isinstance(events[0], RoomsHeld if free else HoldRefused)
            if free:
                self.live[hold] = (stay, wanted)
        self.answered.add(hold)

    @rule(hold=holds)
    def confirm(self, hold: UUID) -> None:
        events = self.decide(lambda state: decide_confirm(state, ConfirmHold(**IDS, hold_id=hold, booking_id=hold)))
        confirmed = any(isinstance(event, HoldConfirmed) for event in events)
        assert confirmed == (hold in self.live and hold not in self.sold)
        if confirmed:
            self.sold.add(hold)

    @rule(hold=holds)
    def release(self, hold: UUID) -> None:
        command = ReleaseHold(**IDS, hold_id=hold, booking_id=hold, reason="given up")
        events = self.decide(lambda state: decide_release(state, command))
        assert any(isinstance(event, HoldReleased) for event in events) == (hold in self.live)
        if hold not in self.answered and hold not in self.withdrawn:
            assert isinstance(events[0], HoldWithdrawn)
            self.withdrawn.add(hold)
        self.live.pop(hold, None)
        self.sold.discard(hold)

    @rule(hold=holds)
    def expire(self, hold: UUID) -> None:
        events = self.decide(lambda state: decide_expire(state, ExpireHold(**IDS, hold_id=hold)))
        expired = any(isinstance(event, HoldExpired) for event in events)
        assert expired == (hold in self.live and hold not in self.sold)
        if expired:
            del self.live[hold]

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

    def taken(self, night: dt.date) -> int:
        return sum(rooms for stay, rooms in self.live.values() if night in stay.nights)

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
