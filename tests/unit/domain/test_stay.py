"""A stay has 1 to 90 nights; its nights are the dates on which they begin."""

import datetime as dt

import pytest

from domain.shared.errors import InvalidCommand
from domain.shared.stay import Stay

FIRST = dt.date(2027, 3, 27)


@pytest.mark.parametrize("days", [0, -1, 91, 3650])
def test_refuses_too_few_and_too_many_nights(days: int) -> None:
    with pytest.raises(InvalidCommand):
        Stay(check_in=FIRST, check_out=FIRST + dt.timedelta(days=days))


@pytest.mark.parametrize("days", [1, 2, 90])
def test_the_night_of_departure_is_not_in_the_stay(days: int) -> None:
    nights = Stay(check_in=FIRST, check_out=FIRST + dt.timedelta(days=days)).nights
    assert len(nights) == days
    assert nights[0] == FIRST
    assert nights[-1] == FIRST + dt.timedelta(days=days - 1)
