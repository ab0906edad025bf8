"""Seed the demo hotels, through the same commands as anybody's.

Everything has an id derived from its name, so seeding again changes nothing and a seeding that was cut off goes on.
Prices are set once a month for the year ahead.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import islice
from uuid import UUID, uuid5

from api.demo.hotels import NAMESPACE, DemoHotel, DemoRatePlan, DemoRoomType, demo_hotels
from commands.ports import Clock, CommandBus, CommandEnvelope, EventStore, Metadata
from domain.hotel.commands import AddRatePlan, AddRoomType, OpenHotel, SetPrices
from domain.inventory.commands import OpenRoomType
from domain.shared.errors import AlreadyExists
from domain.shared.messages import Command

DAYS_AHEAD = 400
CONCURRENT_HOTELS = 16
_WEEKEND = frozenset({5, 6})
_WEEKDAYS = frozenset({1, 2, 3, 4, 7})


class Seeding:
    """Sends the demo over ``bus``, as of today's ``clock``; the hotels' ``log`` tells what is done already."""

    def __init__(self, bus: CommandBus, log: EventStore, clock: Clock) -> None:
        self._bus = bus
        self._log = log
        self._clock = clock

    async def hotels(self, owner_id: UUID, count: int) -> AsyncIterator[str]:
        """Open the first ``count`` demo hotels for ``owner_id``, a few at a time; yields each name as it is done."""
        pending: set[asyncio.Task[str]] = set()
        for hotel in islice(demo_hotels(), count):
            pending.add(asyncio.create_task(self._hotel(hotel, owner_id)))
            if len(pending) >= CONCURRENT_HOTELS:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        for finished in asyncio.as_completed(pending):
            yield await finished

    async def _hotel(self, hotel: DemoHotel, owner_id: UUID) -> str:
        if not await self._done(hotel):
            await self._open(hotel, owner_id)
        return hotel.name

    async def _done(self, hotel: DemoHotel) -> bool:
        """Whether the last command of ``hotel`` was carried out this month."""
        last_plan = hotel.room_types[-1].rate_plans[-1]
        last = _command_id(last_plan.rate_plan_id, self._pricing(_WEEKDAYS))
        return await self._log.answer_of(last) is not None

    def _pricing(self, days: frozenset[int]) -> str:
        return f"price {min(days)} {self._clock.now():%Y-%m}"

    async def _open(self, hotel: DemoHotel, owner_id: UUID) -> None:
        opening = OpenHotel(
            hotel_id=hotel.hotel_id,
            owner_id=owner_id,
            hotel_name=hotel.name,
            city=hotel.city.name,
            country=hotel.city.country,
            latitude=hotel.latitude,
            longitude=hotel.longitude,
            time_zone=hotel.city.time_zone,
            currency=hotel.city.currency,
            stars=hotel.stars,
            amenities=hotel.amenities,
            description=hotel.description,
        )
        await self.send(opening, hotel.hotel_id, "open")
        for room_type in hotel.room_types:
            await self._room_type(hotel, room_type, owner_id)

    async def _room_type(self, hotel: DemoHotel, room_type: DemoRoomType, owner_id: UUID) -> None:
        adding = AddRoomType(
            hotel_id=hotel.hotel_id,
            room_type_id=room_type.room_type_id,
            room_type_name=room_type.name,
            max_adults=room_type.max_adults,
            max_children=room_type.max_children,
            beds=room_type.beds,
            rooms=room_type.rooms,
        )
        await self.send(adding, room_type.room_type_id, "add")
        opening = OpenRoomType(
            hotel_id=hotel.hotel_id,
            room_type_id=room_type.room_type_id,
            owner_id=owner_id,
            default_allotment=room_type.rooms,
        )
        await self.send(opening, room_type.room_type_id, "open")
        for plan in room_type.rate_plans:
            await self._rate_plan(hotel, room_type, plan)

    async def _rate_plan(self, hotel: DemoHotel, room_type: DemoRoomType, plan: DemoRatePlan) -> None:
        adding = AddRatePlan.model_validate(
            {
                "hotel_id": hotel.hotel_id,
                "rate_plan_id": plan.rate_plan_id,
                "room_type_id": room_type.room_type_id,
                "rate_plan_name": plan.name,
                "board": plan.board,
                "cancellation": plan.cancellation,
                "payment_policy": plan.payment_policy,
            }
        )
        await self.send(adding, plan.rate_plan_id, "add")
        today = self._clock.now().date()
        for days, amount in ((_WEEKEND, plan.weekend), (_WEEKDAYS, plan.weekday)):
            pricing = SetPrices(
                hotel_id=hotel.hotel_id,
                rate_plan_id=plan.rate_plan_id,
                first_night=today,
                last_night=today + dt.timedelta(days=DAYS_AHEAD),
                amount=amount,
                weekdays=days,
            )
            await self.send(pricing, plan.rate_plan_id, self._pricing(days))

    async def send(self, command: Command, subject: UUID, purpose: str) -> None:
        """Send once per subject and purpose, however often it is called."""
        metadata = Metadata(correlation_id=uuid5(NAMESPACE, "demo"), actor="system", at=self._clock.now())
        with suppress(AlreadyExists):  # it was done so long ago that the command's id is forgotten
            await self._bus.send(CommandEnvelope(_command_id(subject, purpose), command, metadata))


def _command_id(subject: UUID, purpose: str) -> UUID:
    return uuid5(subject, f"demo {purpose}")
