"""Whose hotel it is, by the hotel's own record: who may write is not decided by a read model, which may lag.

Which hotels somebody has is found in the read model: a hotel that was opened a moment ago may be missing there.
"""

from __future__ import annotations

from uuid import UUID

from api.http.requests import ApiRequest
from api.http.security import is_staff
from domain.hotel.state import HOTEL, Details
from domain.shared.errors import Forbidden
from projections.ports import Where

HOTEL_PAGES = "hotel_pages"
_AT_ONCE = 500


async def hotel_in_charge(request: ApiRequest, hotel_id: UUID) -> Details:
    """The hotel's details for its owner and for staff. Raises Forbidden for everybody else."""
    hotel = (await request.platform.streams["hotels"].load(HOTEL, hotel_id)).state
    theirs = is_staff(request.principal) or hotel.owner_id == request.principal.account_id
    if hotel.details is None or not theirs:
        raise Forbidden("this is for the hotel's own hotelier or an operator")
    return hotel.details


async def hotels_of(request: ApiRequest, owner_id: UUID) -> list[str]:
    """The ids of somebody's hotels."""
    owned: list[str] = []
    cursor: str | None = None
    while True:
        page = await request.platform.documents.find(
            HOTEL_PAGES,
            [Where("owner_id", "eq", str(owner_id))],
            order_by="hotel_id",
            descending=False,
            limit=_AT_ONCE,
            cursor=cursor,
        )
        owned += [hotel["hotel_id"] for hotel in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return owned
