"""Wire names of events and the chain that brings old versions up to date.

A stored topic is an explicit name, ``<context>.v<N>.<Name>``, never a module path, so code can move without touching
what is stored. When an event's shape changes, its class takes the next version and an upcaster from the previous one;
stored events are lifted ``v1 -> v2 -> ...`` when they are read. Events are never rewritten.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

type_of_topic: dict[str, type[Any]] = {}
_upcasters: dict[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {}
_duplicates: list[str] = []
_TOPIC = re.compile(r"^(?P<context>[a-z]+)\.v(?P<version>[1-9]\d*)\.(?P<name>[A-Z]\w*)$")

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


class TopicError(Exception):
    """The registry of wire names is inconsistent, or a stored topic is not known to it."""


def register(topic: str, cls: type[Any]) -> None:
    """Bind a wire name to the class that it is read into."""
    known = type_of_topic.get(topic)
    if known is not None and known is not cls:
        _duplicates.append(topic)
    type_of_topic[topic] = cls


def upcast(old: str, new: str) -> Callable[[Upcaster], Upcaster]:
    """Declare that the decorated function turns the stored state of ``old`` into that of ``new``."""

    def declare(function: Upcaster) -> Upcaster:
        if old in _upcasters:
            _duplicates.append(old)
        _upcasters[old] = (new, function)
        return function

    return declare


def lift(topic: str, state: dict[str, Any]) -> tuple[type[Any], dict[str, Any]]:
    """The current class and state for what is stored under ``topic``; raises TopicError for an unknown name."""
    while topic in _upcasters:
        topic, function = _upcasters[topic]
        state = function(state)
    if topic not in type_of_topic:
        raise TopicError(f"stored topic {topic!r} is not known to this version of the code")
    return type_of_topic[topic], state


def stored_as(current: frozenset[str]) -> frozenset[str]:
    """Every name under which events may be stored that are read as ``current``: those names, and their old versions."""
    return current | {old for old in _upcasters if _newest(old) in current}


def _newest(topic: str) -> str:
    while topic in _upcasters:
        topic, _ = _upcasters[topic]
    return topic


def check() -> None:
    """Refuse to start on duplicate names, malformed names, gaps or cycles in the upcasting chain."""
    problems = [f"{topic}: declared twice" for topic in _duplicates]
    problems += [f"{topic}: not <context>.v<N>.<Name>" for topic in type_of_topic if not _TOPIC.match(topic)]
    for old, (new, _) in _upcasters.items():
        if old in type_of_topic:
            problems.append(f"{old}: has both a class and an upcaster")
        seen, end = {old}, new
        while end in _upcasters and end not in seen:
            seen.add(end)
            end = _upcasters[end][0]
        if end in seen:
            problems.append(f"{old}: its upcasting chain is a cycle")
        elif end not in type_of_topic:
            problems.append(f"{old}: its upcasting chain ends at {end}, which no class bears")
        problems += _step_problems(old, new)
    if problems:
        raise TopicError("; ".join(sorted(set(problems))))


def _step_problems(old: str, new: str) -> list[str]:
    before, after = _TOPIC.match(old), _TOPIC.match(new)
    if before is None or after is None:
        return [f"{old} -> {new}: not <context>.v<N>.<Name>"]
    if int(after["version"]) != int(before["version"]) + 1:
        return [f"{old} -> {new}: leaves a gap in the versions"]
    return []
