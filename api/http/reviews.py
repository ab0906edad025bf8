"""Reviews: written by those who have stayed, read by everybody, answered by the hotel, hidden by operators."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from litestar import Response, Router, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from api.http.booking_views import booking_events, unknown
from api.http.hotel_models import ReviewsView, ReviewView
from api.http.idempotency import answered_once, once
from api.http.owners import hotel_in_charge
from api.http.positions import reached, token_of
from api.http.remarks import keep_words
from api.http.requests import ApiRequest
from api.http.schemas import Moderation, NewReview, Reply
from api.http.security import BEARER, PUBLIC, STAFF, access, is_staff
from api.http.sending import send
from api.http.views import spec, utc
from commands.ports import Answer
from domain.booking.state import BOOKING
from domain.hotel.state import HOTEL
from domain.review.commands import ModerateReview, ReplyToReview, ReviewCommand, WriteReview
from domain.review.decide import review_id_of
from domain.shared.errors import Forbidden, NotFound
from projections.folding import page_of
from projections.ports import Document, Where
from projections.review_pages import ReviewPages

Json = Response[dict[str, Any]]


@post(
    "/{hotel_id:uuid}/reviews",
    guards=access("guest", "hotelier", "operator", "admin"),
    security=BEARER,
    responses={201: spec(ReviewView, description="The review.")},
)
async def write_review(request: ApiRequest, hotel_id: FromPath[UUID], data: JSONBody[NewReview]) -> Json:
    """Rate a hotel after check-out, once for each booking, from 1 to 10. The words go when their author does."""
    account_id = request.principal.account_id
    events = await booking_events(request, data.booking_id)
    booking = BOOKING.fold(each.event for each in events)
    details = booking.details
    if details is None or booking.status is None or (details.account_id, details.hotel_id) != (account_id, hotel_id):
        raise unknown(data.booking_id)
    hotel = (await request.platform.streams["hotels"].load(HOTEL, hotel_id)).state
    if hotel.owner_id == account_id:
        raise Forbidden("nobody reviews a hotel of their own")
    left_at = events[-1].metadata.at.astimezone(ZoneInfo(hotel.details.time_zone)) if hotel.details else None
    command = WriteReview(
        review_id=review_id_of(data.booking_id),
        booking_id=data.booking_id,
        booking_status=booking.status,
        hotel_id=hotel_id,
        account_id=account_id,
        rating=data.rating,
        stayed_until=min(details.stay.check_out, left_at.date()) if left_at else details.stay.check_out,
    )
    return await _said(request, command, account_id, data.text, status=201)


@get(
    "/{hotel_id:uuid}/reviews",
    responses={200: spec(ReviewsView, description="Reviews, newest first.")},
    opt=PUBLIC,
)
async def list_reviews(
    request: ApiRequest,
    hotel_id: FromPath[UUID],
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, QueryParameter(max_length=2_000)] = None,
) -> Json:
    """What guests say of a hotel, and what it answers."""
    headers = await reached(request, ReviewPages.name)
    page = await request.platform.documents.find(
        ReviewPages.name,
        [Where("hotel_id", "eq", str(hotel_id)), Where("status", "eq", "shown")],
        order_by="written_at",
        descending=True,
        limit=limit,
        cursor=cursor,
    )
    words = await _words(request, (each[name] for each in page.items for name in ("remark_id", "reply_id")))
    items = [_item(document, words) for document in page.items]
    return Response({"items": items, "next_cursor": page.next_cursor}, headers=headers)


@get(
    "/{review_id:uuid}",
    guards=access(),
    responses={200: spec(ReviewView, description="The review; hidden ones only for their author and for operators.")},
)
async def get_review(request: ApiRequest, review_id: FromPath[UUID]) -> Json:
    """One review, from its own record."""
    review = await _review(request, review_id)
    own = review["account_id"] == str(request.principal.account_id)
    if review["status"] == "hidden" and not own and not is_staff(request.principal):
        raise _unknown(review_id)
    return Response(await _view(request, review))


@post(
    "/{review_id:uuid}/reply",
    guards=access("hotelier", "operator", "admin"),
    status_code=200,
    responses={200: spec(ReviewView, description="The review.")},
)
async def reply_to_review(request: ApiRequest, review_id: FromPath[UUID], data: JSONBody[Reply]) -> Json:
    """Answer a review in public, once, as the hotel."""
    review = await _review(request, review_id)
    await hotel_in_charge(request, UUID(review["hotel_id"]))
    return await _said(request, ReplyToReview(review_id=review_id), UUID(review["account_id"]), data.text)


@post(
    "/{review_id:uuid}/moderation",
    guards=access(*STAFF),
    status_code=200,
    responses={200: spec(ReviewView, description="The review; status tells whether it is seen.")},
)
async def moderate_review(request: ApiRequest, review_id: FromPath[UUID], data: JSONBody[Moderation]) -> Json:
    """Hide a review from everybody, with its rating, or show it again."""
    author_id = UUID((await _review(request, review_id))["account_id"])
    return await _said(request, ModerateReview(review_id=review_id, visible=data.visible), author_id, data.reason)


async def _said(request: ApiRequest, command: ReviewCommand, author_id: UUID, text: str, *, status: int = 200) -> Json:
    """Keep the words apart from the event, send the command, and answer with the review."""
    asked = await once(request)

    async def say() -> Answer:
        await keep_words(request, asked.command_id, author_id, text)
        return await send(request, command, asked)

    answer = await answered_once(request, asked, "reviews", say)
    view = await _view(request, await _review(request, command.review_id))
    return Response(view, status_code=status, headers=token_of(answer))


async def _review(request: ApiRequest, review_id: UUID) -> Document:
    """The review's page, made of its own stream. Raises NotFound."""
    review = page_of(ReviewPages(), await request.platform.logs["reviews"].read_stream(review_id))
    if review is None:
        raise _unknown(review_id)
    return review


def _unknown(review_id: UUID) -> NotFound:
    return NotFound(f"there is no review {review_id}")


async def _view(request: ApiRequest, review: Document) -> dict[str, Any]:
    words = await _words(request, (review[name] for name in ("remark_id", "reply_id", "hiding_id")))
    return _item(review, words) | {"hidden_because": words.get(review["hiding_id"])}


async def _words(request: ApiRequest, remark_ids: Iterable[str | None]) -> dict[str, str]:
    kept = await request.platform.accounts.remarks([UUID(each) for each in remark_ids if each is not None])
    return {str(remark_id): words for remark_id, words in kept.items()}


def _item(document: Document, words: dict[str, str]) -> dict[str, Any]:
    item = {name: document[name] for name in ("review_id", "hotel_id", "rating", "stayed_until", "status")}
    reply = None
    if document["reply_id"] is not None:
        reply = {"text": words.get(document["reply_id"], ""), "written_at": utc(document["replied_at"])}
    return item | {
        "text": words.get(document["remark_id"], ""),
        "hidden_because": None,
        "written_at": utc(document["written_at"]),
        "reply": reply,
    }


reviews_router = Router(
    "/v1/reviews",
    security=BEARER,
    tags=["Reviews"],
    route_handlers=[get_review, reply_to_review, moderate_review],
)
