"""What cancelling costs, by the hours that are left."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.hotel.cancellation import POLICIES, percent_charged, policy
from domain.hotel.commands import CancellationPolicyName
from domain.hotel.events import CancellationTier
from domain.shared.errors import InvalidCommand

CHECK_IN = dt.datetime(2026, 7, 1, 13, tzinfo=dt.UTC)

hours_and_percents = st.dictionaries(st.integers(1, 8_760), st.integers(0, 100), max_size=9)


def tiers_of(*pairs: tuple[int, int]) -> tuple[CancellationTier, ...]:
    return tuple(CancellationTier(hours_before=hours, percent_charged=percent) for hours, percent in pairs)


@pytest.mark.parametrize(
    ("name", "hours_left", "percent"),
    [
        ("flexible", 1000, 0),
        ("flexible", 24, 0),
        ("flexible", 23.99, 100),
        ("flexible", 0, 100),
        ("flexible", -1, 100),
        ("moderate", 120, 0),
        ("moderate", 119.99, 50),
        ("moderate", 24, 50),
        ("moderate", 23.99, 100),
        ("non_refundable", 8_760, 100),
        ("non_refundable", -1, 100),
    ],
)
def test_named_policies(name: CancellationPolicyName, hours_left: float, percent: int) -> None:
    assert percent_charged(policy(name), CHECK_IN, CHECK_IN - dt.timedelta(hours=hours_left)) == percent


def test_everything_is_charged_after_check_in_whatever_the_policy() -> None:
    free = policy(tiers_of((0, 0)))
    assert percent_charged(free, CHECK_IN, CHECK_IN) == 0
    assert percent_charged(free, CHECK_IN, CHECK_IN + dt.timedelta(microseconds=1)) == 100


def test_named_policies_keep_their_own_rules() -> None:
    assert {name: policy(tiers) for name, tiers in POLICIES.items()} == POLICIES


@pytest.mark.parametrize(
    "pairs",
    [
        (),
        ((24, 0),),
        ((0, 100), (0, 50)),
        ((24, 0), (0, 101)),
        ((24, -1), (0, 100)),
        ((-1, 100), (0, 100)),
        ((8_761, 0), (0, 100)),
        ((24, 80), (0, 50)),
        tuple((hours, 0) for hours in range(11)),
    ],
)
def test_refuses_policies_that_make_no_sense(pairs: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(InvalidCommand) as caught:
        policy(tiers_of(*pairs))
    assert {field for field, _ in caught.value.errors} == {"cancellation_policy"}


@given(hours_and_percents, st.lists(st.floats(-100, 9_000), min_size=2, max_size=2).map(sorted))
def test_later_never_costs_less_and_the_order_of_tiers_does_not_matter(
    steps: dict[int, int], left: list[float]
) -> None:
    percents = sorted([*steps.values(), 100])
    pairs = list(zip(sorted([*steps, 0], reverse=True), percents, strict=True))
    tiers = policy(tiers_of(*reversed(pairs)))
    late, early = (percent_charged(tiers, CHECK_IN, CHECK_IN - dt.timedelta(hours=hours)) for hours in left)
    assert 0 <= early <= late <= 100
    assert percent_charged(tiers[::-1], CHECK_IN, CHECK_IN - dt.timedelta(hours=left[0])) == late
