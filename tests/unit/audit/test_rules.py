"""Each rule of the audit: nothing is found in good books, and whatever is broken on purpose is found."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

import pytest

from domain.booking.events import (
    BookingConfirmed,
    BookingEvent,
    CancellationRequested,
    GuestCheckedIn,
    GuestCheckedOut,
    NoShowRecorded,
)
from domain.inventory.events import AllotmentSet, HoldExpired, HoldReleased, NightLeft, RoomsHeld
from domain.payment.commands import GOODWILL
from domain.payment.events import (
    PaymentAuthorised,
    PaymentCaptured,
    PaymentRefunded,
    PaymentRequested,
    RefundRequested,
)
from projections.audit.findings import LISTED, Findings, Period, Place
from tests.unit.audit.books import (
    BOOKING,
    FIRST,
    HOLD,
    HOTEL,
    INVENTORY,
    MONEY,
    NOON,
    PAYMENT,
    REVIEW,
    ROOM_TYPE,
    STAY,
    Logs,
    booking,
    euros,
)

OTHER, CHANGE = UUID(int=77), UUID(int=79)


@pytest.fixture
def logs() -> Logs:
    return Logs()


def test_good_books_are_found_good_and_what_was_checked_is_counted(logs: Logs) -> None:
    logs.book()
    judged = logs.judged()
    assert not [each for found in judged.values() for each in found.violations]
    assert {name: found.checked for name, found in judged.items()} == {
        "room_nights": 2,
        "holds": 1,
        "stays": 1,
        "money": 1,
        "refunds": 0,
        "sagas": 1,
        "reviews": 0,
        "streams": 11,
    }


# Rooms


def test_a_night_sold_twice(logs: Logs) -> None:
    logs.open(1)
    logs.hold(0, of=1)
    logs.hold(0, hold=OTHER, booking=OTHER, of=1)
    found = logs.judged()["room_nights"]
    assert [each.detail for each in found.violations] == [
        f"room type {ROOM_TYPE}, 2026-07-0{day}: 2 rooms held and sold of 1; the event tells 0 left of 1"
        for day in (1, 2)
    ]
    assert [place.version for place in found.violations[0].proof] == [1, 2, 3], "what opened it, and both holds"


def test_what_an_event_tells_of_its_nights_is_counted_again(logs: Logs) -> None:
    logs.open()
    logs.hold(3)
    assert len(logs.wrong()["room_nights"]) == 2


def test_an_allotment_below_what_is_sold(logs: Logs) -> None:
    logs.book()
    night = NightLeft(date=FIRST, rooms_left=0, allotment=0)
    logs.happen(ROOM_TYPE, AllotmentSet(**INVENTORY, nights=(night,)))
    assert list(logs.wrong()) == ["room_nights"]


# Holds


def test_a_hold_that_nobody_ends(logs: Logs) -> None:
    logs.open()
    logs.hold(2)
    assert logs.wrong(logs.cut(later=dt.timedelta(minutes=15))) == {}, "it may be on its way"
    [detail] = logs.wrong()["holds"]
    assert f"hold {HOLD} of booking {BOOKING} was to expire at" in detail


def test_an_imported_hold_expires_in_real_time(logs: Logs) -> None:
    logs.open()
    nights = tuple(NightLeft(date=night, rooms_left=2, allotment=3) for night in STAY.nights)
    long_ago = logs.now - dt.timedelta(days=1000)
    held = RoomsHeld(
        **INVENTORY,
        hold_id=HOLD,
        booking_id=BOOKING,
        stay=STAY,
        rooms=1,
        nights=nights,
        expires_at=long_ago + dt.timedelta(minutes=15),
    )
    logs.happen(ROOM_TYPE, held, historic=True)
    assert logs.wrong(logs.cut(later=dt.timedelta(minutes=10))) == {}
    assert "holds" in logs.wrong(logs.cut(later=dt.timedelta(minutes=20)))


def test_holds_that_end_as_they_cannot(logs: Logs) -> None:
    logs.open()
    free = tuple(NightLeft(date=night, rooms_left=3, allotment=3) for night in STAY.nights)
    ended = {"stay": STAY, "rooms": 1, "nights": free, "booking_id": BOOKING}
    logs.happen(ROOM_TYPE, HoldExpired(**INVENTORY, **ended, hold_id=OTHER))
    logs.sell(hold=OTHER)
    logs.hold(2)
    logs.sell()
    logs.sell()
    logs.happen(
        ROOM_TYPE, HoldReleased(**INVENTORY, **ended, hold_id=HOLD, after_confirmation=False, reason="cancelled")
    )
    assert logs.wrong()["holds"] == [
        f"hold {OTHER} ended, but was not held",
        f"hold {OTHER} was sold, but was not held",
        f"hold {HOLD} was sold, but had been sold before",
        f"hold {HOLD} was sold, but ended otherwise",
    ]


# Stays


def test_a_confirmed_booking_without_rooms(logs: Logs) -> None:
    logs.request()
    logs.saga("holding")
    logs.pay()
    logs.confirm()
    logs.saga("confirmed", "finished")
    assert logs.wrong() == {"stays": [f"booking {BOOKING} is confirmed, but has no rooms"]}


@pytest.mark.parametrize("kind", [GuestCheckedIn, GuestCheckedOut, NoShowRecorded])
def test_a_stay_that_has_begun_keeps_its_rooms_and_its_money(kind: type[BookingEvent]) -> None:
    logs = Logs()
    logs.book()
    logs.happen(BOOKING, booking(kind))
    assert logs.wrong() == {}
    without = Logs()
    without.request()
    without.saga("holding")
    without.confirm()
    without.saga("confirmed", "finished")
    without.happen(BOOKING, booking(kind))
    assert set(without.wrong()) == {"stays", "money"}


def test_a_review_of_a_stay_that_has_ended(logs: Logs) -> None:
    logs.book()
    logs.happen(BOOKING, booking(GuestCheckedIn), booking(GuestCheckedOut))
    logs.review()
    assert logs.wrong() == {}
    assert logs.judged()["reviews"].checked == 1
    logs.review(OTHER)
    assert logs.wrong() == {"reviews": [f"booking {BOOKING} was reviewed twice"]}


def test_a_second_review_is_told_of_though_the_first_is_older_than_the_period() -> None:
    logs = Logs(Period(first=NOON + dt.timedelta(days=1)))
    logs.review()
    logs.now += dt.timedelta(days=2)
    logs.review(OTHER)
    assert logs.wrong() == {"reviews": [f"booking {BOOKING} was reviewed twice"]}
    assert logs.judged()["reviews"].checked == 1


@pytest.mark.parametrize("kinds", [(), (GuestCheckedIn,), (NoShowRecorded,)])
def test_a_review_without_a_stay(logs: Logs, kinds: tuple[type[BookingEvent], ...]) -> None:
    logs.book()
    logs.happen(BOOKING, *(booking(kind) for kind in kinds))
    logs.review()
    logs.review(UUID(int=78), OTHER)
    found = logs.judged()["reviews"]
    assert [each.detail for each in found.violations] == [
        f"booking {each} was reviewed without a stay that has ended" for each in (BOOKING, OTHER)
    ]
    assert found.violations[0].proof == (Place("reviews", REVIEW, 1), Place("bookings", BOOKING))


def test_rooms_of_nobody_and_of_a_rejected_booking(logs: Logs) -> None:
    logs.open()
    logs.hold(2)
    logs.sell()
    logs.hold(1, hold=OTHER, booking=OTHER)
    logs.sell(OTHER, OTHER)
    logs.request()
    logs.reject()
    logs.saga("rejected", "finished")
    assert logs.wrong()["stays"] == [
        f"booking {BOOKING} is rejected, but has 1 rooms",
        f"1 rooms were sold to booking {OTHER}, which is not on record",
    ]


def test_rooms_other_than_those_that_were_confirmed(logs: Logs) -> None:
    logs.open()
    logs.request(rooms=2)
    logs.hold(2)
    logs.sell()
    logs.pay()
    logs.confirm()
    logs.saga("confirmed", "finished")
    assert logs.wrong() == {"stays": [f"booking {BOOKING} has other rooms or nights than were confirmed"]}


# Money


def test_less_captured_than_the_stay_owes(logs: Logs) -> None:
    logs.open()
    logs.request()
    logs.hold(2)
    logs.sell()
    logs.pay(19_900)
    logs.confirm()
    logs.saga("confirmed", "finished")
    found = logs.judged()["money"]
    assert [each.detail for each in found.violations] == [
        f"booking {BOOKING} is confirmed: 200.00 EUR are to be kept, and 199.00 EUR is kept"
    ]
    assert [(place.context, place.stream_id) for place in found.violations[0].proof] == [
        ("bookings", BOOKING),
        ("payments", PAYMENT),
    ]


def test_money_of_bookings_that_do_not_exist_or_came_to_nothing(logs: Logs) -> None:
    logs.pay()
    assert logs.wrong()["money"] == [
        f"payment {PAYMENT} keeps 200.00 EUR for booking {BOOKING}, which is not on record"
    ]
    logs.request()
    logs.reject()
    logs.saga("rejected", "finished")
    assert f"booking {BOOKING} is rejected: 0.00 EUR are to be kept, and 200.00 EUR is kept" in logs.wrong()["money"]


def test_a_capture_while_the_saga_stands_still(logs: Logs) -> None:
    logs.request()
    logs.saga("releasing", deadline=dt.timedelta(seconds=30))
    logs.pay()
    assert logs.wrong(logs.cut(later=dt.timedelta())) == {}, "still on its way"
    logs.saga("releasing", "quarantined", note="UnplannedHappening")
    judged = logs.judged()
    assert "is pending and whose saga is quarantined" in judged["money"].violations[0].detail
    assert judged["sagas"].violations == []
    assert "UnplannedHappening" in judged["sagas"].noted[0].detail


def test_captures_that_nobody_asked_for(logs: Logs) -> None:
    logs.book()
    logs.happen(PAYMENT, PaymentCaptured(**MONEY, amount=euros(20_000)))
    logs.happen(OTHER, PaymentCaptured(payment_id=OTHER, booking_id=BOOKING, amount=euros(100)))
    wrong = logs.wrong()["money"]
    assert f"payment {PAYMENT}: 200.00 were captured after 200.00 had been" in wrong
    assert f"payment {OTHER}: 1.00 were captured, which nobody had asked for" in wrong
    assert f"payment {OTHER} keeps 1.00 EUR for booking {BOOKING}, which is paid by {PAYMENT}" in wrong


def test_an_authorisation_that_is_never_given_back(logs: Logs) -> None:
    logs.request()
    logs.happen(
        PAYMENT,
        PaymentRequested(**MONEY, amount=euros(20_000), provider="sandbox", token="tok_ok"),
        PaymentAuthorised(**MONEY, amount=euros(20_000), reference="r"),
    )
    logs.reject()
    logs.saga("rejected", "finished")
    assert logs.wrong(logs.cut(later=dt.timedelta(minutes=5))) == {}
    assert logs.wrong()["money"] == [f"booking {BOOKING} is rejected, and its authorisation was not given back"]


# Refunds


def cancelled(logs: Logs, *, reason: str = "cancelled", made: int = 15_000, asked: bool = True) -> Logs:
    """A booking that was cancelled for 50 euros, with a refund of the rest as it is told to be."""
    logs.book()
    logs.happen(
        BOOKING,
        CancellationRequested(
            booking_id=BOOKING,
            hotel_id=HOTEL,
            room_type_id=ROOM_TYPE,
            payment_id=PAYMENT,
            charge=euros(5_000),
            refund=euros(15_000),
            reason="ill",
        ),
    )
    logs.saga("releasing", saga="cancellation")
    free = tuple(NightLeft(date=night, rooms_left=3, allotment=3) for night in STAY.nights)
    given_back = {"stay": STAY, "rooms": 1, "nights": free, "booking_id": BOOKING, "hold_id": HOLD}
    logs.happen(ROOM_TYPE, HoldReleased(**INVENTORY, **given_back, after_confirmation=True, reason="cancelled"))
    if asked:
        logs.happen(PAYMENT, RefundRequested(**MONEY, refund_id=OTHER, amount=euros(15_000), reason=reason))
    logs.happen(PAYMENT, PaymentRefunded(**MONEY, refund_id=OTHER, amount=euros(made), reason=reason))
    logs.cancel(5_000, 15_000)
    logs.saga("cancelled", "finished", saga="cancellation")
    return logs


def test_a_cancellation_that_balances(logs: Logs) -> None:
    judged = cancelled(logs).judged()
    assert not [each for found in judged.values() for each in found.violations]
    assert (judged["refunds"].checked, judged["sagas"].checked) == (1, 2)


@pytest.mark.parametrize(
    ("broken", "rules", "detail"),
    [
        ({"reason": " "}, {"refunds"}, f"payment {PAYMENT}: refund {OTHER} of 150.00 has no reason"),
        ({"asked": False}, {"refunds"}, f"payment {PAYMENT}: refund {OTHER} of 150.00 was made, but never asked for"),
        (
            {"made": 16_000},
            {"refunds", "money"},
            f"payment {PAYMENT}: refund {OTHER} of 150.00 was made over 160.00",
        ),
    ],
)
def test_refunds_without_their_reason(logs: Logs, broken: dict[str, object], rules: set[str], detail: str) -> None:
    wrong = cancelled(logs, **broken).wrong()  # type: ignore[arg-type]  # one argument of several
    assert set(wrong) == rules
    assert wrong["refunds"] == [detail]


def test_goodwill_is_given_beyond_what_is_due(logs: Logs) -> None:
    logs.book()
    logs.happen(BOOKING, booking(GuestCheckedIn))
    goodwill = {**MONEY, "refund_id": OTHER, "amount": euros(5_000), "reason": GOODWILL}
    logs.happen(PAYMENT, RefundRequested(**goodwill), PaymentRefunded(**goodwill))
    assert logs.wrong() == {}
    more = {**MONEY, "refund_id": UUID(int=78), "amount": euros(16_000), "reason": GOODWILL}
    logs.happen(PAYMENT, RefundRequested(**more), PaymentRefunded(**more))
    assert logs.wrong() == {"money": [f"payment {PAYMENT}: more was given back than was captured"]}


def test_goodwill_that_was_left_halfway(logs: Logs) -> None:
    logs.book()
    logs.happen(BOOKING, booking(GuestCheckedIn))
    asked = RefundRequested(**MONEY, refund_id=OTHER, amount=euros(5_000), reason=GOODWILL)
    logs.happen(PAYMENT, asked)
    assert logs.wrong(logs.cut(later=dt.timedelta(minutes=1))) == {}
    [told] = logs.wrong()["refunds"]
    assert "of 50.00 was asked for and not made" in told


def test_goodwill_that_nobody_asked_for(logs: Logs) -> None:
    logs.book()
    goodwill = {**MONEY, "refund_id": OTHER, "amount": euros(5_000), "reason": GOODWILL}
    logs.happen(PAYMENT, PaymentRefunded(**goodwill))
    assert set(logs.wrong()) == {"money", "refunds"}


def test_a_refund_made_twice(logs: Logs) -> None:
    cancelled(logs)
    logs.happen(PAYMENT, PaymentRefunded(**MONEY, refund_id=OTHER, amount=euros(15_000), reason="cancelled"))
    wrong = logs.wrong()
    assert wrong["refunds"] == [f"payment {PAYMENT}: refund {OTHER} of 150.00 was made twice"]
    assert f"payment {PAYMENT}: more was given back than was captured" in wrong["money"]


# Sagas


def test_a_saga_that_nothing_wakes(logs: Logs) -> None:
    logs.request()
    logs.saga("authorising", deadline=dt.timedelta(seconds=30))
    assert logs.wrong(logs.cut(later=dt.timedelta(seconds=80))) == {}
    [detail] = logs.wrong()["sagas"]
    assert "is authorising and should have been woken at" in detail


def test_a_booking_that_no_saga_has_taken_on(logs: Logs) -> None:
    logs.request()
    cut = logs.cut()
    assert "no booking saga has taken it on" in logs.wrong(cut)["sagas"][0]
    unheard = Logs()
    before = unheard.cut()
    unheard.request()
    assert unheard.wrong(before) == {}, "the sagas have not read so far"


def test_what_is_in_flight_at_the_cut_is_not_judged(logs: Logs) -> None:
    logs.book()
    settled = logs.position
    logs.happen(
        BOOKING,
        CancellationRequested(
            booking_id=BOOKING,
            hotel_id=HOTEL,
            room_type_id=ROOM_TYPE,
            payment_id=PAYMENT,
            charge=euros(5_000),
            refund=euros(15_000),
            reason="ill",
        ),
    )
    logs.happen(PAYMENT, RefundRequested(**MONEY, refund_id=OTHER, amount=euros(15_000), reason="cancelled"))
    logs.happen(PAYMENT, PaymentRefunded(**MONEY, refund_id=OTHER, amount=euros(15_000), reason="cancelled"))
    logs.saga("completing", saga="cancellation", deadline=dt.timedelta(seconds=30))
    judged = logs.judged(logs.cut(settled=settled, later=dt.timedelta()))
    assert not [each for found in judged.values() for each in found.violations]
    assert judged["money"].checked == 0


# Streams


@pytest.mark.parametrize(("version", "told"), [(3, "version 3 follows 1"), (1, "version 1 follows 1")])
def test_a_stream_with_a_gap_or_a_repetition(logs: Logs, version: int, told: str) -> None:
    logs.request()
    logs.happen(BOOKING, booking(BookingConfirmed), version=version)
    found = logs.judged()["streams"]
    [violation] = found.violations
    assert violation.detail == f"bookings stream {BOOKING}: {told}"
    assert [place.version for place in violation.proof] == [1, version]


# Periods


def test_only_what_happened_in_the_period_is_judged() -> None:
    """To the second: the hold that is too much happens three seconds after noon."""
    too_much = NOON + dt.timedelta(seconds=3)
    for period, expected in ((Period(first=too_much), True), (Period(last=too_much), False)):
        logs = Logs(period)
        logs.open(1)
        logs.hold(0, of=1)
        logs.hold(0, hold=OTHER, booking=OTHER, of=1)
        assert ("room_nights" in logs.wrong()) is expected
        assert logs.judged()["streams"].checked == (1 if expected else 2)


def test_violations_beyond_those_listed_are_counted() -> None:
    findings = Findings("holds", "")
    for number in range(LISTED + 3):
        findings.violation(str(number))
    assert (len(findings.violations), findings.unlisted) == (LISTED, 3)
