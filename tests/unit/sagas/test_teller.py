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


def test_a_state_that_cannot_be_read_is_kept_and_not_quoted() -> None:
    stored = {"saga_id": str(uuid4()), "step": "authorising", "token": "tok_secret", "secret": "of newer code"}
    journal = Journal(BOOKING_SAGA, uuid4(), uuid4(), stored=stored, step="authorising")
    happening, metadata = Happening(NOW, deadline="authorising"), Metadata(correlation_id=uuid4(), at=NOW)
    after = Teller(FakeClock()).tell(journal, happening, metadata).after
    assert (after.quarantined, after.step, after.stored) == (True, "authorising", stored)
    assert [untold.deadline for untold in after.untold] == ["authorising"]
    assert after.note.startswith("ValidationError")
    assert not any(secret in after.note for secret in ("tok_secret", "of newer code"))
