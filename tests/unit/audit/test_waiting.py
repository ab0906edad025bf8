"""A read model whose first build is under way is waited for, and only for so long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast
from uuid import uuid4

import pytest

from projections.audit.read_models import Logs
from projections.booking_pages import BookingPages
from projections.builds import Build, BuildRegistry, BuildState
from tests.fakes import NOW


class Builds:
    """A registry that has one list of states after another, the last one for good."""

    def __init__(self, *states: Sequence[BuildState]) -> None:
        self.states = list(states)

    async def builds(self, projection: str | None = None) -> list[Build]:
        assert projection == "booking_pages"
        states = self.states[0]
        ids = {"projection": projection, "version": 1, "replay_id": uuid4(), "created_at": NOW}
        return [Build.model_validate({**ids, "name": f"{projection}_1", "state": state}) for state in states]

    async def wait(self, _: float) -> None:
        """Time goes by."""
        self.states = self.states[1:] or self.states


async def built(builds: Builds, patience_seconds: float = 60) -> bool:
    logs = Logs({}, builds.wait, patience_seconds)
    return await logs.built(BookingPages(), cast("BuildRegistry", builds))


async def test_it_is_waited_for() -> None:
    builds = Builds(["building"], ["swapping"], ["live"])
    assert await built(builds)
    assert builds.states == [["live"]]


@pytest.mark.parametrize("states", [["building", "live"], ["returning", "live"], ["failed"], ["kept", "unwanted"], []])
async def test_there_is_nothing_to_wait_for(states: Sequence[BuildState]) -> None:
    builds = Builds(states, ["dropped"])
    assert await built(builds)
    assert builds.states[0] == states


async def test_not_for_ever() -> None:
    assert not await built(Builds(["building"]), patience_seconds=0)
