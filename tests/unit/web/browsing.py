"""What a browser would see and send."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urlencode

import httpx

from tests.unit.web.fake_api import (
    BOOKING,
    HOTEL,
    PLAN,
    TRIP,
)

BOOK = f"/book?{urlencode({'hotel': HOTEL, 'plan': PLAN, **TRIP})}"
HERE = f"/bookings/{BOOKING}"
DOMAIN = "testserver.local"


async def shown(client: httpx.AsyncClient, path: str, **query: str) -> str:
    answer = await client.get(path, params=query or None)
    assert answer.status_code == 200, answer.text
    return answer.text


async def sent(
    client: httpx.AsyncClient, path: str, fields: dict[str, str], *, form: str = "/login", follow: bool = False
) -> httpx.Response:
    """Send a form after having looked at a page that has one."""
    token = hidden((await client.get(form)).text)["form_token"]
    return await client.post(path, data=fields | {"form_token": token}, follow_redirects=follow)


def hidden(text: str) -> dict[str, str]:
    """The hidden fields of all forms of a page."""
    found: dict[str, str] = {}

    class Fields(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            given = dict(attrs)
            if tag == "input" and given.get("type") == "hidden":
                found[given["name"] or ""] = given["value"] or ""

    Fields().feed(text)
    return found
