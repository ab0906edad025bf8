"""A picture for every hotel without one: a row of houses at night, always the same for the same hotel."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from itertools import count

from markupsafe import Markup

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
def cover(key: str, *, wide: bool = False) -> Markup:
    """An SVG element, decoration only, made from ``key``; a ``wide`` one has more sky above more houses."""
    width, height = (960, 290) if wide else (320, 160)
    chance = _numbers(key)
    top, middle, low = _SKIES[next(chance) % len(_SKIES)]
    name = hashlib.blake2b(f"{key} {wide}".encode(), digest_size=5).hexdigest()
    far, _ = _houses(chance, width, height, 46, 52)
    near, windows = _houses(chance, width, height, 30, 66)
    stars = "".join(
        f"M{next(chance) * width // 256} {next(chance) * height // 512}h1v1h-1z" for _ in range(width // 20)
    )
    moon_x, moon_y = width // 8 + next(chance) * width // 342, 30 + next(chance) // 10
    drawing = (
        f'<svg class="cover" viewBox="0 0 {width} {height}" preserveAspectRatio="xMidYMax slice" aria-hidden="true"'
        f' focusable="false"><defs><linearGradient id="sky-{name}" x1="0" y1="0" x2="0" y2="1">'
        f'<stop offset="0" stop-color="{top}"/><stop offset=".5" stop-color="{middle}"/>'
        f'<stop offset=".95" stop-color="{low}"/></linearGradient></defs>'
        f'<rect width="{width}" height="{height}" fill="url(#sky-{name})"/>'
        f'<circle cx="{moon_x}" cy="{moon_y}" r="11" fill="{_MOON}" opacity=".9"/>'
        f'<path d="{stars}" fill="#fff" opacity=".8"/><path d="{far}" fill="{_FAR}" opacity=".75"/>'
        f'<path d="{near}" fill="{_NEAR}"/><path d="{windows}" fill="{_LIGHT}"/></svg>'
    )
    return Markup(drawing)  # noqa: S704 - numbers and colours of ours; the key is only hashed


def _houses(chance: Iterator[int], width: int, height: int, lowest: int, spread: int) -> tuple[str, str]:
    """Outlines of a row of houses, and of their lit windows."""
    outline, windows, x = "", "", -next(chance) % 20
    while x < width:
        across, up = 24 + next(chance) % 24, lowest + next(chance) * spread // 256
        top = height - up
        peak = f"l{across // 2} -{across // 4}l{across - across // 2} {across // 4}"
        roof = peak if next(chance) % 3 == 0 else f"h{across}"
        outline += f"M{x} {height}V{top}{roof}V{height}z"
        for row in range(top + 7, height - 6, 11):
            for column in range(x + 5, x + across - 6, 8):
                if next(chance) % 5 < 2:  # noqa: PLR2004 - two windows of five are lit
                    windows += f"M{column} {row}h3v5h-3z"
        x += across + next(chance) % 5
    return outline, windows


def _numbers(key: str) -> Iterator[int]:
    """Endless numbers from 0 to 255, the same for the same key."""
    for block in count():
        yield from hashlib.blake2b(f"{key} {block}".encode()).digest()
