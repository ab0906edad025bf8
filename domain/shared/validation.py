"""Checks of a command's fields that tell everything that is wrong at once."""

from __future__ import annotations

import unicodedata

from domain.shared.errors import InvalidCommand

_LINE_BREAKS = frozenset("\n\r\t")


class Problems:
    """What is wrong with a command, by field, as clients name it."""

    def __init__(self) -> None:
        self._found: list[tuple[str, str]] = []

    def require(self, holds: bool, field: str, message: str) -> None:
        """Note ``message`` about ``field`` unless ``holds``."""
        if not holds:
            self._found.append((field, message))

    def text(self, field: str, value: str, longest: int, *, shortest: int = 1, lines: bool = False) -> None:
        """Require ``shortest`` to ``longest`` printable characters; ``lines`` allows line breaks and tabs.

        Control characters and halves of surrogate pairs are refused: stores cannot keep them.
        """
        self.require(
            shortest <= len(value.strip()) and len(value) <= longest,
            field,
            f"must have {shortest} to {longest} characters",
        )
        allowed = _LINE_BREAKS if lines else frozenset[str]()
        printable = all(unicodedata.category(char) not in {"Cc", "Cs"} or char in allowed for char in value)
        self.require(printable, field, "must not contain control characters")

    def between(self, field: str, value: float, lowest: float, highest: float) -> None:
        """Require ``lowest <= value <= highest``; not a number is never in between."""
        self.require(lowest <= value <= highest, field, f"must be between {lowest} and {highest}")

    def refuse(self) -> None:
        """Raise InvalidCommand that names everything noted, if anything was."""
        if self._found:
            raise InvalidCommand(
                "; ".join(f"{field} {message}" for field, message in self._found), errors=tuple(self._found)
            )
