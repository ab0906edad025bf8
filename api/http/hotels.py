"""Hotels as their hoteliers change them: details, room types, rate plans, prices, allotments and restrictions."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

from litestar import Response, patch, post, put
from litestar.params import FromPath, JSONBody

from api.http.hotel_models import HotelMade, RatePlanMade, RoomTypeMade, VersionView
from api.http.idempotency import answered_once, fingerprint_of, once
from api.http.positions import token_of
from api.http.requests import ApiRequest
from api.http.schemas import (
    Allotment,
    HotelChange,
    MoneyBody,
    NewHotel,
    NewRatePlan,
    NewRoomType,
    Price,
    Prices,
    RestrictionsBody,
)
from api.http.security import BEARER, access, is_staff
from api.http.sending import etag, expected_version, send, send_as
from api.http.views import spec
from commands.ports import Answer
from domain.hotel.commands import AddRatePlan, AddRoomType, Amount, ChangeHotelDetails, OpenHotel, SetPrices
from domain.hotel.state import HOTEL
from domain.inventory.commands import OpenRoomType, SetAllotment, SetRestrictions
from domain.inventory.events import Restrictions

Json = Response[dict[str, Any]]
_WRITING: dict[str, Any] = {"guards": access("hotelier", "operator", "admin"), "security": BEARER, "tags": ["Hotels"]}
"""Of each handler by itself, because readers of the same addresses need no token."""


@post(
    "/",
    status_code=201,
    responses={201: spec(HotelMade, description="The hotel is on the platform.")},
    **_WRITING,
)
async def open_hotel(request: ApiRequest, data: JSONBody[NewHotel]) -> Json:
    """Bring a hotel onto the platform. It belongs to whoever asks."""
    asked = await once(request)
    command = OpenHotel(
        hotel_id=request.platform.new_id(),
        asked_by=_asker(request),
        owner_id=request.principal.account_id,
        hotel_name=data.name,
        latitude=data.location.lat,
        longitude=data.location.lon,
        **data.model_dump(exclude={"name", "location"}),
    )
    answer = await answered_once(request, asked, "hotels", lambda: send(request, command, asked))
    hotel_id = answer.body["hotel_id"]
    headers = token_of(answer) | etag(answer.body["version"]) | {"Location": f"/v1/hotels/{hotel_id}"}
    return Response({"hotel_id": hotel_id, "version": answer.body["version"]}, status_code=201, headers=headers)


@patch(
    "/{hotel_id:uuid}",
    responses={200: spec(VersionView, description="The details are as asked.")},
    **_WRITING,
)
async def change_hotel(request: ApiRequest, hotel_id: FromPath[UUID], data: JSONBody[HotelChange]) -> Json:
    """Change a hotel's details. With If-Match only if nobody changed the hotel since."""
    changes = data.model_dump(exclude={"name", "location"}, exclude_none=True)
    if data.location is not None:
        changes |= {"latitude": data.location.lat, "longitude": data.location.lon}
    command = ChangeHotelDetails(
        hotel_id=hotel_id,
        asked_by=_asker(request),
        hotel_name=data.name,
        expected_version=expected_version(request),
        **changes,
    )
    return _changed(await send(request, command))


@post(
    "/{hotel_id:uuid}/room-types",
    status_code=201,
    responses={201: spec(RoomTypeMade, description="The room type can be sold.")},
    **_WRITING,
)
async def add_room_type(request: ApiRequest, hotel_id: FromPath[UUID], data: JSONBody[NewRoomType]) -> Json:
    """Add a room type and open its inventory. Its name is unique in the hotel: a repetition changes nothing."""
    asked = await once(request)
    room_type_id = uuid5(hotel_id, f"room type {data.name.casefold()}")
    command = AddRoomType(
        hotel_id=hotel_id,
        asked_by=_asker(request),
        room_type_id=room_type_id,
        room_type_name=data.name,
        **data.model_dump(exclude={"name"}),
    )
    if asked.idempotency is None:
        same = uuid5(room_type_id, f"{request.principal.account_id} {await fingerprint_of(request)}")
        added = await send_as(request, command, same)
    else:
        added = await answered_once(request, asked, "hotels", lambda: send(request, command, asked))
    opened = await send_as(request, await _inventory_of(request, command), uuid5(room_type_id, "open"))
    body = {"room_type_id": str(room_type_id), "version": added.body["version"]}
    return Response(body, status_code=201, headers=token_of(added, opened) | etag(added.body["version"]))


