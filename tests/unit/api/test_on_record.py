"""Whatever an operator can change over the API goes on record, whether it is done or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from api.http.app import create_app
from tests.fakes import NOW
from tests.unit.api.conftest import CHECK_IN, CHECK_OUT, SETTINGS, ok, world_of
from tests.unit.api.fakes import Memory
from tests.unit.api.test_operating import letter

CHANGING = {"POST", "PUT", "PATCH", "DELETE"}
ROW = {
    "line": 2,
    "hotel": "Resort",
    "room_type": "A",
    "check_in": str(CHECK_IN),
    "check_out": str(CHECK_OUT),
    "adults": 2,
    "children": 0,
    "nightly_minor": 9_900,
    "non_refundable": False,
    "booked_at": NOW.isoformat(),
    "cancelled_at": None,
}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/ops/audits": {"fix": True},
    "/v1/ops/dead-letters/retry": {"all": True},
    "/v1/ops/dead-letters/discard": {"all": True},
    "/v1/ops/replays": {},
    "/v1/ops/users": {"email": "ines@example.com", "name": "Ines", "roles": ["hotelier"]},
    "/v1/ops/clients": {"name": "Nightly reports", "roles": ["analyst"]},
    "/v1/ops/imports/hotels": {"allotments": [["Resort", "A", 3]]},
    "/v1/ops/imports/bookings": {"bookings": [ROW]},
}
"""Of routes that need one. An audit that repairs nothing changes nothing."""


def changing_routes() -> list[str]:
    """Paths of all routes of operators that change something."""
    routes: Any = create_app(Memory().platform).routes
    changing = (route for route in routes if CHANGING & set(getattr(route, "methods", ())))
    return sorted(route.path_format for route in changing if route.path_format.startswith("/v1/ops/"))


@pytest.mark.parametrize("path", changing_routes())
async def test_what_changes_something_goes_on_record(memory: Memory, tmp_path: Path, path: str) -> None:
    parked = letter()
    memory.letters.letters.append(parked)
    memory.data_dir = tmp_path
    ids = {"letter_id": parked.letter_id, "saga_id": uuid4(), "replay_id": uuid4()} | {
        "client_id": uuid4(),
        "name": "hotel_pages",
    }
    async with world_of(memory, SETTINGS) as world:
        operator = await world.as_("operator")
        answer = await operator.post(path.format(**ids), json=BODIES.get(path))
    assert len(memory.actions.all) == 1, answer.text
    [action] = memory.actions.all
    assert action.actor.startswith("user:")
    assert action.action
    assert action.target
    assert action.outcome is not None
    assert "failed" not in action.outcome


async def test_demo_and_imports_are_harmless_to_repeat_when_their_commands_are_forgotten(
    memory: Memory, tmp_path: Path
) -> None:
    memory.data_dir = tmp_path
    told: list[list[Any]] = []
    async with world_of(memory, SETTINGS) as world:
        operator = await world.as_("operator")
        for _ in range(2):
            ok(await operator.post("/v1/ops/imports/hotels", json=BODIES["/v1/ops/imports/hotels"]))
            rows = ok(await operator.post("/v1/ops/imports/bookings", json=BODIES["/v1/ops/imports/bookings"]))
            demo = await operator.post("/v1/ops/demo")
            told.append([rows, demo.text])
            for streams in memory.fakes.streams.values():
                streams.answers.clear()
    assert told[1] == told[0]
    assert told[0][0] == {"outcomes": {"confirmed": 1}}
    opened = [each.event.topic for each in memory.fakes.streams["hotels"].log if "Opened" in each.event.topic]
    assert opened == ["hotels.v1.HotelOpened"] * 2, "the imported hotel and the demo's, once each"
