"""Payments: where the money of a booking stands, and what the guest does at the sandbox provider."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

from litestar import Response, Router, get, post
from litestar.params import FromPath, JSONBody

from api.http.booking_models import PaymentView
from api.http.idempotency import answered_once, once
from api.http.positions import token_of
from api.http.remarks import keep_words
from api.http.requests import ApiRequest
from api.http.schemas import NewRefund, PaymentAction, PaymentMeans
from api.http.security import BEARER, STAFF, Access, access, is_staff
from api.http.sending import etag, send
from api.http.views import spec, utc
from commands.ports import Answer
from domain.booking.decide import require_past_cancelling
from domain.booking.state import BOOKING
from domain.payment.commands import GOODWILL, RefundPayment, ResolvePaymentAction
from domain.shared.errors import InvalidCommand, NotFound
from projections.folding import page_of
from projections.payment_pages import PaymentPages
from projections.ports import Document

Json = Response[dict[str, Any]]


@get("/{payment_id:uuid}", responses={200: spec(PaymentView, description="The payment.")})
async def get_payment(request: ApiRequest, payment_id: FromPath[UUID]) -> Json:
    """A payment, from its own record. A payment that has not begun yet is not found."""
    page = await _payment(request, payment_id)
    return Response(_view(page), headers=etag(page["version"]))


@post(
    "/{payment_id:uuid}/action",
    status_code=200,
    responses={200: spec(PaymentView, description="The payment after the action.")},
)
async def act_on_payment(request: ApiRequest, payment_id: FromPath[UUID], data: JSONBody[PaymentAction]) -> Json:
    """Approve or refuse at the sandbox what it asked of the guest; a real provider is asked what came of it."""
    page = await _payment(request, payment_id)
    command = ResolvePaymentAction(payment_id=payment_id, booking_id=page["booking_id"], approve=data.approve)
    answer = await send(request, command)
    after = await _payment(request, payment_id)
    return Response(_view(after), headers=token_of(answer) | etag(after["version"]))


@post(
    "/{payment_id:uuid}/refunds",
    guards=[Access(*STAFF)],
    responses={201: spec(PaymentView, description="The payment after the refund.")},
)
async def refund_payment(request: ApiRequest, payment_id: FromPath[UUID], data: JSONBody[NewRefund]) -> Json:
    """Give back out of goodwill what no policy asks for. Idempotency-Key is required; after a 503 ask again with it."""
    booking_id = UUID((await _payment(request, payment_id))["booking_id"])
    booking = (await request.platform.streams["bookings"].load(BOOKING, booking_id)).state
    details = require_past_cancelling(booking, booking_id)
    asked = await once(request, required=True)
    command = RefundPayment(
        payment_id=payment_id,
        booking_id=booking_id,
        refund_id=uuid5(asked.command_id, "refund"),
        amount=data.amount.to_domain(),
        reason=GOODWILL,
    )

    async def refund() -> Answer:
        await keep_words(request, asked.command_id, details.account_id, data.reason)
        return await send(request, command, asked)

    answer = await answered_once(request, asked, "payments", refund)
    after = await _payment(request, payment_id)
    return Response(_view(after), status_code=201, headers=token_of(answer) | etag(after["version"]))


def require_provider(request: ApiRequest, means: PaymentMeans) -> None:
    """Raise InvalidCommand unless payments by that provider are set up here."""
    if means.provider not in request.http.providers:
        known = ", ".join(sorted(request.http.providers))
        detail = f"payments by {means.provider} are not set up here; there is {known}"
        raise InvalidCommand(detail, errors=(("payment.provider", f"must be {known}"),))


async def _payment(request: ApiRequest, payment_id: UUID) -> Document:
    """The payment's page, made of its stream by the read model's own rules, so that it is never late.

    Raises NotFound unless it exists and is of a booking of the principal's, or the principal is staff.
    """
    page = page_of(PaymentPages(), await request.platform.logs["payments"].read_stream(payment_id))
    if page is None or not await _may_see(request, UUID(page["booking_id"])):
        raise NotFound(f"there is no payment {payment_id}")
    return page


async def _may_see(request: ApiRequest, booking_id: UUID) -> bool:
    if is_staff(request.principal):
        return True
    booking = (await request.platform.streams["bookings"].load(BOOKING, booking_id)).state
    return booking.details is not None and booking.details.account_id == request.principal.account_id


def _view(page: Document) -> dict[str, Any]:
    view = {name: page[name] for name in PaymentView.model_fields}
    return view | {name: utc(page[name]) for name in ("created_at", "updated_at")}


payments_router = Router(
    "/v1/payments",
    guards=access("guest", "hotelier", "operator", "admin"),
    security=BEARER,
    tags=["Payments"],
    route_handlers=[get_payment, act_on_payment, refund_payment],
)
