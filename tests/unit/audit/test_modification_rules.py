"""What the audit makes of modifications: good ones are found good, and whatever is broken on purpose is found."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

import pytest

from domain.booking.events import BookingDetails, BookingModified, ModificationRejected, ModificationRequested, Paid
from domain.booking.state import details_of
from domain.inventory.events import HoldConfirmed, HoldReleased, NightLeft, RoomsHeld
from domain.shared.stay import Stay
from tests.unit.audit.books import BOOKING, HOLD, INVENTORY, PAYMENT, ROOM_TYPE, STAY, Logs, booking, euros

OTHER, CHANGE = UUID(int=77), UUID(int=79)


@pytest.fixture
def logs() -> Logs:
    return Logs()


def asked(before: BookingDetails, after: BookingDetails, charge: int = 0) -> ModificationRequested:
    return ModificationRequested(
        booking_id=BOOKING,
        modification_id=CHANGE,
        before=before,
        after=after,
        hold_id=HOLD,
        charge=euros(charge),
        refunds=(),
        payment_provider="sandbox",
        payment_token="tok_ok",
    )


def changed(
    logs: Logs, *, take: int = 10_000, keep_old: bool = False, left: tuple[int, ...] = (2, 2, 2), end: bool = True
) -> Logs:
    """A booking that got a third night, for 100 euros more; unless told, all is as it should be."""
    logs.book()
    longer = Stay(check_in=STAY.check_in, check_out=STAY.check_out + dt.timedelta(days=1))
    before, after = booking(BookingDetails), booking(BookingDetails, stay=longer, due_now=euros(30_000))
    change = {"hold_id": CHANGE, "booking_id": BOOKING}
    logs.happen(BOOKING, asked(before, after, 10_000))
    logs.saga("holding", saga="modification", subject_id=CHANGE, deadline=dt.timedelta(minutes=1))
    nights = tuple(
        NightLeft(date=night, rooms_left=rooms, allotment=3) for night, rooms in zip(longer.nights, left, strict=True)
    )
    expires_at = logs.now + dt.timedelta(minutes=20)
    held = {"stay": longer, "rooms": 1, "nights": nights, "expires_at": expires_at, "replaces": HOLD}
    logs.happen(ROOM_TYPE, RoomsHeld(**INVENTORY, **change, **held))
    logs.pay(take, payment=CHANGE)
    if not keep_old:
        old = {"hold_id": HOLD, "booking_id": BOOKING, "stay": STAY, "rooms": 1, "nights": nights[:2]}
        logs.happen(
            ROOM_TYPE,
            HoldReleased(**INVENTORY, **old, after_confirmation=True, reason="modification", replaced_by=CHANGE),
        )
    logs.happen(ROOM_TYPE, HoldConfirmed(**INVENTORY, **change))
    if end:
        paid = (Paid(payment_id=PAYMENT, amount=euros(20_000)), Paid(payment_id=CHANGE, amount=euros(10_000)))
        what = {"modification_id": CHANGE, "before": before, "charge": euros(10_000), "refund": euros(0), "paid": paid}
        logs.happen(BOOKING, BookingModified(**details_of(after), **what))
        logs.saga("modified", "finished", saga="modification", subject_id=CHANGE)
    return logs


def test_a_modification_that_balances(logs: Logs) -> None:
    judged = changed(logs).judged()
    assert not [each for found in judged.values() for each in found.violations]
    assert (judged["stays"].checked, judged["money"].checked, judged["sagas"].checked) == (1, 1, 2)


def test_a_modification_that_is_under_way_is_not_judged(logs: Logs) -> None:
    judged = changed(logs, end=False).judged(logs.cut(later=dt.timedelta(seconds=30)))
    assert not [each for found in judged.values() for each in found.violations]
    assert (judged["stays"].checked, judged["money"].checked) == (0, 0)


def test_a_modification_that_took_too_little(logs: Logs) -> None:
    found = changed(logs, take=9_000).judged()["money"]
    assert [each.detail for each in found.violations] == [
        f"booking {BOOKING} is confirmed: 300.00 EUR are to be kept, and 290.00 EUR is kept"
    ]
    assert [place.stream_id for place in found.violations[0].proof] == [BOOKING, PAYMENT, CHANGE]


def test_rooms_that_were_not_exchanged(logs: Logs) -> None:
    assert changed(logs, keep_old=True).wrong() == {
        "stays": [f"booking {BOOKING} has other rooms or nights than were confirmed"]
    }


def test_nights_that_are_counted_twice_in_an_exchange(logs: Logs) -> None:
    assert set(changed(logs, left=(1, 1, 2)).wrong()) == {"room_nights"}


@pytest.mark.parametrize("rejected", [False, True])
def test_a_modification_that_no_saga_has_taken_on(logs: Logs, rejected: bool) -> None:
    logs.book()
    details = booking(BookingDetails)
    logs.happen(BOOKING, asked(details, details))
    if rejected:
        logs.happen(BOOKING, booking(ModificationRejected, modification_id=CHANGE, reason="sold_out"))
        assert logs.wrong() == {}
    else:
        [detail] = logs.wrong()["sagas"]
        assert "no modification saga has taken it on" in detail


@pytest.mark.parametrize("replaces", [OTHER, HOLD])
def test_a_hold_that_replaces_what_its_booking_has_not_bought(logs: Logs, replaces: UUID) -> None:
    logs.open()
    logs.hold(2)
    nights = tuple(NightLeft(date=night, rooms_left=1, allotment=3) for night in STAY.nights)
    held = {"stay": STAY, "rooms": 1, "nights": nights, "expires_at": logs.now, "booking_id": BOOKING}
    logs.happen(ROOM_TYPE, RoomsHeld(**INVENTORY, hold_id=CHANGE, **held, replaces=replaces))
    [detail] = logs.wrong(logs.cut(later=dt.timedelta(seconds=1)))["holds"]
    assert detail == f"hold {CHANGE} replaces {replaces}, which is not the booking's"


def test_a_hold_that_is_replaced_twice(logs: Logs) -> None:
    logs.book()
    nights = tuple(NightLeft(date=night, rooms_left=2, allotment=3) for night in STAY.nights)
    held = {"stay": STAY, "rooms": 1, "expires_at": logs.now, "booking_id": BOOKING, "replaces": HOLD}
    logs.happen(ROOM_TYPE, RoomsHeld(**INVENTORY, hold_id=CHANGE, **held, nights=nights))
    logs.happen(ROOM_TYPE, RoomsHeld(**INVENTORY, hold_id=OTHER, **held, nights=nights))
    wrong = logs.wrong(logs.cut(later=dt.timedelta(seconds=1)))
    assert wrong["holds"] == [f"hold {HOLD} is to be replaced twice"]
    assert len(wrong["room_nights"]) == 2, "its rooms can be given up once only"
