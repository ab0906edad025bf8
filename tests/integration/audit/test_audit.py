"""Audits of a running platform: nothing is found beside live bookings, and everything that was broken on purpose is."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from commands.ports import START, LogRun, Position
from domain.booking.events import BookingConfirmed
from domain.booking.identity import payment_id_of
from domain.inventory.events import NightLeft, RoomsHeld
from domain.payment.events import PaymentRefunded
from domain.saga.events import SagaCommandIssued, SagaReacted
from domain.shared.money import Money
from domain.shared.stay import Stay
from infra.eventstore.audits import PostgresAudits
from projections.audit.records import AuditRunning
from projections.booking_facts import ROOM_NIGHTS
from projections.ports import CalendarWrite, FoldedDocument
from tests.e2e.running import ok
from tests.e2e.stories import FIRST_NIGHT, book, offer, open_hotel, until
from tests.integration.conftest import World, wrong

STAY = Stay(check_in=FIRST_NIGHT, check_out=FIRST_NIGHT + dt.timedelta(days=2))


async def booked(client: httpx.AsyncClient, hotel: dict[str, str], *, cancel: bool = False) -> dict[str, Any]:
    """A confirmed booking, or one that was cancelled since."""
    token = (await offer(client, hotel["hotel_id"]))["offer_token"]
    booking: dict[str, Any] = ok(await book(client, token), 201)
    assert booking["status"] == "confirmed"
    if cancel:
        path, headers = f"/v1/bookings/{booking['booking_id']}/cancellation", {"Idempotency-Key": uuid4().hex}
        ok(await client.post(path, json={"reason": "ill"}, headers={**headers, "Prefer": "wait=20"}))
    return booking


async def test_beside_live_bookings_nothing_is_found(world: World) -> None:
    hotel = await open_hotel(world.client, rooms=12)
    going_on = asyncio.gather(*(booked(world.client, hotel, cancel=number % 2 == 0) for number in range(12)))
    audits = [await world.audited(full=True)]
    while not going_on.done():
        audits.append(await world.audited(full=len(audits) % 2 == 0))
    await going_on
    audits.append(await world.audited(full=True))
    assert [wrong(audit) for audit in audits] == [{}] * len(audits)
    checked = {check.name: check.checked for check in audits[-1].checks}
    assert {name: checked[name] for name in ("holds", "stays", "money", "refunds", "sagas")} == {
        "holds": 12,
        "stays": 12,
        "money": 12,
        "refunds": 6,
        "sagas": 18,
    }
    assert (checked["read_model:booking_pages"], checked["read_model:saga_pages"]) == (12, 18)
    assert checked["read_model:booking_facts"] == 12 * 2 + 6 + 12 * 2
    assert checked["streams"] == audits[-1].events_done == audits[-1].events_total


async def test_what_is_broken_in_the_log_is_found_and_never_repaired(world: World) -> None:
    hotel = await open_hotel(world.client, rooms=2)
    good, torn = [await booked(world.client, hotel) for _ in range(2)]
    room_type, payment = UUID(hotel["room_type_id"]), payment_id_of(UUID(good["booking_id"]))
    now = world.platform.clock.now()
    held = RoomsHeld(
        hotel_id=UUID(hotel["hotel_id"]),
        room_type_id=room_type,
        hold_id=uuid4(),
        booking_id=uuid4(),
        stay=STAY,
        rooms=1,
        expires_at=now - dt.timedelta(hours=1),
        nights=tuple(NightLeft(date=night, rooms_left=0, allotment=2) for night in STAY.nights),
    )
    await world.forge("inventory", room_type, held)
    refund = Money(minor=100, currency="EUR")
    ids = {"payment_id": payment, "booking_id": UUID(good["booking_id"])}
    await world.forge("payments", payment, PaymentRefunded(**ids, refund_id=uuid4(), amount=refund, reason="a gift"))
    stuck = uuid4()
    reacted = SagaReacted(
        saga_id=stuck,
        saga="booking",
        subject_id=uuid4(),
        step="holding",
        status="running",
        cause="forged",
        state={},
        deadline=now - dt.timedelta(hours=1),
    )
    commanded = SagaCommandIssued(
        saga_id=stuck, saga="booking", command_id=uuid4(), command="inventory.HoldRooms", content={}
    )
    await world.forge("bookings", stuck, reacted, commanded)
    unsold = (await world.platform.logs["bookings"].read_stream(UUID(good["booking_id"])))[-1].event
    assert isinstance(unsold, BookingConfirmed)
    dreamt = uuid4()
    await world.forge("bookings", dreamt, unsold.model_copy(update={"booking_id": dreamt}))
    torn_payment = payment_id_of(UUID(torn["booking_id"]))
    await world.pool.execute(
        "UPDATE payments.stored_events SET originator_version = 9 WHERE originator_id = $1 AND originator_version = 4",
        torn_payment,
    )
    audit = await world.audited(fix=True)
    found = wrong(audit)
    rules = {name for name in found if not name.startswith("read_model:")}
    assert rules == {"room_nights", "holds", "stays", "money", "refunds", "sagas", "streams"}
    assert found["stays"].violations[0].detail == f"booking {dreamt} goes on without having been requested"
    assert [event.stream_id for event in found["stays"].violations[0].events] == [dreamt]
    nights = found["room_nights"].violations
    assert [violation.detail.partition(":")[0] for violation in nights] == [
        f"room type {room_type}, {night}" for night in STAY.nights
    ]
    assert [event.type.rpartition(".")[2] for event in nights[0].events] == ["RoomTypeOpened"] + ["RoomsHeld"] * 3
    assert nights[0].events[-1].actor == "forger"
    assert str(held.hold_id) in found["holds"].violations[0].detail
    assert "200.00 EUR are to be kept, and 199.00 EUR is kept" in found["money"].violations[0].detail
    assert "PaymentCaptured" in {event.type.rpartition(".")[2] for event in found["money"].violations[0].events}
    assert "never asked for" in found["refunds"].violations[0].detail
    assert str(stuck) in found["sagas"].violations[0].detail
    [gap] = found["streams"].violations
    assert gap.detail.startswith(f"payments stream {torn_payment}: version")
    assert len(gap.events) == 2
    again = wrong(await world.audited())
    assert rules <= again.keys(), "the log is never repaired"


async def test_an_event_that_cannot_be_read_is_found_and_the_others_are_judged(world: World) -> None:
    hotel = await open_hotel(world.client, rooms=9)
    bookings = [await booked(world.client, hotel) for _ in range(2)]
    assert wrong(await world.audited()) == {}
    payment = payment_id_of(UUID(bookings[0]["booking_id"]))
    spoil = "UPDATE payments.stored_events SET state = $2 WHERE originator_id = $1 AND originator_version = 2"
    await world.pool.execute(spoil, payment, b'{"amount": "a lot"}')
    audit = await world.audited()
    checks = {check.name: check for check in audit.checks}
    [unreadable] = checks["streams"].violations
    assert unreadable.detail.startswith(f"payments: event 2 of stream {payment} is stored as payments.v1.")
    assert audit.events_done == audit.events_total == checks["streams"].checked
    assert checks["stays"].checked
    assert not checks["stays"].violations


async def test_what_is_broken_in_read_models_is_found_and_repaired(world: World) -> None:
    hotel = await open_hotel(world.client, rooms=9)
    bookings = [await booked(world.client, hotel) for _ in range(3)]
    assert wrong(await world.audited()) == {}
    platform, documents = world.platform, world.platform.documents
    changed, missing = bookings[0]["booking_id"], str(payment_id_of(UUID(bookings[1]["booking_id"])))

    async def change(store: Any, projection: str, key: str, **fields: Any) -> None:
        build = await world.live(projection)
        stored = (await store.load(build, [key]))[key]
        spoilt = FoldedDocument(key, stored.body | fields, stored.folded + 1, stored.positions)
        assert await store.save(build, [spoilt]) == frozenset()

    await change(documents, "booking_pages", changed, status="rejected", rooms=7)
    await change(documents, "hotel_pages", hotel["hotel_id"], version=None)
    await change(platform.search, "hotel_search", hotel["hotel_id"], name="Another Hotel")
    build = await world.live("payment_pages")
    await world.pool.execute(f'DELETE FROM documents."{build}" WHERE key = $1', missing)  # noqa: S608 - a name of ours
    for projection in ("saga_pages", "review_pages", "notices"):
        await documents.save(await world.live(projection), [FoldedDocument("stranger", {}, 1, {})])
    cell = CalendarWrite("rooms", hotel["room_type_id"], {FIRST_NIGHT: 99}, "forger", (1, 1))
    forgery = LogRun("forger", START, Position(1, 1), ())
    await platform.calendars.write(await world.live("calendars"), [cell], forgery)
    build = await world.live("booking_facts")
    [row] = await world.facts.query(f"SELECT * FROM room_nights WHERE booking_id = '{changed}' LIMIT 1")  # noqa: S608
    spoilt = dict(row) | {"amount_minor": 1, "version": 1000}
    another = dict(row) | {"room": 5}
    columns = [name for name, _ in ROOM_NIGHTS.columns]
    await world.facts.insert(build, ROOM_NIGHTS, [[each[name] for name in columns] for each in (spoilt, another)])

    audit = await world.audited(full=True, fix=True)
    found = {name.removeprefix("read_model:"): check for name, check in wrong(audit).items()}
    assert set(found) == {projection.name for projection in platform.projections}
    detail = {name: [violation.detail for violation in check.violations] for name, check in found.items()}
    assert detail["booking_pages"] == [
        f'booking_pages {changed}: rooms is 7, and should be 1; status is "rejected", and should be "confirmed"'
    ]
    assert [event.type for event in found["booking_pages"].violations[0].events] == ["bookings.v1.BookingConfirmed"]
    assert detail["hotel_pages"][0].startswith(f"hotel_pages {hotel['hotel_id']}: version is null, and should be ")
    assert 'name is "Another Hotel"' in detail["hotel_search"][0]
    assert detail["payment_pages"] == [f"payment_pages {missing} is missing"]
    assert detail["saga_pages"] == ["saga_pages has 4 documents, and the log speaks of 3"]
    assert detail["review_pages"] == ["review_pages has 1 documents, and the log speaks of 0"]
    assert detail["notices"] == ["notices has 4 documents, and the log speaks of 3"]
    assert detail["calendars"] == [
        f"calendar of rooms {hotel['room_type_id']}: {FIRST_NIGHT} shows 99 and should show 6"
    ]
    assert sorted(text.rpartition(") ")[2] for text in detail["booking_facts"]) == [
        "differs from what the log makes",
        "is a row that the log does not make",
    ]
    assert set(audit.replays) == set(found)

    async def rebuilt() -> bool:
        states = [
            build.state
            for projection in platform.projections
            if (build := await platform.builds[projection.service].of_replay(audit.replays[projection.name]))
        ]
        return states == ["live"] * len(found)

    await until(rebuilt, seconds=60)
    assert wrong(await world.audited(full=True)) == {}


async def test_one_audit_at_a_time_in_all_processes(world: World) -> None:
    elsewhere = PostgresAudits(world.pool, "analytics")
    async with elsewhere.only_one():
        with pytest.raises(AuditRunning):
            await world.audited()
        refused = await world.client.post("/v1/ops/audits", json={})
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:nightledger:problem:audit-running")
    assert wrong(await world.audited()) == {}
    async with elsewhere.only_one():
        pass  # an audit that has ended has let go


async def test_a_document_is_compared_as_of_where_it_is(world: World) -> None:
    """What a document lacks, or has too much of, shows although nothing of it was changed by hand."""
    hotel = await open_hotel(world.client, rooms=9)
    booking = await booked(world.client, hotel)
    key, documents = booking["booking_id"], world.platform.documents
    build = await world.live("booking_pages")
    stored = (await documents.load(build, [key]))[key]
    events = await world.platform.logs["bookings"].read_stream(UUID(key))
    for position, told in (
        (events[0].position, f"booking_pages {key} lacks events that its feed has passed"),
        (Position(2**60, 1), "where the log has no such event"),
    ):
        await world.pool.execute(
            f'UPDATE documents."{build}" SET positions = $2::text::jsonb WHERE key = $1',  # noqa: S608 - a name of ours
            key,
            f'{{"{key}": "{position}"}}',
        )
        [violation] = wrong(await world.audited())["read_model:booking_pages"].violations
        assert told in violation.detail
    assert stored.body is not None
