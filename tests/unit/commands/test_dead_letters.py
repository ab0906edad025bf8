"""What a dead letter's failure is: the same for the same cause, wherever the code lies."""

from __future__ import annotations

from uuid import uuid4

import pytest

from commands.dead_letters import failure_of
from commands.ports import DeadLetter
from tests.fakes import NOW


def letter(traceback: str, error: str = "KeyError: 'stars'") -> DeadLetter:
    return DeadLetter(
        letter_id=uuid4(),
        consumer="sagas",
        context="bookings",
        stream_id=None,
        position=None,
        topic="x",
        message={},
        error=error,
        traceback=traceback,
        attempts=1,
        behind=False,
        parked_at=NOW,
    )


def frames(*paths: str) -> str:
    lines = [f'  File "{path}", line {number}, in work{number}\n    x = 1' for number, path in enumerate(paths)]
    return "\n".join(["Traceback (most recent call last):", *lines, "KeyError: 'stars'"])


@pytest.mark.parametrize(
    ("paths", "frame"),
    [
        (["/srv/app/projections/hotel_pages.py"], "projections/hotel_pages.py in work0"),
        (["/srv/projections/a.py", "/usr/lib/python3.11/json/decoder.py"], "projections/a.py in work0"),
        (["/v/lib/python3.11/site-packages/commands/a.py"], "commands/a.py in work0"),
        (["/srv/infra/a.py", "/v/lib/python3.11/site-packages/redis/commands/core.py"], "infra/a.py in work0"),
        (["/srv/infra/messaging/delivery.py", "/srv/commands/hotels.py"], "commands/hotels.py in work1"),
        (["/srv/commands/hotels.py", "/srv/infra/messaging/feed_runner.py"], "commands/hotels.py in work0"),
        (["/srv/infra/messaging/timer_loop.py"], ""),
        ([], ""),
    ],
)
def test_the_frame_is_the_innermost_of_ours(paths: list[str], frame: str) -> None:
    failure = failure_of(letter(frames(*paths)))
    assert failure == ("KeyError", frame)


def test_groups_differ_by_type_and_frame_and_by_nothing_else() -> None:
    one = failure_of(letter(frames("/here/projections/a.py"))).group
    assert one == failure_of(letter(frames("/there/projections/a.py"), "KeyError: 'rooms'")).group
    assert one != failure_of(letter(frames("/here/projections/a.py"), "TypeError: 'stars'")).group
    assert one != failure_of(letter(frames("/here/projections/b.py"))).group
