"""What a dead letter says of a read model that could not take an event: what went wrong in the projection itself."""

from __future__ import annotations

import datetime as dt
from uuid import uuid4

import pytest

from commands.dead_letters import failure_of
from commands.ports import Metadata, Position, RecordedEvent
from domain.hotel.events import RoomTypeAdded
from infra.messaging.parking import event_letter
from projections.folding import CannotApply, Folding
from projections.hotel_pages import HotelPages
from projections.ports import Document
from tests.fakes import NOW


class Broken(HotelPages):
    """Pages whose code has a mistake."""

    def apply(self, document: Document | None, recorded: RecordedEvent) -> Document | None:
        """See DocumentProjection."""
        stars: int = (document or {})["stars"]
        return {"at": recorded.recorded_at + dt.timedelta(stars)}


def test_failures_are_grouped_by_what_went_wrong_in_the_projection() -> None:
    ids = {"hotel_id": uuid4(), "room_type_id": uuid4()}
    added = RoomTypeAdded(**ids, name="Single", max_adults=1, max_children=0, beds="", amenities=(), rooms=2)
    metadata = Metadata(correlation_id=uuid4(), at=NOW)
    recorded = RecordedEvent(uuid4(), "hotels", ids["hotel_id"], 1, added, metadata, NOW, Position(3, 4))
    with pytest.raises(CannotApply) as failed:
        Folding("key", None).take(Broken(), recorded)
    letter = event_letter("hotel_pages_1", recorded, failed.value, 4, NOW)
    assert letter.error == "KeyError: 'stars'"
    assert "folding.py" in letter.traceback, "the way to it is told"
    assert failure_of(letter).kind == "KeyError"
    assert "test_parking.py" in letter.traceback.rstrip().rpartition('File "')[2].partition('"')[0]
