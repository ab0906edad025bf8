"""Reviews over HTTP: after a stay, once, answered by the hotel, hidden by operators, forgotten with their authors."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.unit.api.conftest import CHECK_IN, World, book, offer_token, ok, open_hotel, refused

OWNER, GUEST = uuid4(), uuid4()
TEXT = "Quiet rooms.\nGood breakfast."


class Stay:
    """GUEST's stay at OWNER's hotel; people log in anew, because a month passes until the check-in."""

    def __init__(self, world: World, hotel_id: str, booking: dict[str, Any]) -> None:
        self.world = world
        self.hotel_id = hotel_id
        self.path = f"/v1/hotels/{hotel_id}/reviews"
        self.booking_path = booking["links"]["self"]
        self.review = {"booking_id": booking["booking_id"], "rating": 8, "text": TEXT}

    async def guest(self) -> httpx.AsyncClient:
        return await self.world.as_("guest", account_id=GUEST)

    async def hotelier(self) -> httpx.AsyncClient:
        return await self.world.as_("hotelier", account_id=OWNER)

    async def end(self) -> None:
        """Check in and out."""
        for step in ("check-in", "check-out"):
            ok(await (await self.hotelier()).post(f"{self.booking_path}/{step}"))

    async def reviewed(self) -> dict[str, Any]:
        """The review, after the stay."""
        await self.end()
        review: dict[str, Any] = ok(await (await self.guest()).post(self.path, json=self.review), 201)
        return review

    async def shown(self) -> list[dict[str, Any]]:
        """What everybody reads."""
        items: list[dict[str, Any]] = ok(await self.world.anonymous.get(self.path))["items"]
        return items

    async def rating(self) -> float | None:
        """The rating on the hotel's page."""
        rating: float | None = ok(await self.world.anonymous.get(f"/v1/hotels/{self.hotel_id}"))["rating"]
        return rating


@pytest.fixture
async def stay(world: World) -> Stay:
    hotel = await open_hotel(await world.as_("hotelier", account_id=OWNER))
    guest = await world.as_("guest", account_id=GUEST)
    booking = ok(await book(guest, await offer_token(guest, hotel["hotel_id"])), 201)
    arrival = dt.datetime.combine(CHECK_IN, dt.time(16), dt.UTC)
    world.memory.clock.advance(seconds=(arrival - world.memory.clock.now()).total_seconds())
    return Stay(world, hotel["hotel_id"], booking)


async def test_a_guest_reviews_a_stay_that_is_over(stay: Stay) -> None:
    assert await stay.rating() is None
    review = await stay.reviewed()
    assert (review["rating"], review["text"], review["reply"]) == (8, TEXT, None)
    assert await stay.shown() == [review]
    assert await stay.rating() == 8.0
    found = ok(await stay.world.anonymous.get("/v1/hotels"))["items"]
    assert [hit["rating"] for hit in found] == [8.0]


async def test_a_rating_is_never_taken_from_a_cache_that_is_older(stay: Stay) -> None:
    place = f"/v1/hotels/{stay.hotel_id}"
    before = (await stay.world.anonymous.get(place)).headers["ETag"]
    await stay.reviewed()
    after = await stay.world.anonymous.get(place, headers={"If-None-Match": before})
    assert (after.status_code, ok(after)["rating"]) == (200, 8.0)
    tag = after.headers["ETag"]
    assert (await stay.world.anonymous.get(place, headers={"If-None-Match": tag})).status_code == 304
    hotelier = await stay.hotelier()
    ok(await hotelier.patch(place, json={"stars": 3}, headers={"If-Match": tag}))
    refused(await hotelier.patch(place, json={"stars": 5}, headers={"If-Match": tag}), 412, "version-mismatch")


async def test_not_before_it_is_over_and_only_once(stay: Stay) -> None:
    guest = await stay.guest()
    refused(await guest.post(stay.path, json=stay.review), 409, "illegal-transition")
    await stay.reviewed()
    refused(await guest.post(stay.path, json=stay.review | {"rating": 1}), 409, "already-exists")
    assert await stay.rating() == 8.0


async def test_the_same_key_reviews_once(stay: Stay) -> None:
    await stay.end()
    guest, key = await stay.guest(), {"Idempotency-Key": uuid4().hex}
    first = ok(await guest.post(stay.path, json=stay.review, headers=key), 201)
    assert ok(await guest.post(stay.path, json=stay.review, headers=key), 201) == first


