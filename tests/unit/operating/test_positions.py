"""Positions in a log as texts: what clients, checkpoints and stores write."""

from __future__ import annotations

import pytest

from commands.ports import Position
from domain.shared.errors import InvalidCommand


@pytest.mark.parametrize("text", ["909.9", "00000000000000000909.00000000000000000009"])
def test_a_position_is_read_with_leading_zeros_or_without(text: str) -> None:
    assert Position.parse(text) == Position(909, 9)


def test_the_last_that_postgresql_counts_is_one() -> None:
    last = Position(2**64 - 1, 2**63 - 1)
    assert Position.parse(str(last)) == last


@pytest.mark.parametrize(
    "text", ["", "1", "1.", ".1", "1.2.3", "-1.1", "x.1", "\u0663.1", f"{2**64}.1", f"1.{2**63}", f"{'9' * 5_000}.1"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidCommand):
        Position.parse(text)
