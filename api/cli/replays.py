"""Replays at the terminal: ordered, followed to their ends, given up, undone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import typer
from rich.progress import Progress

from api.cli.output import EXIT_FAILED, call, complain, err, fail, out, print_json, progress_bar

_POLL_SECONDS = 0.3
_ENDED = ("live", "kept", "failed", "dropped")
"""States in which a replay has ended; in any other it is on its way."""


async def replay(client: httpx.AsyncClient, names: Sequence[str], *, keep: bool, why: str, as_json: bool) -> None:
    """Rebuild ``names`` (all, if there are none) in one order, and follow that."""
    order = {"projections": list(names) or None, "keep": keep, "why": why}
    started = (await call(client, "POST", "/v1/ops/replays", json=order))["items"]
    await _follow(client, {item["projection"]: item["replay_id"] for item in started}, as_json=as_json)


async def follow(client: httpx.AsyncClient, names: Sequence[str], *, as_json: bool) -> None:
    """Follow what is under way, of ``names`` if there are any."""
    under_way = await _under_way(client)
    if not under_way and not names:
        err.print("no replay is under way")
        return
    await _follow(client, {name: _one_of(under_way, name) for name in names or under_way}, as_json=as_json)


async def cancel(client: httpx.AsyncClient, names: Sequence[str], why: str) -> None:
    """Give up the replays of ``names``."""
    under_way = await _under_way(client)
    for name in names:
        replay_id = _one_of(under_way, name)
        replay = await call(client, "POST", f"/v1/ops/replays/{replay_id}/cancel", json={"why": why})
        out.print(f"{replay['build']} is given up; readers see what they saw before", highlight=False)


async def back(client: httpx.AsyncClient, name: str, *, why: str, as_json: bool) -> None:
    """Go back to the build that was kept, and follow that."""
    replay = await call(client, "POST", f"/v1/ops/projections/{name}/back", json={"why": why})
    await _follow(client, {name: replay["replay_id"]}, as_json=as_json)


async def _under_way(client: httpx.AsyncClient) -> dict[str, str]:
    items = (await call(client, "GET", "/v1/ops/replays"))["items"]
    return {item["projection"]: item["replay_id"] for item in items}


def _one_of(under_way: Mapping[str, str], name: str) -> str:
    """The replay of ``name``; without one the command ends."""
    if name not in under_way:
        fail(f"no replay of {name!r} is under way: `nightledger projections status {name}` tells how it stands")
    return under_way[name]


async def _follow(client: httpx.AsyncClient, replays: Mapping[str, str], *, as_json: bool) -> None:
    """Show bars until all have ended; exit status 1 if one has not gone live."""
    try:
        with progress_bar() as bar:
            ended = await asyncio.gather(*(watched(client, name, replay, bar) for name, replay in replays.items()))
    except asyncio.CancelledError:
        err.print(
            "The platform goes on with it, also after a restart: `nightledger projections follow` shows it, "
            "`nightledger projections cancel NAME` gives it up.",
            highlight=False,
            soft_wrap=True,
        )
        raise
    lost = [replay for replay in ended if replay["state"] != "live"]
    if as_json:
        for replay in ended:
            print_json(replay)
    else:
        for replay in lost:
            say_why(replay)
    if lost:
        raise typer.Exit(EXIT_FAILED)


def say_why(replay: Mapping[str, Any]) -> None:
    """Why a replay that has ended is not what readers see."""
    reason = replay["error"] or f"{replay['build']} is {replay['state']}"
    complain(f"{replay['projection']}: {reason}")


async def watched(client: httpx.AsyncClient, name: str, replay_id: str, bar: Progress) -> dict[str, Any]:
    """The replay once it has ended, followed by a bar of that ``name``."""
    task = bar.add_task(name, total=None, rate="")
    while True:
        replay: dict[str, Any] = await call(client, "GET", f"/v1/ops/replays/{replay_id}")
        rate = f"{replay['events_per_second']:,.0f} events/s"
        bar.update(task, completed=replay["events_done"], total=replay["events_total"] or None, rate=rate)
        if replay["state"] in _ENDED:
            return replay
        await asyncio.sleep(_POLL_SECONDS)