@post(
    "/{hotel_id:uuid}/rate-plans",
    status_code=201,
    responses={201: spec(RatePlanMade, description="The rate plan is there; it has no prices yet.")},
    **_WRITING,
)
async def add_rate_plan(request: ApiRequest, hotel_id: FromPath[UUID], data: JSONBody[NewRatePlan]) -> Json:
    """Add terms on which a room type can be booked."""
    asked = await once(request)
    chosen = data.cancellation_policy
    command = AddRatePlan(
        hotel_id=hotel_id,
        asked_by=_asker(request),
        rate_plan_id=request.platform.new_id(),
        room_type_id=data.room_type_id,
        rate_plan_name=data.name,
        board=data.board,
        cancellation=chosen if isinstance(chosen, str) else tuple(tier.to_domain() for tier in chosen),
        payment_policy=data.payment_policy,
    )
    answer = await answered_once(request, asked, "hotels", lambda: send(request, command, asked))
    body = {"rate_plan_id": answer.body["rate_plan_id"], "version": answer.body["version"]}
    return Response(body, status_code=201, headers=token_of(answer) | etag(answer.body["version"]))


@put(
    "/{hotel_id:uuid}/rate-plans/{rate_plan_id:uuid}/prices",
    responses={200: spec(VersionView, description="The nights have these prices.")},
    **_WRITING,
)
async def set_prices(
    request: ApiRequest, hotel_id: FromPath[UUID], rate_plan_id: FromPath[UUID], data: JSONBody[Prices]
) -> Json:
    """Price the nights from ``from`` to ``to``, both included, that begin on one of ``weekdays``."""
    command = SetPrices(
        hotel_id=hotel_id,
        asked_by=_asker(request),
        rate_plan_id=rate_plan_id,
        first_night=data.first,
        last_night=data.last,
        amount=_amount(data.amount),
        weekdays=data.weekdays,
        per_extra_adult=None if data.per_extra_adult is None else _amount(data.per_extra_adult),
        per_child=None if data.per_child is None else _amount(data.per_child),
        expected_version=expected_version(request),
    )
    return _changed(await send(request, command))


@put(
    "/{hotel_id:uuid}/room-types/{room_type_id:uuid}/allotment",
    responses={200: spec(VersionView, description="The nights offer this many rooms.")},
    **_WRITING,
)
async def set_allotment(
    request: ApiRequest, hotel_id: FromPath[UUID], room_type_id: FromPath[UUID], data: JSONBody[Allotment]
) -> Json:
    """Offer ``rooms`` rooms on the nights from ``from`` to ``to``, both included; at least as many as are taken."""
    command = SetAllotment(
        hotel_id=hotel_id,
        room_type_id=room_type_id,
        asked_by=_asker(request),
        first_night=data.first,
        last_night=data.last,
        rooms=data.rooms,
        expected_version=expected_version(request),
    )
    return _changed(await send(request, command))


@put(
    "/{hotel_id:uuid}/room-types/{room_type_id:uuid}/restrictions",
    responses={200: spec(VersionView, description="The nights have these restrictions.")},
    **_WRITING,
)
async def set_restrictions(
    request: ApiRequest, hotel_id: FromPath[UUID], room_type_id: FromPath[UUID], data: JSONBody[RestrictionsBody]
) -> Json:
    """Replace the restrictions of the nights from ``from`` to ``to``, both included."""
    command = SetRestrictions(
        hotel_id=hotel_id,
        room_type_id=room_type_id,
        asked_by=_asker(request),
        first_night=data.first,
        last_night=data.last,
        restrictions=Restrictions(**data.model_dump(exclude={"first", "last"}, by_alias=False)),
        expected_version=expected_version(request),
    )
    return _changed(await send(request, command))


def _asker(request: ApiRequest) -> UUID | None:
    """Whose hotels may be changed: None for staff, who may change all."""
    return None if is_staff(request.principal) else request.principal.account_id


def _amount(price: Price) -> Amount:
    return price.to_domain() if isinstance(price, MoneyBody) else price


def _changed(answer: Answer) -> Json:
    version = answer.body["version"]
    return Response({"version": version}, headers=token_of(answer) | etag(version))


async def _inventory_of(request: ApiRequest, added: AddRoomType) -> OpenRoomType:
    """The inventory belongs to the hotel's owner, whoever has added the room type."""
    hotel = await request.platform.streams["hotels"].load(HOTEL, added.hotel_id)
    return OpenRoomType(
        hotel_id=added.hotel_id,
        room_type_id=added.room_type_id,
        owner_id=hotel.state.owner_id or request.principal.account_id,
        default_allotment=added.rooms,
    )


WRITERS = (open_hotel, change_hotel, add_room_type, add_rate_plan, set_prices, set_allotment, set_restrictions)
"""Handlers under /v1/hotels that change something."""
