"""``nightledger demo``: seed the demo hotels and accounts."""

from __future__ import annotations

import json

import httpx
import typer

from api.cli.host import Host
from api.cli.output import explained, fail, out, progress_bar, with_client


def add_to(app: typer.Typer, host: Host) -> None:
    """Add the command to ``app``."""

    @app.command()
    def demo() -> None:
        """Seed about 200 demo hotels in 20 cities and one account per role; harmless to repeat."""
        with_client(host, _seed)
        out.print(f"The accounts are in {host.data_dir / 'demo-accounts.json'}.", highlight=False)


async def _seed(client: httpx.AsyncClient) -> None:
    with progress_bar() as bar:
        task = bar.add_task("hotels", total=None, rate="")
        async with client.stream("POST", "/v1/ops/demo", timeout=None) as answer:
            if answer.is_error:
                await answer.aread()
                fail(explained(answer))
            async for line in answer.aiter_lines():
                done = json.loads(line)
                bar.update(task, completed=done["done"], total=done["total"])
