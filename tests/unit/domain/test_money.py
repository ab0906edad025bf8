"""Money is exact, and never mixes currencies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.shared.errors import InvalidCommand
from domain.shared.money import Money, total

amounts = st.integers(-(10**12), 10**12)
currencies = st.sampled_from(["EUR", "JPY", "KWD", "USD"])


@given(amounts, currencies)
def test_what_is_shown_is_read_back_exactly(minor: int, currency: str) -> None:
    money = Money(minor=minor, currency=currency)
    assert Money.parse(money.amount, currency) == money


def test_shows_as_many_places_as_the_currency_has() -> None:
    assert Money(minor=34500, currency="EUR").amount == "345.00"
    assert Money(minor=34500, currency="JPY").amount == "34500"
    assert Money(minor=34500, currency="KWD").amount == "34.500"


@pytest.mark.parametrize("text", ["1.234", "NaN", "Infinity", "", "12,50", "1e-9"])
def test_refuses_what_is_not_an_exact_amount(text: str) -> None:
    with pytest.raises(InvalidCommand):
        Money.parse(text, "EUR")


def test_currencies_do_not_mix() -> None:
    with pytest.raises(InvalidCommand):
        Money(minor=1, currency="EUR") + Money(minor=1, currency="USD")


@given(st.lists(amounts, min_size=1))
def test_total_is_the_sum(minors: list[int]) -> None:
    assert total(tuple(Money(minor=minor, currency="EUR") for minor in minors)).minor == sum(minors)


@given(st.integers(0, 10**9), st.integers(0, 100))
def test_a_share_and_its_rest_make_the_whole(minor: int, percent: int) -> None:
    whole = Money(minor=minor, currency="EUR")
    share = whole.percent(percent)
    assert share + (whole - share) == whole
    assert abs(share.minor * 100 - minor * percent) <= 50
