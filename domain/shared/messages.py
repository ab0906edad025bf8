"""Base classes of everything that is said: events (past tense, stored for ever) and commands (imperative)."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from domain.shared import topics


class Event(BaseModel):
    """Something that happened. Declare with its wire name: ``class RoomsHeld(Event, topic="inventory.v1.RoomsHeld")``.

    Which stream it belongs to, its version in that stream and who caused it are not in it but around it
    (``commands.ports.RecordedEvent``). It carries no personal data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    topic: ClassVar[str] = ""

    def __init_subclass__(cls, topic: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if topic:
            cls.topic = topic
            topics.register(topic, cls)


command_types: dict[str, type[Command]] = {}


class Command(BaseModel):
    """A request that may be refused. Declare with its name: ``class HoldRooms(Command, name="inventory.HoldRooms")``.

    The part before the dot is the service (context) that handles it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: ClassVar[str] = ""

    def __init_subclass__(cls, name: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if name:
            if command_types.setdefault(name, cls) is not cls:
                raise topics.TopicError(f"command {name} is declared twice")
            cls.name = name

    @classmethod
    def service(cls) -> str:
        """The context whose handler takes this command."""
        return cls.name.partition(".")[0]
