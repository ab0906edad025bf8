"""What may be done with the rooms of a room type. Pure: the state and a command in, events out; a refusal is raised.

No night ever has more rooms held and sold than it has on offer. Commands of sagas are answered by events, also when
the answer is no; asked again about a hold that was answered, nothing happens.
"""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from domain.inventory.commands import (
    ConfirmHold,
    ExpireHold,
    HoldRooms,
    OpenRoomType,
    ReleaseHold,
    SetAllotment,
    SetRestrictions,
)
from domain.inventory.events import (
    AllotmentSet,
    ConfirmationRefusalReason,
    HoldConfirmationRefused,
    HoldConfirmed,
    HoldExpired,
    HoldRefused,
    HoldReleased,
    HoldWithdrawn,
    NightLeft,
    RefusalReason,
    Restrictions,
    RestrictionsSet,
    RoomsHeld,
    RoomTypeOpened,
)
from domain.inventory.state import Hold, HoldEnd, InventoryState, Nights
from domain.shared.errors import AlreadyExists, DomainError, Forbidden, InvalidCommand, NotFound, require_version
from domain.shared.messages import Event
from domain.shared.nights import nights_between
from domain.shared.stay import MAX_NIGHTS, Stay
from domain.shared.validation import Problems

MAX_ROOMS = 10_000
_NIGHTS_NAMED_IN_ERRORS = 10
_NO_CONFIRMATION: dict[HoldEnd | None, ConfirmationRefusalReason] = {
    "expired": "expired",
    "released": "released",
    "withdrawn": "released",
    "refused": "refused",
    None: "unknown",
}


class AllotmentBelowSold(DomainError):
    """More rooms are held or sold on some night than would be on offer."""

    problem = "allotment-below-sold"


def decide_open(state: InventoryState, command: OpenRoomType) -> list[Event]:
    """Start to sell; a repetition changes nothing. Raises AlreadyExists if it is another hotel's, InvalidCommand."""
    if state.hotel_id is not None:
        if state.hotel_id != command.hotel_id:
            raise AlreadyExists(f"room type {command.room_type_id} belongs to another hotel")
        return []
    _check_rooms(command.default_allotment)
    return [
        RoomTypeOpened(
            hotel_id=command.hotel_id,
            room_type_id=command.room_type_id,
            default_allotment=command.default_allotment,
            owner_id=command.owner_id,
        )
    ]


def decide_set_allotment(state: InventoryState, command: SetAllotment) -> list[Event]:
    """Offer another number of rooms; nothing happens if it is the same one.

    Raises NotFound, Forbidden, VersionMismatch, InvalidCommand, AllotmentBelowSold.
    """
    _owned(state, command)
    require_version(f"room type {command.room_type_id}", state.version, command.expected_version)
    _check_rooms(command.rooms)
    nights = nights_between(command.first_night, command.last_night)
    short = [night for night in nights if state.taken_on(night).rooms > command.rooms]
    if short:
        raise AllotmentBelowSold(
            f"{len(short)} nights have more than {command.rooms} rooms held or sold, "
            f"{short[0]} has {state.taken_on(short[0]).rooms}",
            errors=tuple(
                ("rooms", f"must be at least {state.taken_on(night).rooms} on {night}")
                for night in short[:_NIGHTS_NAMED_IN_ERRORS]
            ),
        )
    if all(state.allotment(night) == command.rooms for night in nights):
        return []
    return [
        AllotmentSet(
            hotel_id=command.hotel_id,
            room_type_id=command.room_type_id,
            nights=tuple(
                NightLeft(
                    date=night,
                    rooms_left=command.rooms - state.taken_on(night).rooms,
                    allotment=command.rooms,
                    closed=state.restrictions_on(night).closed,
                )
                for night in nights
            ),
        )
    ]


def decide_set_restrictions(state: InventoryState, command: SetRestrictions) -> list[Event]:
    """Forbid or allow; what is held or sold stays so. Raises NotFound, Forbidden, VersionMismatch, InvalidCommand."""
    _owned(state, command)
    require_version(f"room type {command.room_type_id}", state.version, command.expected_version)
    rules = command.restrictions
    _check_restrictions(rules)
    nights = nights_between(command.first_night, command.last_night)
    if all(state.restrictions_on(night) == rules for night in nights):
        return []
    return [
        RestrictionsSet(
            hotel_id=command.hotel_id,
            room_type_id=command.room_type_id,
            restrictions=rules,
            nights=tuple(state.night(night).model_copy(update={"closed": rules.closed}) for night in nights),
        )
    ]


