"""Handlers of the reviews service."""

from __future__ import annotations

from commands.handling import Dependencies, Handlers, expect
from commands.ports import Answer, CommandEnvelope, Decide
from domain.review.commands import ModerateReview, ReplyToReview, ReviewCommand, WriteReview
from domain.review.decide import decide_moderate, decide_reply, decide_write
from domain.review.state import REVIEW, ReviewState


async def write_review(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {review_id, version}."""
    command = expect(WriteReview, envelope)
    return await _execute(deps, envelope, command, lambda state: decide_write(state, command))


async def reply_to_review(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {review_id, version}."""
    command = expect(ReplyToReview, envelope)
    return await _execute(deps, envelope, command, lambda state: decide_reply(state, command))


async def moderate_review(deps: Dependencies, envelope: CommandEnvelope) -> Answer:
    """Answers {review_id, version}."""
    command = expect(ModerateReview, envelope)
    return await _execute(deps, envelope, command, lambda state: decide_moderate(state, command))


async def _execute(
    deps: Dependencies, envelope: CommandEnvelope, command: ReviewCommand, decide: Decide[ReviewState]
) -> Answer:
    return await deps.streams["reviews"].execute(
        REVIEW,
        command.review_id,
        decide,
        envelope,
        body=lambda state: {"review_id": str(command.review_id), "version": state.version},
    )


HANDLERS: Handlers = {
    WriteReview: write_review,
    ReplyToReview: reply_to_review,
    ModerateReview: moderate_review,
}
