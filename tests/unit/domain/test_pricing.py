"""What a stay costs for a party of guests."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.hotel.events import NightPrice
from domain.hotel.pricing import fits, quote

FIRST = dt.date(2026, 7, 1)


def nights(*amounts: int) -> tuple[NightPrice, ...]:
    return tuple(
        NightPrice(date=FIRST + dt.timedelta(days=day), amount_minor=amount) for day, amount in enumerate(amounts)
    )


@pytest.mark.parametrize(
    ("adults", "children", "rooms", "supplement"),
    [(1, 0, 1, 0), (2, 0, 1, 0), (3, 0, 1, 20), (2, 1, 1, 7), (4, 2, 1, 54), (4, 0, 2, 0), (5, 0, 2, 20), (4, 1, 2, 7)],
)
def test_each_room_costs_what_the_fullest_one_costs(adults: int, children: int, rooms: int, supplement: int) -> None:
    priced = quote(
        nights(100, 150),
        "EUR",
        adults=adults,
        children=children,
        rooms=rooms,
        per_extra_adult_minor=20,
        per_child_minor=7,
    )
    assert priced.nightly == nights(100 + supplement, 150 + supplement)
    assert priced.total.minor == (250 + 2 * supplement) * rooms
    assert priced.total.currency == "EUR"


@given(
    st.lists(st.integers(1, 10**9), min_size=1, max_size=90),
    st.integers(1, 9),
    st.tuples(st.integers(0, 20), st.integers(0, 20)),
    st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)),
)
def test_the_total_is_exactly_nights_times_rooms_and_more_guests_never_cost_less(
    amounts: list[int], rooms: int, guests: tuple[int, int], supplements: tuple[int, int]
) -> None:
    (more_adults, children), (per_adult, per_child) = guests, supplements

    def priced(adults: int, children: int) -> int:
        made = quote(
            nights(*amounts),
            "JPY",
            adults=adults,
            children=children,
            rooms=rooms,
            per_extra_adult_minor=per_adult,
            per_child_minor=per_child,
        )
        assert made.total.minor == sum(night.amount_minor for night in made.nightly) * rooms
        return made.total.minor

    assert priced(rooms, 0) == sum(amounts) * rooms
    assert priced(rooms + more_adults, children) <= priced(rooms + more_adults + 1, children)
    assert priced(rooms + more_adults, children) <= priced(rooms + more_adults, children + 1)


@pytest.mark.parametrize(
    ("adults", "children", "rooms", "expected"),
    [
        (2, 1, 1, True),
        (3, 0, 1, False),
        (2, 2, 1, False),
        (1, 2, 1, True),
        (4, 2, 2, True),
        (5, 0, 2, False),
        (1, 0, 2, False),
        (1, 0, 0, False),
    ],
)
def test_a_party_fits_or_not(adults: int, children: int, rooms: int, expected: bool) -> None:
    assert fits(adults=adults, children=children, rooms=rooms, max_adults=2, max_children=1) is expected
