"""Guests who search, book, change and cancel whatever happens to the platform, and what they were answered."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self

import httpx

from tests.e2e.running import RunningPlatform, ok
from tests.e2e.stories import FIRST_NIGHT, LAST_NIGHT, book, offer, open_hotel, registered, stay, until

FINAL = {"confirmed", "rejected", "cancelled"}
PAUSE_SECONDS = 0.4
"""Between two requests of one guest: the load is steady, and small enough for a machine that does other things too."""
ROOMS = 600
FIRST_BOOKINGS = 3
_AGAIN = {httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.CONFLICT}


@dataclass(frozen=True)
class Heard:
    """One answer (``status`` 0: there was none, the gateway was not there), and how long it took."""

    asked: str
    status: int
    seconds: float
    problem: str

    @property
    def is_excused(self) -> bool:
        """Whether it is what a client may be told while a server is away."""
        return self.status < httpx.codes.INTERNAL_SERVER_ERROR or self.problem == "wait"


class Guests:
    """Used as a context manager: it is entered when some have booked and one has changed a booking."""

    def __init__(self, platform: RunningPlatform) -> None:
        self.heard: list[Heard] = []
        self.bookings: list[str] = []
        """Those that the platform has accepted."""
        self._platform = platform
        self._guest = platform.client()
        self._hotel: dict[str, str] = {}
        self._token = ""
        self._changed: set[str] = set()
        self._leaving = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        async with await self._platform.login("hotelier") as hotelier:
            self._hotel = await open_hotel(hotelier, rooms=ROOMS)
        self._guest = await registered(self._platform)
        await until(self._is_found)
        self._token = (await offer(self._guest, self._hotel["hotel_id"]))["offer_token"]
        looks = (self._search, self._look_at_rooms, self._look_at_hotel, self._look_at_booking)
        habits = (*looks, self._book, self._change)
        self._tasks = [asyncio.create_task(self._repeat(habit)) for habit in habits]
        await self.have_booked(FIRST_BOOKINGS)
        await until(self._has_changed, seconds=60)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.leave()
        await self._guest.aclose()

    async def leave(self) -> None:
        """Finish what has begun and ask for nothing new; what a guest stumbled over is raised."""
        self._leaving.set()
        tasks, self._tasks = self._tasks, []
        await asyncio.gather(*tasks)

    def tally(self, since: int = 0) -> Counter[tuple[str, int]]:
        """How often what was answered how, from the ``since``-th answer on."""
        return Counter((each.asked, each.status) for each in self.heard[since:])

    def answered(self, asked: str, since: int) -> Sequence[Heard]:
        """The answers to one question from the ``since``-th answer on."""
        return [each for each in self.heard[since:] if each.asked == asked]

    async def have_booked(self, more: int) -> None:
        """Wait until so many more bookings are accepted."""
        enough = len(self.bookings) + more

        async def booked() -> bool:
            return len(self.bookings) >= enough or any(task.done() for task in self._tasks)

        await until(booked)

    async def _has_changed(self) -> bool:
        return bool(self.tally()["change", 202]) or any(task.done() for task in self._tasks)

    async def all_final(self) -> bool:
        """Whether nothing is under way any more."""
        answers = await asyncio.gather(*(self._guest.get(f"/v1/bookings/{each}") for each in self.bookings))
        return all(answer.status_code == httpx.codes.OK and _is_at_rest(answer.json()) for answer in answers)

    async def _repeat(self, habit: Callable[[], Awaitable[None]]) -> None:
        while not self._leaving.is_set():
            await habit()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _search(self) -> None:
        await self._get("search", "/v1/hotels", q=self._hotel["name"])

    async def _look_at_rooms(self) -> None:
        days = {"from": FIRST_NIGHT.isoformat(), "to": LAST_NIGHT.isoformat()}
        await self._get("rooms", f"/v1/hotels/{self._hotel['hotel_id']}/availability", **days)
        await self._get("offers", f"/v1/hotels/{self._hotel['hotel_id']}/offers", **stay())

    async def _look_at_hotel(self) -> None:
        await self._get("hotel", f"/v1/hotels/{self._hotel['hotel_id']}")
        await self._get("list", "/v1/bookings", limit=20)

    async def _look_at_booking(self) -> None:
        if self.bookings:
            await self._get("booking", f"/v1/bookings/{self.bookings[-1]}")

    async def _book(self) -> None:
        """Every second booking is cancelled, as soon as it is confirmed; others are not waited for."""
        wait = 10 if len(self.bookings) % 2 else None
        key = uuid.uuid4().hex
        answer = await self._insist("book", lambda: book(self._guest, self._token, wait=wait, key=key))
        booking = ok(answer, 201, 202)
        self.bookings.append(booking["booking_id"])
        if wait and booking["status"] == "confirmed":
            path = f"/v1/bookings/{booking['booking_id']}/cancellation"
            headers = {"Idempotency-Key": uuid.uuid4().hex}
            body = {"reason": "plans changed"}
            ok(await self._insist("cancel", lambda: self._guest.post(path, json=body, headers=headers)), 200, 202)

    async def _change(self) -> None:
        """The newest booking that is not to be cancelled gets another night, if that can be had at this moment."""
        left = [each for each in self.bookings[::2] if each not in self._changed]
        if not left:
            return
        path = f"/v1/bookings/{left[-1]}"
        check_out = stay(nights=3)["check_out"]
        ask = partial(self._guest.post, f"{path}/modification-quotes", json={"check_out": check_out})
        answer = await self._hear("quote", ask)
        if answer is None or answer.status_code != httpx.codes.OK:
            return
        self._changed.add(left[-1])
        body = {"quote_token": answer.json()["quote_token"], "payment": {"provider": "sandbox", "token": "tok_ok"}}
        key = {"Idempotency-Key": uuid.uuid4().hex}
        change = partial(self._guest.post, f"{path}/modifications", json=body, headers=key)
        ok(await self._insist("change", change), 202, 409, 422)

    async def _insist(self, asked: str, request: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
        """As a careful client does, ask with the same key again while the platform cannot say what became of it."""
        while True:
            answer = await self._hear(asked, request)
            if answer is not None and answer.status_code not in _AGAIN:
                return answer
            await asyncio.sleep(float(answer.headers.get("Retry-After", "1")) if answer is not None else PAUSE_SECONDS)

    async def _get(self, asked: str, path: str, **parameters: Any) -> None:
        await self._hear(asked, lambda: self._guest.get(path, params=parameters))

    async def _hear(self, asked: str, request: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response | None:
        begun = time.monotonic()
        answer: httpx.Response | None = None
        try:
            answer = await request()
        except httpx.TransportError as error:
            self.heard.append(Heard(asked, 0, time.monotonic() - begun, repr(error)))
        else:
            self.heard.append(Heard(asked, answer.status_code, time.monotonic() - begun, _problem(answer)))
        return answer

    async def _is_found(self) -> bool:
        answer = await self._guest.get("/v1/hotels", params={"q": self._hotel["name"]})
        return answer.status_code == httpx.codes.OK and bool(answer.json()["items"])


def _is_at_rest(booking: dict[str, Any]) -> bool:
    changing = booking["modification"] is not None and booking["modification"]["status"] not in {"modified", "rejected"}
    return booking["status"] in FINAL and not changing


def _problem(answer: httpx.Response) -> str:
    """``wait`` for a problem document that says when to ask again; else the body of what is no success."""
    if answer.is_success:
        return ""
    is_problem = answer.headers.get("Content-Type") == "application/problem+json"
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and is_problem and "Retry-After" in answer.headers:
        return "wait"
    return answer.text[:500]


def works(guests: Guests, since: int, asked: Collection[str]) -> None:
    """Each of ``asked`` was answered from the ``since``-th answer on, and never by an error."""
    for each in asked:
        answers = guests.answered(each, since)
        assert len(answers) >= 3, (each, guests.tally(since))
        assert not [one for one in answers if one.status >= httpx.codes.INTERNAL_SERVER_ERROR], (each, answers)
