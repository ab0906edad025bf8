"""What the domain says when it refuses: every refusal is typed and carries the reason a client can act on."""


class DomainError(Exception):
    """A command that the rules refuse. Nothing was changed.

    ``problem`` is the stable name behind ``urn:nightledger:problem:<problem>``; ``status`` the HTTP status that the
    name stands for; ``detail`` says what was wrong and what to do.
    """

    problem = "domain-rule"
    status = 409

    def __init__(self, detail: str, *, errors: tuple[tuple[str, str], ...] = ()) -> None:
        """``errors`` are (field, message) pairs where the refusal concerns single fields."""
        super().__init__(detail)
        self.detail = detail
        self.errors = errors


class InvalidCommand(DomainError):
    """The command contradicts itself or a limit; sending it again unchanged cannot succeed."""

    problem = "invalid-request"
    status = 400


class NotFound(DomainError):
    """No such thing, or not one that the asker may know of."""

    problem = "not-found"
    status = 404


class Forbidden(DomainError):
    """The asker is known and may not do this."""

    problem = "forbidden"
    status = 403


class Unauthenticated(DomainError):
    """The asker is not known: no, expired or forged credentials."""

    problem = "unauthenticated"
    status = 401


class IllegalTransition(DomainError):
    """The aggregate is in a state in which the command has no meaning."""

    problem = "illegal-transition"


class AlreadyExists(DomainError):
    """What was to be created is there already."""

    problem = "already-exists"


class VersionMismatch(DomainError):
    """What is to be changed has changed since the asker last saw it: look again, then decide again."""

    problem = "version-mismatch"
    status = 412


def require_version(thing: str, version: int, expected: int | None) -> None:
    """Raise VersionMismatch unless ``thing`` is at the ``expected`` version (of its stream); None: any will do."""
    if expected not in {None, version}:
        raise VersionMismatch(f"{thing} is at version {version}, not {expected}: look at it again")
