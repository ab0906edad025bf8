"""The whole demo: accounts, hotels, and what to tell the person who started it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from api.demo.accounts import account_id, open_demo_accounts
from api.demo.seeding import Seeding
from api.platform import Platform


class Demo:
    """Seeds ``platform`` with the first ``hotels`` of all; the accounts are kept in its data directory."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._file = platform.data_dir / "demo-accounts.json"
        self.total = platform.demo_hotels

    async def seed(self) -> AsyncIterator[int]:
        """Seed, or find that it is done; yields how many of ``total`` hotels are there."""
        platform = self._platform
        await open_demo_accounts(platform.accounts, platform.passwords, platform.clock, self._file)
        done = 0
        seeding = Seeding(platform.bus, platform.logs["hotels"], platform.clock)
        async for _ in seeding.hotels(account_id("hotelier"), self.total):
            done += 1
            yield done

    def what_to_try(self, url: str) -> str:
        """A first tour by curl."""
        return f"""
Nightledger is ready at {url} with {self.total} demo hotels.

  The API, with examples   {url}/docs
  Demo accounts            {self._file} (guest, hotelier, operator, analyst)

Search and look at offers (dates a month from now):
  curl "{url}/v1/hotels?city=Lisbon&sort=price"
  curl "{url}/v1/hotels/HOTEL_ID/offers?check_in=$(date -d +30days +%F)&check_out=$(date -d +32days +%F)&adults=2"

Book it (README.md has the whole tour):
  curl -X POST {url}/v1/auth/register -H 'Content-Type: application/json' \\
    -d '{{"email":"me@example.com","password":"correct horse battery","name":"Me"}}'
"""
