"""Read models are rebuilt beside themselves while they are read and fed, whatever happens on the way."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest

from domain.shared.errors import IllegalTransition
from infra.stores.pg_documents import PostgresDocuments
from projections.builds import ReplayRunning
from projections.filling import Filling
from projections.log_pass import LogPass
from projections.read_models import WATCH_SECONDS
from projections.replay import CAUGHT_UP_WITHIN
from tests.e2e.stories import until
from tests.integration.replay.counters import Place, Praises, Totals, TotalsTwo, ended, process


async def first_builds(at: Place) -> None:
    """Return when both read models have their first build."""

    async def live() -> bool:
        return await at.states("totals") == {"totals_1": "live"} and await at.states("praises") == {"praises_1": "live"}

    await until(live)


async def all_total(at: Place, more: int = 0) -> None:
    """Return when readers see every counter with all its increases."""

    async def seen() -> bool:
        found = [await at.total(stream) for stream in at.events]
        return [each and each["total"] for each in found] == [total + more for total in at.events.values()]

    await until(seen)


async def test_several_read_models_are_rebuilt_from_one_pass_over_the_log(at: Place) -> None:
    await at.append(counters=20, increases=5)
    async with process(at, Totals(), Praises()):
        await first_builds(at)
        before = at.log.reads
        builds = await at.orders(Totals(), Praises()).replay(["totals", "praises"])
        assert [(await ended(at, build)).state for build in builds] == ["live", "live"]
        assert at.log.reads - before == 20 * (5 + 1)
        await all_total(at)
        assert at.stores["totals"].saved["totals_2"] == 20


async def test_readers_and_events_go_on_while_a_read_model_is_rebuilt(
    at: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LogPass, "run_length", 10)
    await at.append(counters=20, increases=5)
    async with process(at, Totals(), Praises()):
        await first_builds(at)
        readers = asyncio.create_task(never_missing(at))
        for number in range(2, 5):
            (build,) = await at.orders(Totals()).replay(["totals"])
            await at.go_on()
            assert (await ended(at, build)).state == "live"
            at.events = {stream: total + 1 for stream, total in at.events.items()}
            await all_total(at)
            assert await at.states("totals") == {f"totals_{number}": "live"}
        readers.cancel()
        with suppress(asyncio.CancelledError):
            await readers


async def never_missing(at: Place) -> None:
    """Read everything, again and again: what was there once is there for ever, and only grows."""
    least = dict(at.events)
    while True:
        for stream, total in least.items():
            found = await at.total(stream)
            assert found is not None
            assert found["total"] >= total
            least[stream] = found["total"]


async def test_a_slow_store_holds_up_nobody_else(at: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogPass, "run_length", 10)
    monkeypatch.setattr(LogPass, "patience", 0.05)
    await at.append(counters=30, increases=3)
    async with process(at, Totals(), Praises()):
        await first_builds(at)
        at.stores["totals"].hold(after=0)
        totals, praises = await at.orders(Totals(), Praises()).replay(["totals", "praises"])
        assert (await ended(at, praises)).state == "live"
        assert (await at.states("totals"))["totals_2"] == "building"
        at.stores["totals"].let_go()
        assert (await ended(at, totals)).state == "live"
        await all_total(at)


async def test_a_store_that_cannot_begin_holds_up_nobody_else(at: Place) -> None:
    await at.append(counters=5, increases=2)
    async with process(at, Totals(), Praises()):
        await first_builds(at)
        at.stores["totals"].full = True
        totals, praises = await at.orders(Totals(), Praises()).replay(["totals", "praises"])
        assert (await ended(at, praises)).state == "live"
        assert (await at.states("totals"))["totals_2"] == "building"
        at.stores["totals"].full = False
        assert (await ended(at, totals)).state == "live"
        await all_total(at)


async def test_a_replay_waits_for_a_store_that_is_away(at: Place) -> None:
    await at.append(counters=5, increases=2)
    async with process(at, Totals(), Praises()):
        await first_builds(at)
        at.stores["totals"].away = True
        (build,) = await at.orders(Totals()).replay(["totals"])
        await until(lambda: progress(at, "totals_2", done=0))
        at.stores["totals"].away = False
        assert (await ended(at, build)).state == "live"
        await all_total(at)


async def test_a_replay_that_was_cut_off_goes_on_where_it_was(at: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogPass, "run_length", 10)
    monkeypatch.setattr(Filling, "flush_seconds", 0)
    await at.append(counters=40, increases=1)
    async with process(at, Totals(), Praises()):
        await first_builds(at)
        at.stores["totals"].hold(after=2)
        (build,) = await at.orders(Totals()).replay(["totals"])
        await until(lambda: written(at, "totals_2", 20))
    at.stores["totals"].let_go()
    async with process(at, Totals(), Praises()):
        assert (await ended(at, build)).state == "live"
        await all_total(at)
        # A document that has its events is not written again, even if the checkpoint had not come after it.
        assert at.stores["totals"].saved["totals_2"] == 40
        assert (await ended(at, build)).events_done == 40


async def written(at: Place, build: str, documents: int) -> bool:
    return at.stores["totals"].saved[build] == documents


async def progress(at: Place, name: str, *, done: int) -> bool:
    return any(build.name == name and build.events_done == done for build in await at.builds.builds())


async def test_the_first_event_that_cannot_be_applied_ends_a_replay_and_nothing_else(at: Place) -> None:
    await at.append(counters=3, increases=1)
    async with process(at, Totals(), Praises()):
        await first_builds(at)
        await at.append(counters=1, increases=1, note="poison")
        poisoned = [*at.events][-1]
        del at.events[poisoned]
        (build,) = await at.orders(Totals()).replay(["totals"])
        failed = await ended(at, build)
        assert failed.state == "failed"
        assert failed.error is not None
        assert "ValueError: this note cannot be read" in failed.error
        assert f"stream {poisoned} version 1" in failed.error
        assert await at.states("totals") == {"totals_1": "live", "totals_2": "failed"}
        await all_total(at)
        await until(lambda: gone(at, "totals_2"))


async def gone(at: Place, build: str) -> bool:
    """Whether nothing of a build is left in its store."""
    found: bool = await at.pool.fetchval("SELECT to_regclass($1) IS NULL", f'documents_totals."{build}"')
    return found


async def test_only_one_replay_of_a_read_model_at_a_time(at: Place) -> None:
    await at.append(counters=3, increases=1)
    async with process(at, Totals(), Praises()):
        await first_builds(at)
        at.stores["totals"].hold(after=0)
        orders = at.orders(Totals(), Praises())
        (build,) = await orders.replay(["totals"])
        with pytest.raises(ReplayRunning):
            await orders.replay(["praises", "totals"])
        assert "building" not in (await at.states("praises")).values()
        at.stores["totals"].let_go()
        assert (await ended(at, build)).state == "live"


async def test_what_another_process_has_made_live_meanwhile_is_left_alone(at: Place) -> None:
    """It was still being built when this process looked, and the lock was free again when this one came to it."""
    await at.append(counters=5, increases=2)
    async with process(at, Totals(), Praises()) as read_models:
        await first_builds(at)
        (live,) = await at.builds.builds("totals")
        (_, replay), _ = read_models._models  # noqa: SLF001 - what a look of its own would have it do
        fillers = read_models._fillers  # noqa: SLF001
        seen = live.model_copy(update={"state": "building"})
        await replay.make_live(seen, await fillers((seen,)))
        assert await at.states("totals") == {live.name: "live"}
        await all_total(at)


async def test_a_replay_can_be_given_up(at: Place) -> None:
    await at.append(counters=3, increases=1)
    async with process(at, Totals(), Praises()):
        await first_builds(at)
        at.stores["totals"].away = True
        (build,) = await at.orders(Totals()).replay(["totals"])
        await at.orders(Totals()).cancel(build.replay_id)
        at.stores["totals"].away = False
        await until(lambda: has_states(at, {"totals_1": "live"}))
        await until(lambda: gone(at, "totals_2"))
        with pytest.raises(IllegalTransition, match="has ended"):
            await at.orders(Totals()).cancel(build.replay_id)
        await all_total(at)


async def has_states(at: Place, expected: dict[str, str]) -> bool:
    return await at.states("totals") == expected


async def test_what_is_kept_comes_back_with_all_that_has_happened_meanwhile(at: Place) -> None:
    await at.append(counters=3, increases=1)
    async with process(at, Totals(), Praises()):
        await first_builds(at)
        (build,) = await at.orders(Totals()).replay(["totals"], keep=True)
        assert (await ended(at, build)).state == "live"
        await until(lambda: has_states(at, {"totals_1": "kept", "totals_2": "live"}))
        await at.go_on()
        await all_total(at, more=1)

        back = await at.orders(Totals()).bring_back("totals")
        assert back.name == "totals_1"
        await until(lambda: has_states(at, {"totals_1": "live", "totals_2": "kept"}))
        await all_total(at, more=1)

        await at.orders(Totals()).discard("totals")
        await until(lambda: has_states(at, {"totals_1": "live"}))
        await until(lambda: gone(at, "totals_2"))
        with pytest.raises(IllegalTransition, match="--keep"):
            await at.orders(Totals()).bring_back("totals")


async def test_a_new_version_of_the_code_is_built_first_and_the_old_one_can_come_back(at: Place) -> None:
    await at.append(counters=3, increases=1)
    async with process(at, Totals(), Praises()):
        await first_builds(at)
        async with process(at, TotalsTwo(), Praises()):
            await until(lambda: has_states(at, {"totals_1": "kept", "totals_2": "live"}))
            assert await made_by(at) == {"version 2"}
            await at.go_on()
            await all_total(at, more=1)
            # The old code still runs, sees what has happened, and leaves it alone.
            assert await at.states("totals") == {"totals_1": "kept", "totals_2": "live"}
            with pytest.raises(IllegalTransition, match="deploy that version's code"):
                await at.orders(TotalsTwo()).bring_back("totals")
    async with process(at, Totals(), Praises()):
        await until(lambda: has_states(at, {"totals_1": "live", "totals_2": "kept"}))
        await all_total(at, more=1)
        assert await made_by(at) == {"version 1"}


async def test_new_code_takes_the_place_of_a_replay_that_old_code_has_left(at: Place) -> None:
    await at.append(counters=3, increases=1)
    async with process(at, Totals(), Praises()):
        await first_builds(at)
        at.stores["totals"].hold(after=0)
        await at.orders(Totals()).replay(["totals"])
        await until(lambda: has_states(at, {"totals_1": "live", "totals_2": "building"}))
    at.stores["totals"].let_go()
    async with process(at, TotalsTwo(), Praises()):
        await until(lambda: has_states(at, {"totals_1": "kept", "totals_3": "live"}))
        assert await made_by(at) == {"version 2"}
        at.stores["totals"].hold(after=0)
        await at.orders(TotalsTwo()).replay(["totals"])
    at.stores["totals"].let_go()
    async with process(at, Totals(), Praises()):
        await until(lambda: has_states(at, {"totals_1": "live", "totals_3": "kept"}))
        assert await made_by(at) == {"version 1"}


@pytest.mark.parametrize("dies", ["before pointing", "after pointing"])
async def test_new_code_ends_a_swap_in_the_middle_of_which_old_code_has_died(
    at: Place, monkeypatch: pytest.MonkeyPatch, dies: str
) -> None:
    await at.append(counters=3, increases=1)
    swapping = asyncio.Event()

    async def point_and_hang(name: str, build: str) -> None:
        if dies == "after pointing":
            await PostgresDocuments.point(at.stores["totals"], name, build)
        swapping.set()
        await asyncio.Event().wait()

    async with process(at, Totals(), Praises()):
        await first_builds(at)
        monkeypatch.setattr(at.stores["totals"], "point", point_and_hang)
        await at.orders(Totals()).replay(["totals"])
        await swapping.wait()
    monkeypatch.undo()
    assert await at.states("totals") == {"totals_1": "live", "totals_2": "swapping"}
    reading = asyncio.create_task(never_missing(at))
    async with process(at, TotalsTwo(), Praises()):
        await until(lambda: has_states(at, {"totals_2": "kept", "totals_3": "live"}))
    reading.cancel()
    with suppress(asyncio.CancelledError):
        await reading


async def test_new_code_lets_old_code_end_its_swap(at: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    await at.append(counters=3, increases=1)
    swapping, go_on = asyncio.Event(), asyncio.Event()

    async def point_when_told(name: str, build: str) -> None:
        swapping.set()
        await go_on.wait()
        await PostgresDocuments.point(at.stores["totals"], name, build)

    async with process(at, Totals(), Praises()), AsyncExitStack() as newer:
        await first_builds(at)
        monkeypatch.setattr(at.stores["totals"], "point", point_when_told)
        await at.orders(Totals()).replay(["totals"])
        await swapping.wait()
        beginning = asyncio.create_task(newer.enter_async_context(process(at, TotalsTwo(), Praises())))
        await asyncio.wait([beginning], timeout=5 * WATCH_SECONDS)
        assert await at.states("totals") == {"totals_1": "live", "totals_2": "swapping"}
        go_on.set()
        await beginning
        await until(lambda: has_states(at, {"totals_2": "kept", "totals_3": "live"}))


async def test_several_processes_may_go_back_at_once(at: Place) -> None:
    await at.append(counters=3, increases=1)
    async with process(at, Totals(), Praises()):
        await first_builds(at)
    async with process(at, TotalsTwo(), Praises()):
        await until(lambda: has_states(at, {"totals_1": "kept", "totals_2": "live"}))
    async with AsyncExitStack() as processes:
        beginning = (processes.enter_async_context(process(at, Totals(), Praises())) for _ in range(4))
        await asyncio.gather(*beginning)
        await until(lambda: has_states(at, {"totals_1": "live", "totals_2": "kept"}))


async def test_old_and_new_code_build_one_thing_when_a_store_is_emptied(at: Place) -> None:
    await at.append(counters=3, increases=1)
    async with process(at, Totals(), Praises()):
        await first_builds(at)
        async with process(at, TotalsTwo(), Praises()):
            await until(lambda: has_states(at, {"totals_1": "kept", "totals_2": "live"}))
            at.stores["totals"].hold(after=0)
            await at.pool.execute("DROP SCHEMA documents_totals CASCADE")
            await until(lambda: has_states(at, {"totals_3": "building"}))
            async with process(at, Totals(), Praises()), process(at, TotalsTwo(), Praises()):
                assert await at.states("totals") == {"totals_3": "building"}
            at.stores["totals"].let_go()
            await until(lambda: has_states(at, {"totals_3": "live"}))


async def test_who_is_coming_back_can_be_told_to_stay(at: Place) -> None:
    await at.append(counters=3, increases=1)
    async with process(at, Totals(), Praises()):
        await first_builds(at)
        (build,) = await at.orders(Totals()).replay(["totals"], keep=True)
        assert (await ended(at, build)).state == "live"
        at.stores["totals"].hold(after=0)
        await at.append(counters=CAUGHT_UP_WITHIN + 1, increases=1)  # so it cannot catch up
        back = await at.orders(Totals()).bring_back("totals")
        await at.orders(Totals()).cancel(back.replay_id)
        await until(lambda: has_states(at, {"totals_1": "kept", "totals_2": "live"}))
        at.stores["totals"].let_go()
        await all_total(at)
        assert await at.states("totals") == {"totals_1": "kept", "totals_2": "live"}


async def made_by(at: Place) -> set[Any]:
    """Which code has written what readers see."""
    found = [await at.total(stream) for stream in at.events]
    return {each["by"] for each in found if each is not None}


async def test_what_a_store_has_lost_is_built_anew(at: Place) -> None:
    await at.append(counters=3, increases=1)
    async with process(at, Totals(), Praises()):
        await first_builds(at)
        await at.pool.execute("DROP SCHEMA documents_totals CASCADE")
        await until(lambda: has_states(at, {"totals_2": "live"}))
        await at.go_on()
        await all_total(at, more=1)
