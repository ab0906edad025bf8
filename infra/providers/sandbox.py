"""A payment provider for trying things out: it moves no money, and its test tokens show every way a payment can go.

| token | what happens |
|---|---|
| ``tok_ok`` | authorised, captured, refunded |
| ``tok_declined``, and any token that is not listed | declined |
| ``tok_requires_action`` | the guest has to approve first |
| ``tok_timeout`` | no answer to the authorisation, nor to the questions about it; nothing is reserved |
| ``tok_authorize_unknown`` | the first call reserves but is not answered; asked about it, the provider tells |
| ``tok_capture_fails_once`` | the first capture is refused for lack of service, its repetition works |
| ``tok_capture_refused`` | authorised; when it is to be captured, what was reserved has lapsed |

What it was told is kept in tables of its own, because a provider does not forget when its clients restart. Each call is
one short statement: whoever kept a transaction open here would hold back the readers of the event log beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Literal
from uuid import NAMESPACE_URL, uuid5

import asyncpg

from commands.payment_provider import Authorisation, CaptureRefused, ProviderTimeout, ProviderUnavailable
from domain.shared.money import Money
from infra.eventstore.changing import change_alone
from infra.eventstore.sql import in_schema, schema_of

SILENCE_SECONDS = 0.5
"""How long a caller waits for the answer that does not come."""

SILENT_QUESTIONS = 5
"""How many questions about a ``tok_timeout`` get no answer; later ones learn that nothing is reserved.

