"""Who waits for an answer goes before who replays or audits in the same process."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from commands import turns
from commands.turns import in_turns
from projections.ports import HotelHits, HotelQuery
from tests.unit.api.conftest import World, ok
from tests.unit.api.fake_reads import MemorySearch

ROUNDS = 20


async def test_long_work_rests_while_a_request_is_answered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TURN_SECONDS", 0)
    monkeypatch.setattr(turns, "PATIENCE_SECONDS", 60)
    monkeypatch.setattr(turns, "FIRST_SECONDS", 60)
    done: list[int] = []
    meanwhile: list[int] = []

    async def slowly(self: MemorySearch, name: str, query: HotelQuery) -> HotelHits:
        del self, name, query
        for _ in range(ROUNDS):
            await asyncio.sleep(0)
            meanwhile.append(len(done))
        return HotelHits([], 0, {}, None)

    monkeypatch.setattr(MemorySearch, "search", slowly)
    work: asyncio.Task[Any] = asyncio.create_task(in_turns(range(1_000_000), done.append))
    await asyncio.sleep(0)
    assert ok(await world.anonymous.get("/v1/hotels"))["total"] == 0
    assert len(meanwhile) == ROUNDS
    assert meanwhile[0] == meanwhile[-1]
    assert len(done) > 0
    work.cancel()