def decide_hold(state: InventoryState, command: HoldRooms) -> list[Event]:
    """Keep rooms: all of them on every night, or none. Raises InvalidCommand for less than one room.

    A room type that is not for sale (not opened, or another hotel's) is sold out. What the booking has already, and
    gives up for this, is not in the way: neither its rooms, nor the rules of the nights that it keeps.
    """
    end = state.ended.get(command.hold_id)
    if command.hold_id in state.held or command.hold_id in state.sold or end not in {None, "withdrawn"}:
        return []
    if command.rooms < 1:
        raise InvalidCommand("a hold is for at least one room", errors=(("rooms", "must be at least 1"),))
    if end == "withdrawn":
        return [_refusal(command, "withdrawn")]
    replaced = _replaced(state, command)
    replaces = None if replaced is None else command.replaces
    wanted = state.taken_by(
        Hold(command.booking_id, command.stay.check_in, command.stay.check_out, command.rooms, replaces)
    )
    for_sale = state.hotel_id == command.hotel_id
    sold_out = tuple(
        night for night, rooms in wanted.items() if not for_sale or (rooms and state.rooms_left(night) < rooms)
    )
    restricted = _restricted_nights(state, command.stay, replaced) if for_sale else ()
    if sold_out or restricted:
        reason: RefusalReason = "restricted" if restricted else "sold_out"
        return [_refusal(command, reason, sold_out, restricted)]
    return [
        RoomsHeld(
            hotel_id=command.hotel_id,
            room_type_id=command.room_type_id,
            hold_id=command.hold_id,
            booking_id=command.booking_id,
            stay=command.stay,
            rooms=command.rooms,
            expires_at=command.expires_at,
            nights=_nights_after(state, {night: -rooms for night, rooms in wanted.items()}),
            replaces=replaces,
        )
    ]


def decide_confirm(state: InventoryState, command: ConfirmHold) -> list[Event]:
    """Sell what is held, as long as it is held, however late; otherwise say once that it is gone.

    What it replaces is given back with the same stroke, so that a booking has the one or the other at any time.
    """
    identity = _identity(command)
    hold = state.held.get(command.hold_id)
    if hold is not None:
        replaced = None if hold.replaces is None else state.sold.get(hold.replaces)
        if hold.replaces is None or replaced is None:
            return [HoldConfirmed(**identity)]
        gone = ReleaseHold(**{**identity, "hold_id": hold.replaces}, reason="modification", replaced_by=command.hold_id)
        return [_released(state, gone, replaced, sold=True), HoldConfirmed(**identity)]
    if command.hold_id in state.sold or command.hold_id in state.unconfirmed:
        return []
    return [HoldConfirmationRefused(**identity, reason=_NO_CONFIRMATION[state.ended.get(command.hold_id)])]


def decide_release(state: InventoryState, command: ReleaseHold) -> list[Event]:
    """Free what is held or sold. A hold that has not come yet is withdrawn; one that has ended stays as it ended."""
    if command.hold_id in state.ended:
        return []
    sold = command.hold_id in state.sold
    hold = state.sold.get(command.hold_id) or state.held.get(command.hold_id)
    if hold is None:
        return [HoldWithdrawn(**_identity(command), reason=command.reason)]
    return [_released(state, command, hold, sold=sold)]


def decide_expire(state: InventoryState, command: ExpireHold) -> list[Event]:
    """Free what is still held; nothing happens to what was sold or has ended."""
    hold: Hold | None = state.held.get(command.hold_id)
    if hold is None:
        return []
    return [
        HoldExpired(
            hotel_id=command.hotel_id,
            room_type_id=command.room_type_id,
            hold_id=command.hold_id,
            booking_id=hold.booking_id,
            stay=hold.stay,
            rooms=hold.rooms,
            nights=_nights_after(state, state.taken_by(hold)),
        )
    ]


