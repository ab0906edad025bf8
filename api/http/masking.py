"""What operators see of messages: all that is around them; what they say is only shown to admins."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from commands.security import Principal

MASK = "***"
_CONTENTS = frozenset({"data", "content", "body"})
"""Where CloudEvents, command messages and unreadable ones keep what they say."""
_SECRETS = frozenset({"token", "payment_token"})
_INPUTS = re.compile(r"input_value=.*?, input_type=", re.DOTALL)
"""Validation errors quote what they refuse."""


def sees_contents(principal: Principal) -> bool:
    """Whether the principal may see what messages say."""
    return "admin" in principal.roles


def masked_message(principal: Principal, message: Mapping[str, Any]) -> dict[str, Any]:
    """A dead letter's message."""
    if sees_contents(principal):
        return dict(message)
    return {name: _masked(value) if name in _CONTENTS else value for name, value in message.items()}


def masked_event(principal: Principal, event: Mapping[str, Any]) -> dict[str, Any]:
    """An event of a saga: references to means of payment are masked, wherever they are in it."""
    return dict(event) if sees_contents(principal) else {name: _without(name, value) for name, value in event.items()}


def masked_text(principal: Principal, text: str) -> str:
    """An error or a traceback."""
    return text if sees_contents(principal) else _INPUTS.sub(f"input_value={MASK}, input_type=", text)


def _masked(value: Any) -> Any:
    """The shape stays, so that one sees what is there and what is not."""
    if isinstance(value, dict):
        return {name: _masked(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner) for inner in value]
    return value if value is None else MASK


def _without(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {inner: _without(inner, content) for inner, content in value.items()}
    if isinstance(value, list):
        return [_without(name, content) for content in value]
    return MASK if name in _SECRETS and value else value
