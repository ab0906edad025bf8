"""What a guest has been told about bookings."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, Router, get
from litestar.params import QueryParameter

from api.http.positions import reached
from api.http.requests import ApiRequest
from api.http.search import HOTEL_PAGES
from api.http.security import BEARER, access
from api.http.views import View, spec, utc
from commands.notices import Notice, NoticeKind
from projections.ports import Document, Where

NOTICES = "notices"


class NotificationView(View):
    """One thing that was told; ``href`` is the booking that it is about."""

    notification_id: UUID
    kind: NoticeKind
    booking_id: UUID
    subject: str
    text: str
    at: str
    href: str


class NotificationsView(View):
    """Newest first."""

    items: list[NotificationView]
    next_cursor: str | None


@get("/notifications", responses={200: spec(NotificationsView, description="Notifications, newest first.")})
async def list_notifications(
    request: ApiRequest,
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, QueryParameter(max_length=2_000)] = None,
) -> Response[dict[str, Any]]:
    """What became of the account's bookings, in words. The same goes out by mail where there is a mail server."""
    headers = await reached(request, NOTICES, HOTEL_PAGES)
    documents = request.platform.documents
    mine = [Where("account_id", "eq", str(request.principal.account_id))]
    page = await documents.find(NOTICES, mine, order_by="at", descending=True, limit=limit, cursor=cursor)
    ids = sorted({document["hotel_id"] for document in page.items})
    hotels = dict(zip(ids, await asyncio.gather(*(documents.get(HOTEL_PAGES, each) for each in ids)), strict=True))
    items = [_item(document, hotels[document["hotel_id"]]) for document in page.items]
    return Response({"items": items, "next_cursor": page.next_cursor}, headers=headers)


def _item(document: Document, hotel: Document | None) -> dict[str, Any]:
    notice = Notice(
        document["kind"],
        (hotel or {}).get("name", "the hotel"),
        dt.date.fromisoformat(document["check_in"]),
        dt.date.fromisoformat(document["check_out"]),
        document["total"],
        document["refund"],
        document["charge"],
        document["reason"],
    )
    return {
        "notification_id": document["notice_id"],
        "kind": document["kind"],
        "booking_id": document["booking_id"],
        "subject": notice.subject,
        "text": notice.text,
        "at": utc(document["at"]),
        "href": f"/v1/bookings/{document['booking_id']}",
    }


notifications_router = Router(
    "/v1/me", guards=access(), security=BEARER, tags=["Accounts"], route_handlers=[list_notifications]
)
