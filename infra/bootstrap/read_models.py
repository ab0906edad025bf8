"""Every read model, with the store that keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from projections.booking_facts import BookingFacts
from projections.booking_pages import BookingPages
from projections.calendars import Calendars
from projections.hotel_pages import HotelPages
from projections.hotel_search import HotelSearch
from projections.notices import Notices
from projections.payment_pages import PaymentPages
from projections.ports import CalendarStore, DocumentStore, FactStore, SearchStore
from projections.projection import Projection
from projections.review_pages import ReviewPages
from projections.saga_pages import SagaPages
from projections.writers import CalendarWriter, FactWriter, FoldWriter, ProjectionWriter

BOOKING_LISTS = (("account_id", "created_at"), ("hotel_id", "created_at"), ("status", "created_at"), ("created_at",))
_REVIEW_LISTS = (("hotel_id", "written_at"),)
_NOTICE_LISTS = (("account_id", "at"),)
_SAGA_LISTS = (("status", "updated_at"), ("updated_at",))


@dataclass(frozen=True, slots=True)
class ReadStores:
    """The stores that read models are kept in. ``facts`` None: another process owns them."""

    documents: DocumentStore
    search: SearchStore
    calendars: CalendarStore
    facts: FactStore | None = None


def projections_of_all() -> tuple[Projection, ...]:
    """Every read model of the platform, whichever service feeds it."""
    return (
        HotelPages(),
        HotelSearch(),
        Calendars(),
        BookingPages(),
        PaymentPages(),
        ReviewPages(),
        Notices(),
        SagaPages(),
        BookingFacts(),
    )


def writers_of(stores: ReadStores, services: Sequence[str]) -> list[ProjectionWriter]:
    """What writes the read models of ``services``."""
    writers: list[ProjectionWriter] = [
        FoldWriter(HotelPages(), stores.documents),
        FoldWriter(HotelSearch(), stores.search),
        CalendarWriter(Calendars(), stores.calendars),
        FoldWriter(BookingPages(), stores.documents, BOOKING_LISTS),
        FoldWriter(PaymentPages(), stores.documents),
        FoldWriter(ReviewPages(), stores.documents, _REVIEW_LISTS),
        FoldWriter(Notices(), stores.documents, _NOTICE_LISTS),
        FoldWriter(SagaPages(), stores.documents, _SAGA_LISTS),
    ]
    if stores.facts is not None:
        writers.append(FactWriter(BookingFacts(), stores.facts))
    return [writer for writer in writers if writer.projection.service in services]
