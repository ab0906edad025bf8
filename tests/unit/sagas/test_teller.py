"""A saga that fails is quarantined, and the log says whose request it was."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NoReturn
from uuid import uuid4

import structlog
from structlog.testing import capture_logs

from commands.ports import Metadata
from sagas.booking import BOOKING_SAGA
from sagas.journal import Journal, Teller
from sagas.saga import Happening
from tests.fakes import NOW, FakeClock


def test_the_line_about_a_quarantine_bears_the_correlation_id() -> None:
    def fails(_: Any, __: Happening) -> NoReturn:
        raise ValueError("cannot take it")

    saga_id, metadata = uuid4(), Metadata(correlation_id=uuid4(), at=NOW)
    journal = Journal(replace(BOOKING_SAGA, react=fails), saga_id, uuid4())
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        entry = Teller(FakeClock()).tell(journal, Happening(NOW, deadline="hold"), metadata)
    assert entry.after.quarantined
    (line,) = lines
    assert (line["event"], line["saga_id"]) == ("saga quarantined", str(saga_id))
    assert line["correlation_id"] == str(metadata.correlation_id)
