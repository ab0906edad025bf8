"""A sample of what passes by: whoever is in it has been followed from the beginning."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from projections.audit.documents import differences
from projections.audit.sampling import Sample


@given(
    met=st.lists(st.integers(0, 30).map(str), max_size=200),
    size=st.integers(1, 10),
    salt=st.uuids(),
)
def test_every_member_was_followed_from_its_first_mention(met: list[str], size: int, salt: UUID) -> None:
    sample, followed, firsts = Sample(size, salt), dict[str, int](), dict[str, int]()
    for number, key in enumerate(met):
        firsts.setdefault(key, number)
        wanted, leaving = sample.meet(key)
        if leaving is not None:
            del followed[leaving]
        if wanted:
            followed.setdefault(key, number)
    assert len(followed) == min(size, len(firsts))
    assert all(firsts[key] == number for key, number in followed.items())


def test_all_means_all() -> None:
    sample = Sample(None, UUID(int=1))
    assert all(sample.meet(str(key)) == (True, None) for key in range(1_000))


def test_differences_are_told_field_by_field() -> None:
    stored, expected = (
        {"status": "pending", "rooms": 1, "old": 2},
        {"status": "confirmed", "rooms": 1, "new": "x" * 500},
    )
    told = differences(stored, expected)
    assert told[1:] == ["old is 2, and should be null", 'status is "pending", and should be "confirmed"']
    assert told[0].startswith('new is null, and should be "xxx')
    assert told[0].endswith("...")
    assert differences(expected, expected) == []
    assert differences(None, expected) == ["is deleted, and should not be"]
    assert differences(expected, None) == ["is there, and should not be"]
    assert differences(None, None) == []
    assert differences({"a": None}, {}) == ["a is null, and should be null"]
