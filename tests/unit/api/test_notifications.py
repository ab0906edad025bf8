"""What an account has been told, over HTTP."""

from __future__ import annotations

from tests.unit.api.conftest import CHECK_IN, CHECK_OUT, World, book, offer_token, ok, open_hotel, refused


async def test_an_account_reads_what_became_of_its_bookings(world: World) -> None:
    hotel = await open_hotel(await world.as_("hotelier"), rooms=1)
    guest = await world.as_("guest")
    token = await offer_token(guest, hotel["hotel_id"])
    confirmed, rejected = ok(await book(guest, token), 201), ok(await book(guest, token), 201)
    world.memory.clock.advance(seconds=1)
    ok(await guest.post(confirmed["links"]["cancellation"]), 202)
    items = ok(await guest.get("/v1/me/notifications"))["items"]
    assert [(item["kind"], item["booking_id"]) for item in items] == [
        ("cancelled", confirmed["booking_id"]),
        ("confirmed", confirmed["booking_id"]),
        ("rejected", rejected["booking_id"]),
    ]
    assert items[0]["subject"] == "Your booking at Hotel Alfama is cancelled"
    assert (
        items[0]["text"]
        == f"Hotel Alfama, {CHECK_IN:%a %d %b %Y} to {CHECK_OUT:%a %d %b %Y}. 200.00 EUR go back to you."
    )
    assert "last room" in items[2]["text"]
    assert ok(await guest.get(items[0]["href"]))["status"] == "cancelled"
    page = ok(await guest.get("/v1/me/notifications", params={"limit": 2}))
    assert page["items"] == items[:2]
    rest = ok(await guest.get("/v1/me/notifications", params={"cursor": page["next_cursor"]}))
    assert rest == {"items": items[2:], "next_cursor": None}


async def test_nobody_reads_what_others_are_told(world: World) -> None:
    hotelier = await world.as_("hotelier")
    hotel, guest = await open_hotel(hotelier), await world.as_("guest")
    ok(await book(guest, await offer_token(guest, hotel["hotel_id"])), 201)
    assert ok(await hotelier.get("/v1/me/notifications"))["items"] == []
    refused(await world.anonymous.get("/v1/me/notifications"), 401, "unauthenticated")
