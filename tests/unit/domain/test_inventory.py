"""What may be done with the rooms of a room type."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any
from uuid import UUID, uuid4, uuid5

import pytest

from domain.inventory.commands import (
    ConfirmHold,
    ExpireHold,
    HoldRooms,
    OpenRoomType,
    ReleaseHold,
    SetAllotment,
    SetRestrictions,
)
from domain.inventory.decide import (
    AllotmentBelowSold,
    decide_confirm,
    decide_expire,
    decide_hold,
    decide_open,
    decide_release,
    decide_set_allotment,
    decide_set_restrictions,
)
from domain.inventory.events import (
    AllotmentSet,
    HoldConfirmationRefused,
    HoldConfirmed,
    HoldExpired,
    HoldRefused,
    HoldReleased,
    HoldWithdrawn,
    NightLeft,
    Restrictions,
    RestrictionsSet,
    RoomsHeld,
    RoomTypeOpened,
)
from domain.inventory.state import INVENTORY, InventoryState, Taken
from domain.shared.errors import AlreadyExists, Forbidden, InvalidCommand, NotFound
from domain.shared.messages import Event
from domain.shared.stay import Stay
from tests.unit.spec import History, Outcome, given

HOTEL_ID, ROOM_TYPE_ID, OWNER = UUID(int=1), UUID(int=2), UUID(int=3)
IDS: dict[str, Any] = {"hotel_id": HOTEL_ID, "room_type_id": ROOM_TYPE_ID}
FIRST = dt.date(2026, 7, 1)
SECOND, THIRD = FIRST + dt.timedelta(days=1), FIRST + dt.timedelta(days=2)
STAY = Stay(check_in=FIRST, check_out=THIRD)
EXPIRES = dt.datetime(2026, 6, 1, 12, 15, tzinfo=dt.UTC)
BOOKING = UUID(int=7)
HOLD = uuid5(BOOKING, "hold")
HELD_BY: dict[str, Any] = {**IDS, "hold_id": HOLD, "booking_id": BOOKING}
OPENED = RoomTypeOpened(**IDS, default_allotment=2, owner_id=OWNER)


def nights(left: int, *, allotment: int = 2, closed: bool = False, of: Stay = STAY) -> tuple[NightLeft, ...]:
    return tuple(NightLeft(date=night, rooms_left=left, allotment=allotment, closed=closed) for night in of.nights)


def held(rooms: int = 1, left: int = 1) -> RoomsHeld:
    return RoomsHeld(**HELD_BY, stay=STAY, rooms=rooms, expires_at=EXPIRES, nights=nights(left))


CONFIRMED = HoldConfirmed(**HELD_BY)
RELEASED = HoldReleased(
    **HELD_BY, stay=STAY, rooms=1, nights=nights(2), after_confirmation=False, reason="payment failed"
)
SOLD_AND_RELEASED = RELEASED.model_copy(update={"after_confirmation": True})
EXPIRED = HoldExpired(**HELD_BY, stay=STAY, rooms=1, nights=nights(2))
WITHDRAWN = HoldWithdrawn(**HELD_BY, reason="gave up")
REFUSED = HoldRefused(**HELD_BY, stay=STAY, rooms=1, reason="sold_out", sold_out_nights=STAY.nights)


def holding(**changes: Any) -> Any:
    return partial(
        _swapped(decide_hold),
        HoldRooms(**{**HELD_BY, "stay": STAY, "rooms": 1, "expires_at": EXPIRES, **changes}),
    )


def _swapped(decide: Any) -> Any:
    return lambda command, state: decide(state, command)


confirming = partial(_swapped(decide_confirm), ConfirmHold(**HELD_BY))
releasing = partial(_swapped(decide_release), ReleaseHold(**HELD_BY, reason="payment failed"))
expiring = partial(_swapped(decide_expire), ExpireHold(**IDS, hold_id=HOLD))


def setting_allotment(rooms: int, first: dt.date = FIRST, last: dt.date = SECOND, **more: Any) -> Any:
    return partial(
        _swapped(decide_set_allotment),
        SetAllotment(**{**IDS, "first_night": first, "last_night": last, "rooms": rooms, **more}),
    )


def restricting(first: dt.date = FIRST, last: dt.date = FIRST, asked_by: UUID | None = None, **rules: Any) -> Any:
    command = SetRestrictions(
        **IDS, first_night=first, last_night=last, restrictions=Restrictions(**rules), asked_by=asked_by
    )
    return partial(_swapped(decide_set_restrictions), command)


class TestOpening:
    def test_a_room_type_is_opened_with_its_default_allotment(self) -> None:
        opening = OpenRoomType(**IDS, owner_id=OWNER, default_allotment=2)
        given(INVENTORY).when(lambda state: decide_open(state, opening)).then(OPENED)

    def test_opening_again_changes_nothing(self) -> None:
        again = OpenRoomType(**IDS, owner_id=OWNER, default_allotment=5)
        given(INVENTORY, OPENED).when(lambda state: decide_open(state, again)).then_nothing()

    def test_another_hotel_cannot_take_it(self) -> None:
        theirs = OpenRoomType(hotel_id=uuid4(), room_type_id=ROOM_TYPE_ID, owner_id=OWNER, default_allotment=5)
        given(INVENTORY, OPENED).when(lambda state: decide_open(state, theirs)).then_refused(AlreadyExists)

    @pytest.mark.parametrize("rooms", [-1, 10_001])
    def test_the_number_of_rooms_is_bounded(self, rooms: int) -> None:
        opening = OpenRoomType(**IDS, owner_id=OWNER, default_allotment=rooms)
        given(INVENTORY).when(lambda state: decide_open(state, opening)).then_refused(InvalidCommand, "rooms")

    def test_it_can_be_opened_after_a_hold_came_too_early(self) -> None:
        opening = OpenRoomType(**IDS, owner_id=OWNER, default_allotment=2)
        given(INVENTORY, REFUSED).when(lambda state: decide_open(state, opening)).then(OPENED)


class TestHolding:
    def test_rooms_are_held_on_every_night_of_the_stay(self) -> None:
        given(INVENTORY, OPENED).when(holding()).then(held())

    def test_the_last_rooms_can_be_held(self) -> None:
        given(INVENTORY, OPENED).when(holding(rooms=2)).then(held(rooms=2, left=0))

    def test_too_few_rooms_are_refused_and_the_refusal_is_on_record(self) -> None:
        given(INVENTORY, OPENED).when(holding(rooms=3)).then(REFUSED.model_copy(update={"rooms": 3}))

    def test_one_full_night_refuses_the_whole_stay_and_is_named(self) -> None:
        other = held(rooms=2, left=0).model_copy(
            update={"hold_id": uuid4(), "stay": Stay(check_in=SECOND, check_out=THIRD)}
        )
        given(INVENTORY, OPENED, other).when(holding()).then(REFUSED.model_copy(update={"sold_out_nights": (SECOND,)}))

    def test_sold_rooms_are_not_free(self) -> None:
        history = given(INVENTORY, OPENED, held(rooms=2, left=0), CONFIRMED)
        outcome = history.when(holding(hold_id=uuid4()))
        assert isinstance(outcome.then_events()[0], HoldRefused)

    @pytest.mark.parametrize(
        "history",
        [
            [held()],
            [held(), CONFIRMED],
            [held(), RELEASED],
            [held(), CONFIRMED, SOLD_AND_RELEASED],
            [held(), EXPIRED],
            [REFUSED],
        ],
    )
    def test_a_hold_that_was_answered_is_not_answered_again(self, history: list[Event]) -> None:
        given(INVENTORY, OPENED, *history).when(holding()).then_nothing()

    def test_a_room_type_that_is_not_open_is_sold_out(self) -> None:
        given(INVENTORY).when(holding()).then(REFUSED)

    def test_a_room_type_of_another_hotel_is_sold_out(self) -> None:
        other = uuid4()
        given(INVENTORY, OPENED).when(holding(hotel_id=other)).then(REFUSED.model_copy(update={"hotel_id": other}))

    @pytest.mark.parametrize("rooms", [0, -1])
    def test_a_hold_is_for_at_least_one_room(self, rooms: int) -> None:
        given(INVENTORY, OPENED).when(holding(rooms=rooms)).then_refused(InvalidCommand, "rooms")


class TestConfirming:
    def test_what_is_held_is_sold(self) -> None:
        given(INVENTORY, OPENED, held()).when(confirming).then(CONFIRMED)

    def test_it_is_sold_once(self) -> None:
        given(INVENTORY, OPENED, held(), CONFIRMED).when(confirming).then_nothing()

    @pytest.mark.parametrize(
        ("history", "reason"),
        [
            ([held(), EXPIRED], "expired"),
            ([held(), RELEASED], "released"),
            ([held(), CONFIRMED, SOLD_AND_RELEASED], "released"),
            ([WITHDRAWN], "released"),
            ([REFUSED], "refused"),
            ([], "unknown"),
        ],
    )
    def test_what_is_not_held_is_refused_once_with_the_reason(self, history: list[Event], reason: Any) -> None:
        refusal = HoldConfirmationRefused(**HELD_BY, reason=reason)
        given(INVENTORY, OPENED, *history).when(confirming).then(refusal)
        given(INVENTORY, OPENED, *history, refusal).when(confirming).then_nothing()

    def test_a_hold_that_comes_after_its_confirmation_was_refused_can_still_be_confirmed(self) -> None:
        refusal = HoldConfirmationRefused(**HELD_BY, reason="unknown")
        given(INVENTORY, OPENED, refusal, held()).when(confirming).then(CONFIRMED)


class TestReleasing:
    def test_what_is_held_is_free_again(self) -> None:
        given(INVENTORY, OPENED, held()).when(releasing).then(RELEASED)

    def test_what_is_sold_is_free_again(self) -> None:
        given(INVENTORY, OPENED, held(), CONFIRMED).when(releasing).then(SOLD_AND_RELEASED)

    def test_the_rooms_can_be_held_by_others(self) -> None:
        history = given(INVENTORY, OPENED, held(rooms=2, left=0), RELEASED.model_copy(update={"rooms": 2}))
        history.when(holding(hold_id=(other := uuid4()), rooms=2)).then(
            held(rooms=2, left=0).model_copy(update={"hold_id": other})
        )

    @pytest.mark.parametrize(
        "history",
        [[held(), RELEASED], [held(), CONFIRMED, SOLD_AND_RELEASED], [held(), EXPIRED], [REFUSED], [WITHDRAWN]],
    )
    def test_what_has_ended_stays_as_it_ended(self, history: list[Event]) -> None:
        given(INVENTORY, OPENED, *history).when(releasing).then_nothing()

    def test_a_release_that_comes_before_its_hold_withdraws_it(self) -> None:
        given(INVENTORY, OPENED).when(releasing).then(WITHDRAWN.model_copy(update={"reason": "payment failed"}))

    def test_a_withdrawn_hold_is_not_granted_any_more(self) -> None:
        refusal = REFUSED.model_copy(update={"reason": "withdrawn", "sold_out_nights": ()})
        given(INVENTORY, OPENED, WITHDRAWN).when(holding()).then(refusal)
        given(INVENTORY, OPENED, WITHDRAWN, refusal).when(holding()).then_nothing()


class TestExpiring:
    def test_nobody_confirmed_in_time(self) -> None:
        given(INVENTORY, OPENED, held()).when(expiring).then(EXPIRED)

    @pytest.mark.parametrize("history", [[], [held(), CONFIRMED], [held(), RELEASED], [held(), EXPIRED], [REFUSED]])
    def test_a_late_timer_changes_nothing(self, history: list[Event]) -> None:
        given(INVENTORY, OPENED, *history).when(expiring).then_nothing()


class TestAllotment:
    def test_nights_get_another_number_of_rooms(self) -> None:
        given(INVENTORY, OPENED).when(setting_allotment(5)).then(AllotmentSet(**IDS, nights=nights(5, allotment=5)))

    def test_rooms_that_are_taken_are_not_left(self) -> None:
        given(INVENTORY, OPENED, held()).when(setting_allotment(5)).then(
            AllotmentSet(**IDS, nights=nights(4, allotment=5))
        )

    def test_the_same_number_changes_nothing(self) -> None:
        given(INVENTORY, OPENED).when(setting_allotment(2)).then_nothing()

    def test_it_can_go_down_to_what_is_taken(self) -> None:
        given(INVENTORY, OPENED, held()).when(setting_allotment(1)).then(
            AllotmentSet(**IDS, nights=nights(0, allotment=1))
        )

    @pytest.mark.parametrize("history", [[held()], [held(), CONFIRMED]])
    def test_it_cannot_go_below_what_is_taken(self, history: list[Event]) -> None:
        refusal = (
            given(INVENTORY, OPENED, *history).when(setting_allotment(0)).then_refused(AllotmentBelowSold, "rooms")
        )
        assert refusal.status == 409
        assert str(FIRST) in refusal.detail

    def test_only_the_owner_and_the_system_may(self) -> None:
        history = given(INVENTORY, OPENED)
        history.when(setting_allotment(3, asked_by=uuid4())).then_refused(Forbidden)
        assert history.when(setting_allotment(3, asked_by=OWNER)).then_events()

    def test_the_room_type_must_be_one_of_the_hotel(self) -> None:
        given(INVENTORY).when(setting_allotment(3)).then_refused(NotFound)
        given(INVENTORY, OPENED).when(setting_allotment(3, hotel_id=uuid4())).then_refused(NotFound)

    @pytest.mark.parametrize(
        ("first", "last", "field"),
        [
            (SECOND, FIRST, "to"),
            (FIRST, FIRST + dt.timedelta(days=750), "to"),
            (dt.date.min, dt.date.max, "from"),
            (FIRST, dt.date.max, "to"),
        ],
    )
    def test_ranges_are_bounded(self, first: dt.date, last: dt.date, field: str) -> None:
        given(INVENTORY, OPENED).when(setting_allotment(3, first, last)).then_refused(InvalidCommand, field)

    def test_750_nights_are_not_too_many(self) -> None:
        events = (
            given(INVENTORY, OPENED).when(setting_allotment(3, FIRST, FIRST + dt.timedelta(days=749))).then_events()
        )
        assert [len(event.nights) for event in events if isinstance(event, AllotmentSet)] == [750]


LONGER = Stay(check_in=FIRST, check_out=THIRD + dt.timedelta(days=1))
LATER = Stay(check_in=SECOND, check_out=THIRD + dt.timedelta(days=1))
CHANGE = UUID(int=8)


def changing(stay: Stay, rooms: int = 1, **changes: Any) -> Any:
    return holding(**{"hold_id": CHANGE, "stay": stay, "rooms": rooms, "replaces": HOLD, **changes})


changed = partial(_swapped(decide_confirm), ConfirmHold(**{**HELD_BY, "hold_id": CHANGE}))


def left_by_night(*left: int, first: dt.date = FIRST) -> tuple[NightLeft, ...]:
    return tuple(
        NightLeft(date=first + dt.timedelta(days=day), rooms_left=rooms, allotment=2) for day, rooms in enumerate(left)
    )


class TestReplacing:
    """A booking that has bought all the rooms of two nights buys others in their place."""

    SOLD = given(INVENTORY, OPENED, held(rooms=2, left=0), CONFIRMED)

    def test_nights_that_it_has_are_free_for_it(self) -> None:
        [event] = self.SOLD.when(changing(LONGER, rooms=2)).then_events()
        assert isinstance(event, RoomsHeld)
        assert (event.replaces, event.nights) == (HOLD, left_by_night(0, 0, 0))

    def test_they_are_not_free_for_others(self) -> None:
        [event] = self.SOLD.when(changing(LONGER, booking_id=uuid4())).then_events()
        assert isinstance(event, HoldRefused)
        assert event.sold_out_nights == STAY.nights

    def test_beyond_what_it_has_there_must_be_rooms(self) -> None:
        third = Stay(check_in=THIRD, check_out=LATER.check_out)
        other = holding(hold_id=uuid4(), booking_id=uuid4(), stay=third)
        [event] = self.SOLD.and_when(other).when(changing(LONGER, rooms=2)).then_events()
        assert isinstance(event, HoldRefused)
        assert event.sold_out_nights == (THIRD,)

    def test_only_one_hold_stands_to_take_its_place(self) -> None:
        [event] = self.SOLD.and_when(changing(LATER)).when(changing(STAY, hold_id=uuid4())).then_events()
        assert isinstance(event, HoldRefused)

    def test_selling_it_gives_the_other_back_with_the_same_stroke(self) -> None:
        released, confirmed = self.SOLD.and_when(changing(LATER)).when(changed).then_events()
        assert isinstance(released, HoldReleased)
        assert (released.hold_id, released.replaced_by, released.after_confirmation) == (HOLD, CHANGE, True)
        assert released.nights == left_by_night(2, 1), "the first night is free, of the second one room"
        assert confirmed == HoldConfirmed(**{**HELD_BY, "hold_id": CHANGE})

    def test_after_that_only_the_new_one_counts(self) -> None:
        state = self.SOLD.and_when(changing(LATER)).and_when(changed).state
        assert state.taken == {SECOND: Taken(0, 1), THIRD: Taken(0, 1)}
        assert set(state.sold) == {CHANGE}

    @pytest.mark.parametrize("how", ["released", "expired"])
    def test_when_it_ends_the_booking_has_what_it_had(self, how: str) -> None:
        giving_up = partial(_swapped(decide_release), ReleaseHold(**{**HELD_BY, "hold_id": CHANGE}, reason="declined"))
        running_out = partial(_swapped(decide_expire), ExpireHold(**IDS, hold_id=CHANGE))
        ending = giving_up if how == "released" else running_out
        state = self.SOLD.and_when(changing(LATER)).and_when(ending).state
        assert state.taken == self.SOLD.state.taken
        assert set(state.sold) == {HOLD}

    def test_what_it_replaces_may_end_first(self) -> None:
        history = self.SOLD.and_when(changing(LATER))
        [event] = history.when(releasing).then_events()
        assert isinstance(event, HoldReleased)
        assert event.nights == left_by_night(2, 1)
        state = history.and_when(releasing).state
        assert state.taken == {SECOND: Taken(1, 0), THIRD: Taken(1, 0)}
        history.and_when(releasing).when(changed).then(HoldConfirmed(**{**HELD_BY, "hold_id": CHANGE}))

    def test_rules_for_nights_that_it_keeps_are_not_asked_again(self) -> None:
        closed = restricting(FIRST, SECOND, closed=True, closed_to_arrival=True, min_nights=2)
        [event] = self.SOLD.and_when(closed).when(changing(LONGER)).then_events()
        assert isinstance(event, RoomsHeld)

    @pytest.mark.parametrize(
        ("night", "rules", "stay", "blamed"),
        [
            (THIRD, {"closed": True}, LONGER, THIRD),
            (FIRST, {"max_nights": 2}, LONGER, FIRST),
            (SECOND, {"closed_to_arrival": True}, LATER, SECOND),
            (LATER.check_out, {"closed_to_departure": True}, LATER, LATER.check_out),
        ],
    )
    def test_rules_for_what_is_new_are(self, night: dt.date, rules: Any, stay: Stay, blamed: dt.date) -> None:
        [event] = self.SOLD.and_when(restricting(night, night, **rules)).when(changing(stay)).then_events()
        assert isinstance(event, HoldRefused)
        assert (event.reason, event.restricted_nights) == ("restricted", (blamed,))


class TestRestrictions:
    def test_nights_are_closed_whatever_is_left(self) -> None:
        given(INVENTORY, OPENED).when(restricting(FIRST, SECOND, closed=True)).then(
            RestrictionsSet(**IDS, restrictions=Restrictions(closed=True), nights=nights(2, closed=True))
        )

    def test_the_same_restrictions_change_nothing(self) -> None:
        given(INVENTORY, OPENED).when(restricting()).then_nothing()

    def test_they_are_lifted_by_setting_none(self) -> None:
        state = given(INVENTORY, OPENED).and_when(restricting(closed=True)).and_when(restricting()).state
        assert state.restrictions == {}

    @pytest.mark.parametrize(
        ("night", "rules", "blamed"),
        [
            (FIRST, {"closed": True}, FIRST),
            (SECOND, {"closed": True}, SECOND),
            (FIRST, {"closed_to_arrival": True}, FIRST),
            (FIRST, {"min_nights": 3}, FIRST),
            (FIRST, {"max_nights": 1}, FIRST),
            (THIRD, {"closed_to_departure": True}, THIRD),
        ],
    )
    def test_a_stay_against_the_rules_is_refused(self, night: dt.date, rules: Any, blamed: dt.date) -> None:
        history = given(INVENTORY, OPENED).and_when(restricting(night, night, **rules))
        refusal = REFUSED.model_copy(
            update={"reason": "restricted", "sold_out_nights": (), "restricted_nights": (blamed,)}
        )
        history.when(holding()).then(refusal)

    @pytest.mark.parametrize(
        ("night", "rules"),
        [
            (SECOND, {"closed_to_arrival": True, "min_nights": 3}),
            (SECOND, {"max_nights": 1}),
            (SECOND, {"closed_to_departure": True}),
            (THIRD, {"closed": True, "closed_to_arrival": True, "min_nights": 9}),
            (FIRST, {"min_nights": 2, "max_nights": 2, "closed_to_departure": True}),
        ],
    )
    def test_rules_for_other_stays_do_not_matter(self, night: dt.date, rules: Any) -> None:
        history = given(INVENTORY, OPENED).and_when(restricting(night, night, **rules))
        assert isinstance(history.when(holding()).then_events()[0], RoomsHeld)

    @pytest.mark.parametrize(
        ("rules", "field"),
        [
            ({"min_nights": 0}, "min_nights"),
            ({"max_nights": 91}, "max_nights"),
            ({"min_nights": 3, "max_nights": 2}, "max_nights"),
        ],
    )
    def test_rules_that_nobody_can_keep_are_refused(self, rules: Any, field: str) -> None:
        given(INVENTORY, OPENED).when(restricting(**rules)).then_refused(InvalidCommand, field)

    def test_only_the_owner_and_the_system_may(self) -> None:
        given(INVENTORY, OPENED).when(restricting(asked_by=uuid4(), closed=True)).then_refused(Forbidden)


def test_nights_with_nothing_taken_are_not_kept() -> None:
    history: History[InventoryState] = given(INVENTORY, OPENED, held())
    assert history.state.taken == {FIRST: Taken(1, 0), SECOND: Taken(1, 0)}
    assert history.and_when(confirming).state.taken == {FIRST: Taken(0, 1), SECOND: Taken(0, 1)}
    after: Outcome[InventoryState] = history.and_when(releasing).when(expiring)
    assert after.state.taken == {}
    assert after.state.held == {}
