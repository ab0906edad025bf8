"""Handlers that commit once: where they write, what they answer, and which timers they set."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any
from uuid import UUID, uuid4, uuid5

import pytest

from commands.dispatch import HANDLERS, Dispatcher, UnknownCommand, merge, of_services
from commands.handling import expect
from commands.inventory import expiry_timer
from commands.ports import Answer
from domain.booking.commands import ConfirmBooking, RequestBooking, RequestCancellation
from domain.booking.identity import payment_id_of
from domain.hotel.cancellation import POLICIES
from domain.hotel.commands import AddRatePlan, AddRoomType, ChangeHotelDetails, OpenHotel, SetPrices
from domain.hotel.events import NightPrice
from domain.inventory.commands import ConfirmHold, ExpireHold, HoldRooms, OpenRoomType, ReleaseHold, SetAllotment
from domain.inventory.events import HoldExpired, RoomsHeld
from domain.shared.errors import Forbidden
from domain.shared.messages import Command, command_types
from domain.shared.stay import Stay
from tests.fakes import NOW, Fakes, envelope_of

HOTEL_ID, ROOM_TYPE_ID, RATE_PLAN_ID, OWNER = UUID(int=1), UUID(int=2), UUID(int=3), UUID(int=4)
FIRST = dt.date(2026, 7, 1)
STAY = Stay(check_in=FIRST, check_out=FIRST + dt.timedelta(days=2))
INVENTORY: dict[str, Any] = {"hotel_id": HOTEL_ID, "room_type_id": ROOM_TYPE_ID}
HOLD: dict[str, Any] = {**INVENTORY, "hold_id": UUID(int=5), "booking_id": UUID(int=6)}
EXPIRES = NOW + dt.timedelta(minutes=15)
OPEN_HOTEL = OpenHotel(
    hotel_id=HOTEL_ID,
    owner_id=OWNER,
    hotel_name="Belle Vue",
    city="Lisbon",
    country="PT",
    latitude=38.7,
    longitude=-9.1,
    time_zone="Europe/Lisbon",
    currency="EUR",
    stars=4,
)
OPEN_ROOM_TYPE = OpenRoomType(**INVENTORY, owner_id=OWNER, default_allotment=1)
HOLD_ROOMS = HoldRooms(**HOLD, stay=STAY, rooms=1, expires_at=EXPIRES)


class Service:
    """A process with every handler, in memory."""

    def __init__(self) -> None:
        self.fakes = Fakes()
        self.dispatcher = Dispatcher(self.fakes.dependencies)

    async def send(self, command: Command, **how: Any) -> Answer:
        return await self.dispatcher.handle(envelope_of(command, **how))


@pytest.fixture
def service() -> Service:
    return Service()


class TestHotels:
    async def test_a_hotel_is_built_up_step_by_step(self, service: Service) -> None:
        opened = await service.send(OPEN_HOTEL)
        assert opened.body == {"hotel_id": str(HOTEL_ID), "version": 1}
        room_type = await service.send(
            AddRoomType(hotel_id=HOTEL_ID, room_type_id=ROOM_TYPE_ID, room_type_name="Double", max_adults=2, rooms=5)
        )
        assert room_type.body == {"room_type_id": str(ROOM_TYPE_ID), "version": 2}
        rate_plan = await service.send(
            AddRatePlan(
                hotel_id=HOTEL_ID, rate_plan_id=RATE_PLAN_ID, room_type_id=ROOM_TYPE_ID, rate_plan_name="Flexible"
            )
        )
        assert rate_plan.body == {"rate_plan_id": str(RATE_PLAN_ID), "version": 3}
        prices = await service.send(
            SetPrices(hotel_id=HOTEL_ID, rate_plan_id=RATE_PLAN_ID, first_night=FIRST, last_night=FIRST, amount="9.50")
        )
        assert prices.body == {"version": 4}
        changed = await service.send(ChangeHotelDetails(hotel_id=HOTEL_ID, stars=5, expected_version=4))
        assert changed.body == {"version": 5}
        assert changed.context == "hotels"
        assert changed.position == str(service.fakes.streams["hotels"].log[-1].position)

    async def test_a_repeated_command_is_answered_as_before(self, service: Service) -> None:
        command_id = uuid4()
        first = await service.send(OPEN_HOTEL, command_id=command_id)
        assert await service.send(OPEN_HOTEL, command_id=command_id) == first
        assert len(service.fakes.streams["hotels"].log) == 1

    async def test_a_refusal_stores_nothing(self, service: Service) -> None:
        with pytest.raises(Forbidden):
            await service.send(OPEN_HOTEL.model_copy(update={"asked_by": uuid4()}))
        assert service.fakes.streams["hotels"].log == []
        assert service.fakes.streams["hotels"].answers == {}


class TestInventory:
    async def test_a_hold_sets_the_timer_that_ends_it(self, service: Service) -> None:
        await service.send(OPEN_ROOM_TYPE)
        await service.send(HOLD_ROOMS)
        timer = service.fakes.streams["inventory"].timers[expiry_timer(HOLD["hold_id"])]
        assert timer.due_at == EXPIRES
        assert timer.command.command == ExpireHold(**INVENTORY, hold_id=HOLD["hold_id"])
        assert (timer.command.metadata.actor, timer.command.metadata.at) == ("timer", EXPIRES)
        await service.dispatcher.handle(timer.command)
        assert isinstance(service.fakes.streams["inventory"].log[-1].event, HoldExpired)

    async def test_imported_history_waits_as_long_as_it_would_have(self, service: Service) -> None:
        long_ago = dt.datetime(2016, 1, 1, tzinfo=dt.UTC)
        await service.send(OPEN_ROOM_TYPE)
        historic = HOLD_ROOMS.model_copy(update={"expires_at": long_ago + dt.timedelta(minutes=15)})
        await service.send(historic, at=long_ago, historic=True)
        timer = service.fakes.streams["inventory"].timers[expiry_timer(HOLD["hold_id"])]
        assert timer.due_at == NOW + dt.timedelta(minutes=15)
        assert timer.command.metadata.at == long_ago

    @pytest.mark.parametrize("ending", [ConfirmHold(**HOLD), ReleaseHold(**HOLD, reason="given up")])
    async def test_what_is_confirmed_or_released_does_not_expire(self, service: Service, ending: Command) -> None:
        await service.send(OPEN_ROOM_TYPE)
        await service.send(HOLD_ROOMS)
        await service.send(ending)
        assert service.fakes.streams["inventory"].timers == {}

    async def test_a_refused_hold_sets_no_timer(self, service: Service) -> None:
        await service.send(OPEN_ROOM_TYPE)
        await service.send(HOLD_ROOMS.model_copy(update={"rooms": 2}))
        assert service.fakes.streams["inventory"].timers == {}

    async def test_answers_tell_the_version(self, service: Service) -> None:
        await service.send(OPEN_ROOM_TYPE)
        answer = await service.send(SetAllotment(**INVENTORY, first_night=FIRST, last_night=FIRST, rooms=3))
        assert answer.body == {"version": 2}

    async def test_of_many_who_want_the_last_room_one_gets_it(self, service: Service) -> None:
        await service.send(OPEN_ROOM_TYPE)
        wishes = [HOLD_ROOMS.model_copy(update={"hold_id": uuid4()}) for _ in range(20)]
        await asyncio.gather(*(service.send(wish) for wish in wishes))
        log = service.fakes.streams["inventory"].log
        assert len(log) == 21
        assert sum(isinstance(recorded.event, RoomsHeld) for recorded in log) == 1


class TestBookings:
    booking_id = UUID(int=9)

    def requesting(self) -> RequestBooking:
        return RequestBooking(
            booking_id=self.booking_id,
            guest_id=UUID(int=10),
            account_id=UUID(int=11),
            hotel_id=HOTEL_ID,
            room_type_id=ROOM_TYPE_ID,
            rate_plan_id=RATE_PLAN_ID,
            stay=STAY,
            today=NOW.date(),
            check_in_at=dt.datetime(2026, 7, 1, 14, tzinfo=dt.UTC),
            rooms=1,
            adults=2,
            children=0,
            nightly=tuple(NightPrice(date=night, amount_minor=10_050) for night in STAY.nights),
            currency="EUR",
            payment_policy="prepaid",
            cancellation=POLICIES["moderate"],
            payment_provider="sandbox",
            payment_token="tok_ok",
        )

    async def test_a_request_is_answered_with_where_to_look(self, service: Service) -> None:
        answer = await service.send(self.requesting())
        assert answer.body == {
            "booking_id": str(self.booking_id),
            "payment_id": str(payment_id_of(self.booking_id)),
            "status": "pending",
            "version": 1,
        }
        assert payment_id_of(self.booking_id) == uuid5(self.booking_id, "payment")

    async def test_a_cancellation_is_priced_at_the_time_of_asking(self, service: Service) -> None:
        await service.send(self.requesting())
        await service.send(ConfirmBooking(booking_id=self.booking_id))
        answer = await service.send(
            RequestCancellation(booking_id=self.booking_id, asked_by=UUID(int=11)),
            at=dt.datetime(2026, 6, 29, 14, tzinfo=dt.UTC),
        )
        assert answer.body == {
            "booking_id": str(self.booking_id),
            "status": "confirmed",
            "charge": {"amount": "100.50", "currency": "EUR"},
            "refund": {"amount": "100.50", "currency": "EUR"},
            "version": 3,
        }


class TestDispatch:
    def test_every_command_of_these_services_has_its_handler(self) -> None:
        modules = {
            f"domain.{aggregate}.commands"
            for aggregate in ("account", "hotel", "inventory", "booking", "payment", "review")
        }
        of_aggregates = {each for each in command_types.values() if each.__module__ in modules}
        assert HANDLERS.keys() == of_aggregates

    def test_a_process_takes_the_commands_of_its_services(self) -> None:
        handlers = of_services(HANDLERS, ["inventory", "payments"])
        assert {each.service() for each in handlers} == {"inventory", "payments"}

    async def test_other_commands_are_refused(self) -> None:
        dispatcher = Dispatcher(Fakes().dependencies, of_services(HANDLERS, ["inventory"]))
        with pytest.raises(UnknownCommand, match=r"hotels\.OpenHotel"):
            await dispatcher.handle(envelope_of(OPEN_HOTEL))

    def test_no_command_has_two_handlers(self) -> None:
        with pytest.raises(ValueError, match=r"hotels\.OpenHotel"):
            merge(HANDLERS, {OpenHotel: HANDLERS[OpenHotel]})

    def test_a_handler_is_given_only_its_own_command(self) -> None:
        with pytest.raises(TypeError, match="HoldRooms"):
            expect(HoldRooms, envelope_of(OPEN_HOTEL))