async def test_only_whose_stay_it_was(stay: Stay) -> None:
    await stay.end()
    refused(await stay.world.anonymous.post(stay.path, json=stay.review), 401, "unauthenticated")
    refused(await (await stay.world.as_("guest")).post(stay.path, json=stay.review), 404, "not-found")
    refused(await (await stay.hotelier()).post(stay.path, json=stay.review), 404, "not-found")
    refused(await (await stay.world.as_("operator")).post(stay.path, json=stay.review), 404, "not-found")
    elsewhere = f"/v1/hotels/{uuid4()}/reviews"
    refused(await (await stay.guest()).post(elsewhere, json=stay.review), 404, "not-found")


async def test_nobody_reviews_a_hotel_of_their_own(stay: Stay) -> None:
    stay.world.memory.clock.advance(days=-30)
    owner = await stay.hotelier()
    booking = ok(await book(owner, await offer_token(owner, stay.hotel_id)), 201)
    stay.world.memory.clock.advance(days=30)
    for step in ("check-in", "check-out"):
        ok(await (await stay.hotelier()).post(f"{booking['links']['self']}/{step}"))
    review = stay.review | {"booking_id": booking["booking_id"]}
    refused(await (await stay.hotelier()).post(stay.path, json=review), 403, "forbidden")


async def test_who_leaves_early_has_stayed_until_then(stay: Stay) -> None:
    assert (await stay.reviewed())["stayed_until"] == str(CHECK_IN)


@pytest.mark.parametrize(
    "changes", [{"rating": 0}, {"rating": 11}, {"rating": 7.5}, {"text": "x" * 4_001}, {"text": "a\x00"}, {"stars": 1}]
)
async def test_reviews_that_make_no_sense(stay: Stay, changes: dict[str, Any]) -> None:
    await stay.end()
    answer = await (await stay.guest()).post(stay.path, json=stay.review | changes)
    assert answer.status_code in {400, 422}
    assert not await stay.shown()


async def test_the_hotel_answers_once(stay: Stay) -> None:
    review = await stay.reviewed()
    path = f"/v1/reviews/{review['review_id']}/reply"
    refused(await (await stay.guest()).post(path, json={"text": "No!"}), 403, "forbidden")
    refused(await (await stay.world.as_("hotelier")).post(path, json={"text": "No!"}), 403, "forbidden")
    answered = ok(await (await stay.hotelier()).post(path, json={"text": "Thank you."}))
    assert answered["reply"]["text"] == "Thank you."
    assert await stay.shown() == [answered]
    refused(await (await stay.hotelier()).post(path, json={"text": "Again."}), 409, "illegal-transition")
    unknown = f"/v1/reviews/{uuid4()}/reply"
    refused(await (await stay.hotelier()).post(unknown, json={"text": "Hello?"}), 404, "not-found")


async def test_operators_hide_and_show(stay: Stay) -> None:
    review = await stay.reviewed()
    path, operator = f"/v1/reviews/{review['review_id']}/moderation", await stay.world.as_("operator")
    hide = {"visible": False, "reason": "it names somebody"}
    refused(await (await stay.hotelier()).post(path, json=hide), 403, "forbidden")
    hidden = ok(await operator.post(path, json=hide))
    assert (hidden["status"], hidden["hidden_because"]) == ("hidden", "it names somebody")
    alone = f"/v1/reviews/{review['review_id']}"
    assert ok(await (await stay.guest()).get(alone)) == ok(await operator.get(alone)) == hidden
    refused(await (await stay.hotelier()).get(alone), 404, "not-found")
    assert (await stay.shown(), await stay.rating()) == ([], None)
    ok(await operator.post(path, json=hide))
    assert ok(await operator.post(path, json={"visible": True, "reason": "it does not"})) == review
    assert (await stay.shown(), await stay.rating()) == ([review], 8.0)


async def test_the_words_of_the_forgotten_are_gone_and_the_rating_stays(stay: Stay) -> None:
    review = await stay.reviewed()
    reply = f"/v1/reviews/{review['review_id']}/reply"
    ok(await (await stay.hotelier()).post(reply, json={"text": "Dear Ada, thank you."}))
    guest = await stay.guest()
    ok(await guest.request("DELETE", "/v1/me", json={"password": "correct horse battery"}), 204)
    [item] = await stay.shown()
    assert (item["rating"], item["text"], item["reply"]["text"]) == (8, "", "")


async def test_what_is_said_to_nobody_is_kept(stay: Stay) -> None:
    review = await stay.reviewed()
    guest = await stay.guest()
    ok(await guest.request("DELETE", "/v1/me", json={"password": "correct horse battery"}), 204)
    reply = f"/v1/reviews/{review['review_id']}/reply"
    answered = ok(await (await stay.hotelier()).post(reply, json={"text": "Come back soon."}))
    assert (answered["text"], answered["reply"]["text"]) == ("", "Come back soon.")
