"""Whose hotel it is, by the hotel's own record: who may write is not decided by a read model, which may lag."""

from __future__ import annotations

from uuid import UUID

from api.http.requests import ApiRequest
from api.http.security import is_staff
from domain.hotel.state import HOTEL, Details
from domain.shared.errors import Forbidden


async def hotel_in_charge(request: ApiRequest, hotel_id: UUID) -> Details:
    """The hotel's details for its owner and for staff. Raises Forbidden for everybody else."""
    hotel = (await request.platform.streams["hotels"].load(HOTEL, hotel_id)).state
    theirs = is_staff(request.principal) or hotel.owner_id == request.principal.account_id
    if hotel.details is None or not theirs:
        raise Forbidden("this is for the hotel's own hotelier or an operator")
    return hotel.details
