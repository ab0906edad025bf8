"""Hotel pages: everything that a guest sees of a hotel, one document per hotel.

Shape: ``{hotel_id, owner_id, name, city, country, location: {lat, lon}, time_zone, currency, stars, amenities,
description, images, room_types: [{room_type_id, name, max_adults, max_children, beds, amenities, rooms}], rate_plans:
[{rate_plan_id, room_type_id, name, board, cancellation: [{hours_before, percent}], payment_policy,
per_extra_adult_minor, per_child_minor}], rating, version}``. ``version`` is that of the hotel's own stream.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from commands.ports import RecordedEvent
from domain.hotel.events import HotelDetailsChanged, HotelOpened, PricesSet, RatePlanAdded, RoomTypeAdded
from domain.review.events import ReviewHidden, ReviewShown, ReviewWritten
from projections.ports import Document
from projections.projection import DocumentProjection
from projections.ratings import RATED, rated


def hotel_details(event: HotelOpened | HotelDetailsChanged) -> Document:
    """The descriptive fields that both the page and the search show."""
    return {
        "name": event.name,
        "city": event.city,
        "country": event.country,
        "time_zone": event.time_zone,
        "currency": event.currency,
        "stars": event.stars,
        "amenities": list(event.amenities),
        "description": event.description,
        "images": list(event.images),
    }


class HotelPages(DocumentProjection):
    """Keyed by hotel_id."""

    name = "hotel_pages"
    version = 2
    service = "hotels"
    takes = (HotelOpened, HotelDetailsChanged, RoomTypeAdded, RatePlanAdded, PricesSet, *RATED)

    def keys(self, recorded: RecordedEvent) -> Iterable[str]:
        """Every event of hotels and reviews names its hotel."""
        event: Any = recorded.event
        return (str(event.hotel_id),)

    def apply(self, document: Document | None, recorded: RecordedEvent) -> Document | None:
        """See Projection."""
        page: Document = {"room_types": [], "rate_plans": [], **(document or {})}
        match recorded.event:
            case ReviewWritten() | ReviewHidden() | ReviewShown() as review:
                return page | rated(page, review)
            case HotelOpened() as opened:
                page |= hotel_details(opened) | {
                    "hotel_id": str(opened.hotel_id),
                    "owner_id": str(opened.owner_id),
                    "location": {"lat": opened.latitude, "lon": opened.longitude},
                }
            case HotelDetailsChanged() as changed:
                page |= hotel_details(changed) | {"location": {"lat": changed.latitude, "lon": changed.longitude}}
            case RoomTypeAdded() as added:
                room_type = added.model_dump(mode="json", exclude={"hotel_id"})
                page["room_types"] = _with(page["room_types"], "room_type_id", room_type)
            case RatePlanAdded() as plan:
                shown = plan.model_dump(mode="json", exclude={"hotel_id", "cancellation"})
                shown |= {"per_extra_adult_minor": 0, "per_child_minor": 0}
                shown["cancellation"] = [
                    {"hours_before": tier.hours_before, "percent": tier.percent_charged} for tier in plan.cancellation
                ]
                page["rate_plans"] = _with(page["rate_plans"], "rate_plan_id", shown)
            case PricesSet() as prices:
                page["rate_plans"] = [
                    plan
                    | {"per_extra_adult_minor": prices.per_extra_adult_minor, "per_child_minor": prices.per_child_minor}
                    if plan["rate_plan_id"] == str(prices.rate_plan_id)
                    else plan
                    for plan in page["rate_plans"]
                ]
        return page | {"version": recorded.version}


def _with(items: list[Document], key: str, new: Document) -> list[Document]:
    return [item for item in items if item[key] != new[key]] + [new]
