"""The program that fills builds, where it has nothing to fill them with."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.bootstrap.filling import fillers_of
from infra.bootstrap.servers import CONTEXTS, Servers
from infra.filling_process import FillingCutOff
from infra.settings import Settings
from tests.unit.replaying.logs import log_of
from tests.unit.replaying.test_filling_process import ONE


async def test_servers_that_are_away_when_it_begins_are_waited_for(tmp_path: Path) -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
    servers = Servers(
        postgres=dict.fromkeys(CONTEXTS, nowhere),
        redis="redis://127.0.0.1:1",
        rabbitmq=None,
        mongo=None,
        elasticsearch=None,
        clickhouse=None,
    )
    settings = Settings(data_dir=tmp_path, replay_process_from=1, replay_priority="normal")
    beside = fillers_of(settings, servers, ("hotels",), {"hotels": log_of(1)})
    filler = await beside(lambda _: pytest.fail("a log of one event is long here"))((ONE,))
    with pytest.raises(FillingCutOff, match="ConnectionRefusedError"):
        await filler.fill(ONE)
