"""What cancelling costs: named policies, and the share that is charged at a given moment."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from domain.hotel.commands import CancellationPolicyName
from domain.hotel.events import CancellationTier
from domain.shared.validation import Problems

MAX_TIERS = 10
MAX_HOURS_BEFORE = 8_760
EVERYTHING = 100


def _tiers(*tiers: tuple[int, int]) -> tuple[CancellationTier, ...]:
    return tuple(CancellationTier(hours_before=hours, percent_charged=percent) for hours, percent in tiers)


POLICIES: Mapping[CancellationPolicyName, tuple[CancellationTier, ...]] = {
    "flexible": _tiers((24, 0), (0, EVERYTHING)),
    "moderate": _tiers((120, 0), (24, 50), (0, EVERYTHING)),
    "non_refundable": _tiers((0, EVERYTHING)),
}


def policy(chosen: CancellationPolicyName | Sequence[CancellationTier]) -> tuple[CancellationTier, ...]:
    """The tiers of a named or explicit policy, most hours first.

    Raises InvalidCommand unless there is a tier for 0 hours, hours are given once each, and a later cancellation
    never costs less than an earlier one.
    """
    if isinstance(chosen, str):
        return POLICIES[chosen]
    tiers = tuple(sorted(chosen, key=lambda tier: -tier.hours_before))
    problems = Problems()
    problems.between("cancellation_policy", len(tiers), 1, MAX_TIERS)
    hours = [tier.hours_before for tier in tiers]
    percents = [tier.percent_charged for tier in tiers]
    problems.require(0 in hours, "cancellation_policy", "must have a tier for 0 hours before check-in")
    problems.require(len(set(hours)) == len(hours), "cancellation_policy", "must give each number of hours once")
    problems.require(
        all(0 <= each <= MAX_HOURS_BEFORE for each in hours),
        "cancellation_policy",
        f"must have hours between 0 and {MAX_HOURS_BEFORE}",
    )
    problems.require(
        all(0 <= each <= EVERYTHING for each in percents), "cancellation_policy", "must have percents between 0 and 100"
    )
    problems.require(percents == sorted(percents), "cancellation_policy", "must not become cheaper towards check-in")
    problems.refuse()
    return tiers


def percent_charged(tiers: Sequence[CancellationTier], check_in_at: dt.datetime, now: dt.datetime) -> int:
    """Hundredths of the total charged for cancelling at ``now``: all of them after check-in, or if no tier fits."""
    left = check_in_at - now
    fitting = [tier for tier in tiers if dt.timedelta(hours=tier.hours_before) <= left]
    return max(fitting, key=lambda tier: tier.hours_before).percent_charged if fitting else EVERYTHING
