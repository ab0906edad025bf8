"""A picture for every hotel without one: a row of houses at night, always the same for the same hotel."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from itertools import count

from markupsafe import Markup

WIDTH, HEIGHT = 320, 200
_SKIES = (
    ("#141a3c", "#44337a", "#d97757"),
    ("#0d1b2a", "#1b4965", "#e0a458"),
    ("#1a1035", "#5b2a6e", "#f08a5d"),
    ("#10203f", "#2a5f7a", "#f2b880"),
    ("#171738", "#3a3b78", "#c9839b"),
    ("#0b2233", "#22577a", "#ffcb77"),
)
_NEAR, _FAR, _LIGHT, _MOON = "#0b1022", "#1c2447", "#ffd98a", "#fdf3d8"


@lru_cache(maxsize=1_000)
def cover(key: str) -> Markup:
    """An SVG element, decoration only, made from ``key``."""
    chance = _numbers(key)
    top, middle, low = _SKIES[next(chance) % len(_SKIES)]
    name = hashlib.blake2b(key.encode(), digest_size=5).hexdigest()
    far, _ = _houses(chance, 40, 60)
    near, windows = _houses(chance, 50, 90)
    stars = "".join(f"M{next(chance) * 5 // 4} {next(chance) * 2 // 5}h1v1h-1z" for _ in range(14))
    moon_x, moon_y = 30 + next(chance), 28 + next(chance) // 8
    drawing = (
        f'<svg class="cover" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="xMidYMax slice" aria-hidden="true"'
        f' focusable="false"><defs><linearGradient id="sky-{name}" x1="0" y1="0" x2="0" y2="1">'
        f'<stop offset="0" stop-color="{top}"/><stop offset=".6" stop-color="{middle}"/>'
        f'<stop offset="1" stop-color="{low}"/></linearGradient></defs>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="url(#sky-{name})"/>'
        f'<circle cx="{moon_x}" cy="{moon_y}" r="13" fill="{_MOON}" opacity=".9"/>'
        f'<path d="{stars}" fill="#fff" opacity=".8"/><path d="{far}" fill="{_FAR}" opacity=".75"/>'
        f'<path d="{near}" fill="{_NEAR}"/><path d="{windows}" fill="{_LIGHT}"/></svg>'
    )
    return Markup(drawing)  # noqa: S704 - numbers and colours of ours; the key is only hashed


def _houses(chance: Iterator[int], lowest: int, spread: int) -> tuple[str, str]:
    """Outlines of a row of houses, and of their lit windows."""
    outline, windows, x = "", "", -next(chance) % 20
    while x < WIDTH:
        width, height = 24 + next(chance) % 24, lowest + next(chance) * spread // 256
        top = HEIGHT - height
        roof = (
            f"l{width // 2} -{width // 4}l{width - width // 2} {width // 4}" if next(chance) % 3 == 0 else f"h{width}"
        )
        outline += f"M{x} {HEIGHT}V{top}{roof}V{HEIGHT}z"
        for row in range(top + 8, HEIGHT - 8, 13):
            for column in range(x + 5, x + width - 6, 9):
                if next(chance) % 5 < 2:  # noqa: PLR2004 - two windows of five are lit
                    windows += f"M{column} {row}h4v6h-4z"
        x += width + next(chance) % 5
    return outline, windows


def _numbers(key: str) -> Iterator[int]:
    """Endless numbers from 0 to 255, the same for the same key."""
    for block in count():
        yield from hashlib.blake2b(f"{key} {block}".encode()).digest()
