"""Old and new code side by side: what one has stored and the other cannot read holds up nothing but that saga."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from domain.shared.errors import IllegalTransition
from sagas.booking import BOOKING_SAGA, BookingSaga
from sagas.commands import CompensateSaga, RetrySaga
from sagas.runtime import SagaRuntime
from sagas.saga import Happening, Reaction
from tests.integration.sagas.world import World
from tests.unit.sagas.spec import (
    BOOKING_ID,
    authorised,
    booking_rejected,
    held,
    hold_refused,
    of_booking,
    requested,
)

SAGA_ID = BOOKING_SAGA.saga_id(BOOKING_ID)
OTHER = UUID(int=77)
OTHER_SAGA_ID = BOOKING_SAGA.saga_id(OTHER)


class NewerBookingSaga(BookingSaga):
    """A state with a field more."""

    guests_wish: str = ""


def _react(state: BookingSaga | None, happening: Happening) -> Reaction[BookingSaga]:
    reaction = BOOKING_SAGA.react(state, happening)
    if state is not None or reaction.state is None:
        return reaction
    return replace(reaction, state=NewerBookingSaga(**dict(reaction.state), guests_wish="a view of the sea"))


NEWER = replace(BOOKING_SAGA, state_type=NewerBookingSaga, react=_react)


@pytest.fixture
async def older(world: World) -> SagaRuntime:
    """A process of older code, beside which a process of newer code has begun a saga."""
    await world.tell(world.runtime(NEWER), requested())
    return world.runtime()


async def test_the_saga_is_quarantined_alone_and_its_state_is_kept(world: World, older: SagaRuntime) -> None:
    await world.tell(older, of_booking(requested(), OTHER))
    run = await world.tell(older, held(), of_booking(held(), OTHER))
    assert await world.steps(OTHER_SAGA_ID) == ["holding", "authorising"]
    assert await world.store.checkpoint("sagas", run.context) == run.position
    begun, quarantined = await world.reactions(SAGA_ID)
    assert (quarantined.status, quarantined.step, quarantined.state) == ("quarantined", "holding", begun.state)
    assert quarantined.note.startswith("ValidationError")
    assert "sea" not in quarantined.note
    assert [untold.topic for untold in quarantined.untold] == [held().topic]


async def test_the_operator_of_older_code_loses_nothing_and_that_of_newer_code_goes_on(
    world: World, older: SagaRuntime
) -> None:
    await world.tell(older, held())
    await world.tell(older, authorised())
    answer = await world.order(older, RetrySaga(saga_id=SAGA_ID))
    assert answer.body == {"saga_id": str(SAGA_ID), "step": "holding", "status": "quarantined"}
    with pytest.raises(IllegalTransition, match="with code that can"):
        await world.order(older, CompensateSaga(saga_id=SAGA_ID))
    answer = await world.order(world.runtime(NEWER), RetrySaga(saga_id=SAGA_ID))
    assert answer.body == {"saga_id": str(SAGA_ID), "step": "confirming_hold", "status": "running"}
    assert (await world.reactions(SAGA_ID))[-1].state["guests_wish"] == "a view of the sea"
    assert len(await world.due()) == 1


async def test_its_deadline_is_set_aside_and_told_when_it_is_retried(world: World, older: SagaRuntime) -> None:
    (timer,) = await world.due()
    await world.deliver(older, timer.command)
    await world.timers.done(timer)
    last = (await world.reactions(SAGA_ID))[-1]
    assert (last.status, [untold.deadline for untold in last.untold]) == ("quarantined", ["holding"])
    await world.order(world.runtime(NEWER), RetrySaga(saga_id=SAGA_ID))
    assert await world.issued(SAGA_ID) == ["inventory.HoldRooms", "inventory.HoldRooms"]
    assert len(await world.due()) == 1


async def test_a_finished_saga_is_finished_after_a_retry(world: World) -> None:
    newer = world.runtime(NEWER)
    for event in (requested(), hold_refused(), booking_rejected()):
        await world.tell(newer, event)
    await world.tell(world.runtime(), booking_rejected())
    assert (await world.reactions(SAGA_ID))[-1].status == "quarantined"
    answer = await world.order(world.runtime(NEWER), RetrySaga(saga_id=SAGA_ID))
    assert answer.body == {"saga_id": str(SAGA_ID), "step": "rejected", "status": "finished"}