As many as payments ask before they give the payment up. After that they ask for ever, to be sure that nothing is
reserved: a provider that never answered would keep them at it.
"""

_TABLES = """
CREATE TABLE IF NOT EXISTS @sandbox_authorisations (
    key text PRIMARY KEY,
    reference text NOT NULL,
    token text NOT NULL,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    status text NOT NULL
        CHECK (status IN ('silent', 'declined', 'requires_action', 'authorised', 'captured', 'voided')),
    questions integer NOT NULL DEFAULT 0,
    capture_calls integer NOT NULL DEFAULT 0,
    captured_minor bigint NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS sandbox_authorisations_reference_idx ON @sandbox_authorisations (reference);
CREATE TABLE IF NOT EXISTS @sandbox_refunds (
    key text PRIMARY KEY,
    reference text NOT NULL,
    amount_minor bigint NOT NULL
);
"""
_UNKNOWN_AT_FIRST = "tok_authorize_unknown"
_CAPTURE_FAILS_ONCE = "tok_capture_fails_once"
_STATUS_OF_TOKEN = {
    "tok_ok": "authorised",
    "tok_requires_action": "requires_action",
    "tok_timeout": "silent",
    _UNKNOWN_AT_FIRST: "authorised",
    _CAPTURE_FAILS_ONCE: "authorised",
    "tok_capture_refused": "authorised",
}
_OUTCOME: dict[str, Literal["authorised", "declined", "requires_action"]] = {
    "authorised": "authorised",
    "captured": "authorised",
    "requires_action": "requires_action",
    "declined": "declined",
    "voided": "declined",
}

_AUTHORISE = """
INSERT INTO @sandbox_authorisations AS a (key, reference, token, amount_minor, currency, status)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (key) DO UPDATE SET status = a.status
RETURNING reference, token, amount_minor, currency, status, (xmax = 0) AS first"""
_QUESTION = """
UPDATE @sandbox_authorisations SET questions = questions + 1 WHERE key = $1
RETURNING reference, status, questions"""
_RESOLVE = """
UPDATE @sandbox_authorisations SET status = CASE status WHEN 'requires_action' THEN $2 ELSE status END
WHERE reference = $1 RETURNING reference, status"""
_CAPTURE = """
UPDATE @sandbox_authorisations SET
    capture_calls = capture_calls + 1,
    (status, captured_minor) = (
        SELECT
            CASE WHEN lapsed THEN 'voided' WHEN takes THEN 'captured' ELSE status END,
            CASE WHEN takes AND NOT lapsed THEN $2::bigint ELSE captured_minor END
        FROM (SELECT
            status = 'authorised' AND token = 'tok_capture_refused',
            status = 'authorised' AND $2::bigint <= amount_minor AND currency = $3
                AND NOT (token = 'tok_capture_fails_once' AND capture_calls = 0)) AS can (lapsed, takes))
WHERE reference = $1 RETURNING token, status, capture_calls, captured_minor, currency"""
_VOID = """
UPDATE @sandbox_authorisations SET status = 'voided'
WHERE reference = $1 AND status IN ('authorised', 'requires_action')"""
_LOCKED = "SELECT captured_minor, currency FROM @sandbox_authorisations WHERE reference = $1 FOR UPDATE"
_REFUND = """
INSERT INTO @sandbox_refunds (key, reference, amount_minor)
SELECT $1, $2, $3::bigint WHERE $3::bigint + (
    SELECT coalesce(sum(amount_minor), 0) FROM @sandbox_refunds WHERE reference = $2) <= $4::bigint
ON CONFLICT (key) DO NOTHING"""
_REFUNDED = "SELECT reference, amount_minor FROM @sandbox_refunds WHERE key = $1"


class SandboxRefusal(Exception):
    """The call contradicts what the sandbox was told before. Repeating it cannot help: the caller is at fault."""


class SandboxProvider:
    """The provider ``sandbox``; see the module. Any number of processes may use the same tables."""

    name = "sandbox"

    def __init__(
        self,
        pool: asyncpg.Pool,
        schema: str = "payments",
        wait: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """``wait`` is how the silence of the provider passes (seconds)."""
        self._pool = pool
        self._schema = schema
        self._wait = wait

    async def migrate(self) -> None:
        """Create the tables; changes nothing if they are there, and may run in several processes at once."""
        async with self._pool.acquire() as connection, connection.transaction():
            await change_alone(connection, f"sandbox {self._schema}")
            await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema_of(self._schema)}")
            await connection.execute(in_schema(_TABLES, self._schema))

    async def authorise(self, key: str, amount: Money, token: str) -> Authorisation:
        """See PaymentProvider. Raises SandboxRefusal if the key was used for another amount or token."""
        status = _STATUS_OF_TOKEN.get(token, "declined")
        reference = f"sandbox_{uuid5(NAMESPACE_URL, key).hex}"
        row = await self._row(_AUTHORISE, key, reference, token, amount.minor, amount.currency, status)
        if row is None or (row["token"], row["amount_minor"], row["currency"]) != (
            token,
            amount.minor,
            amount.currency,
        ):
            raise SandboxRefusal(f"key {key} was used for another authorisation")
        if row["status"] == "silent" or (token == _UNKNOWN_AT_FIRST and row["first"]):
            await self._silence(f"the sandbox does not answer the authorisation {key}")
        return _authorisation(row)

    async def authorisation_of(self, key: str) -> Authorisation | None:
        """See PaymentProvider."""
        row = await self._row(_QUESTION, key)
        if row is not None and row["status"] == "silent":
            if row["questions"] <= SILENT_QUESTIONS:
                await self._silence(f"the sandbox does not answer the question about {key}")
            return None
        return None if row is None else _authorisation(row)

    async def resolve_action(self, reference: str, *, approve: bool) -> Authorisation:
        """See PaymentProvider; what was resolved before stays so. Raises SandboxRefusal for an unknown reference."""
        row = await self._row(_RESOLVE, reference, "authorised" if approve else "declined")
        if row is None:
            raise _unknown(reference)
        return _authorisation(row)

    async def capture(self, key: str, reference: str, amount: Money) -> None:
        """See PaymentProvider. There is one capture per authorisation, so that ``key`` adds nothing to the reference.

        Raises SandboxRefusal for more than is reserved, or for what was never reserved or captured otherwise.
        """
        row = await self._row(_CAPTURE, reference, amount.minor, amount.currency)
        if row is None:
            raise _unknown(reference)
        if row["status"] == "captured" and (row["captured_minor"], row["currency"]) == (amount.minor, amount.currency):
            return
        if row["status"] == "authorised" and row["token"] == _CAPTURE_FAILS_ONCE and row["capture_calls"] == 1:
            raise ProviderUnavailable(f"the sandbox has no time for the capture {key}; repeat it")
        if row["status"] == "voided":
            raise CaptureRefused(f"{reference} is void: nothing is reserved any more")
        raise SandboxRefusal(f"{amount.amount} {amount.currency} cannot be captured of {reference}: {row['status']}")

    async def void(self, key: str, reference: str) -> None:
        """See PaymentProvider; what is void, captured or unknown stays as it is."""
        del key
        async with self._asked():
            await self._pool.execute(in_schema(_VOID, self._schema), reference)

    async def refund(self, key: str, reference: str, amount: Money) -> None:
        """See PaymentProvider. Raises SandboxRefusal if less than that is left of what was captured."""
        async with self._asked(), self._pool.acquire() as connection, connection.transaction():
            captured = await connection.fetchrow(in_schema(_LOCKED, self._schema), reference)
            if captured is None:
                raise _unknown(reference)
            if amount.currency == captured["currency"]:
                most = captured["captured_minor"]
                await connection.execute(in_schema(_REFUND, self._schema), key, reference, amount.minor, most)
            done = await connection.fetchrow(in_schema(_REFUNDED, self._schema), key)
            if done is None or tuple(done) != (reference, amount.minor):
                raise SandboxRefusal(f"{amount.amount} {amount.currency} cannot be refunded of {reference} under {key}")

    async def _row(self, statement: str, *arguments: object) -> asyncpg.Record | None:
        async with self._asked():
            return await self._pool.fetchrow(in_schema(statement, self._schema), *arguments)

    async def _silence(self, why: str) -> None:
        await self._wait(SILENCE_SECONDS)
        raise ProviderTimeout(why)

    @asynccontextmanager
    async def _asked(self) -> AsyncIterator[None]:
        """A database that goes away during a call leaves the caller without an answer, like any other provider."""
        try:
            yield
        except (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError) as error:
            raise ProviderTimeout(f"the sandbox did not answer: {error}") from error


def _authorisation(row: asyncpg.Record) -> Authorisation:
    return Authorisation(row["reference"], _OUTCOME[row["status"]])


def _unknown(reference: str) -> SandboxRefusal:
    return SandboxRefusal(f"the sandbox knows no authorisation {reference}")