def _replaced(state: InventoryState, command: HoldRooms) -> Hold | None:
    """What the booking has bought and gives up for this; only one hold may stand to take its place."""
    if command.replaces is None or state.replacement_of(command.replaces) is not None:
        return None
    sold = state.sold.get(command.replaces)
    return sold if sold is not None and sold.booking_id == command.booking_id else None


def _released(state: InventoryState, command: ReleaseHold, hold: Hold, *, sold: bool) -> HoldReleased:
    freed = state.taken_by(hold)
    following = state.replacement_of(command.hold_id)
    if following is not None:  # what is held in its place takes some of the rooms
        freed |= {
            night: rooms - min(rooms, following.rooms)
            for night, rooms in freed.items()
            if night in following.stay.nights
        }
    return HoldReleased(
        **_identity(command),
        stay=hold.stay,
        rooms=hold.rooms,
        nights=_nights_after(state, freed),
        after_confirmation=sold,
        reason=command.reason,
        replaced_by=command.replaced_by,
    )


def _owned(state: InventoryState, command: SetAllotment | SetRestrictions) -> None:
    if state.hotel_id is None or state.hotel_id != command.hotel_id:
        raise NotFound(f"hotel {command.hotel_id} has no room type {command.room_type_id}")
    if command.asked_by not in {None, state.owner_id}:
        raise Forbidden("this room type belongs to another hotelier")


def _check_rooms(rooms: int) -> None:
    problems = Problems()
    problems.between("rooms", rooms, 0, MAX_ROOMS)
    problems.refuse()


def _check_restrictions(rules: Restrictions) -> None:
    problems = Problems()
    shortest, longest = rules.min_nights or 1, rules.max_nights or MAX_NIGHTS
    for field, nights in (("min_nights", rules.min_nights), ("max_nights", rules.max_nights)):
        if nights is not None:
            problems.between(field, nights, 1, MAX_NIGHTS)
    problems.require(shortest <= longest, "max_nights", "must not be less than min_nights")
    problems.refuse()


def _restricted_nights(state: InventoryState, stay: Stay, had: Hold | None) -> tuple[dt.date, ...]:
    """The nights on which a rule forbids the stay; what the booking ``had`` already is not judged again."""
    nights = stay.nights
    kept = frozenset[dt.date]() if had is None else frozenset(had.stay.nights)
    restricted = {night for night in nights if night not in kept and state.restrictions_on(night).closed}
    arrival, departure = state.restrictions_on(stay.check_in), state.restrictions_on(stay.check_out)
    arrives_anew = had is None or had.check_in != stay.check_in
    changes_length = had is None or len(kept) != len(nights)
    too_short = arrival.min_nights is not None and len(nights) < arrival.min_nights
    too_long = arrival.max_nights is not None and len(nights) > arrival.max_nights
    if (arrives_anew and arrival.closed_to_arrival) or ((arrives_anew or changes_length) and (too_short or too_long)):
        restricted.add(stay.check_in)
    if (had is None or had.check_out != stay.check_out) and departure.closed_to_departure:
        restricted.add(stay.check_out)
    return tuple(sorted(restricted))


def _refusal(
    command: HoldRooms,
    reason: RefusalReason,
    sold_out: tuple[dt.date, ...] = (),
    restricted: tuple[dt.date, ...] = (),
) -> HoldRefused:
    return HoldRefused(
        hotel_id=command.hotel_id,
        room_type_id=command.room_type_id,
        hold_id=command.hold_id,
        booking_id=command.booking_id,
        stay=command.stay,
        rooms=command.rooms,
        reason=reason,
        sold_out_nights=sold_out,
        restricted_nights=restricted,
    )


def _nights_after(state: InventoryState, freed: Nights) -> tuple[NightLeft, ...]:
    """The nights with so many rooms more (less, if negative) than now."""
    return tuple(
        NightLeft(
            date=night,
            rooms_left=state.rooms_left(night) + rooms,
            allotment=state.allotment(night),
            closed=state.restrictions_on(night).closed,
        )
        for night, rooms in freed.items()
    )


def _identity(command: ConfirmHold | ReleaseHold) -> dict[str, UUID]:
    return {
        "hotel_id": command.hotel_id,
        "room_type_id": command.room_type_id,
        "hold_id": command.hold_id,
        "booking_id": command.booking_id,
    }
