"""The tables of one context.

``stored_events`` is the table of the ``eventsourcing`` library's PostgreSQL recorder with defaulted columns added, so
that the library's own ``Application`` works on it unchanged.
"""

from __future__ import annotations

import asyncpg

from infra.eventstore.changing import change_alone
from infra.eventstore.errors import LogOfAnotherServer
from infra.eventstore.sql import in_schema, schema_of

_FIRST = """
CREATE TYPE @stored_event_uuid AS (originator_id uuid, originator_version bigint, topic text, state bytea);

CREATE TABLE @stored_events (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text,
    state bytea,
    notification_id bigserial,
    transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    event_id uuid NOT NULL DEFAULT gen_random_uuid(),
    metadata jsonb NOT NULL DEFAULT '{}',
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (originator_id, originator_version)
) WITH (
    autovacuum_enabled = true,
    autovacuum_vacuum_threshold = 100000000,
    autovacuum_vacuum_scale_factor = 0.5,
    autovacuum_analyze_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.01
);
CREATE UNIQUE INDEX stored_events_notification_id_idx ON @stored_events (notification_id ASC);
CREATE INDEX stored_events_log_idx ON @stored_events (transaction_id, notification_id);
CREATE INDEX stored_events_correlation_idx ON @stored_events (((metadata->>'correlation_id')::uuid));

-- One row per stream and kind of aggregate: the newest state that was kept.
CREATE TABLE @snapshots (
    originator_id uuid NOT NULL,
    aggregate text NOT NULL,
    snapshot_version integer NOT NULL,
    originator_version bigint NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (originator_id, aggregate)
);

-- Messages that were handled. The answer's position is that of the event named here. ``json`` keeps what jsonb refuses.
CREATE TABLE @inbox (
    message_id uuid PRIMARY KEY,
    commit_id uuid NOT NULL,
    answer json,
    last_stream uuid,
    last_version bigint,
    handled_at timestamptz NOT NULL DEFAULT now()
);

-- A client's key: a row while it is claimed (owner: the command), another once it is finished (owner: the commit).
CREATE TABLE @idempotency (
    scope text NOT NULL,
    key text NOT NULL,
    finished boolean NOT NULL,
    fingerprint text NOT NULL,
    owner uuid NOT NULL,
    answer json,
    last_stream uuid,
    last_version bigint,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, key, finished)
);

CREATE TABLE @timers (
    timer_id uuid PRIMARY KEY,
    due_at timestamptz NOT NULL,
    command json NOT NULL,
    claimed_until timestamptz
);
CREATE INDEX timers_due_idx ON @timers (due_at);

CREATE TABLE @checkpoints (
    feed text NOT NULL,
    context text NOT NULL,
    transaction_id xid8 NOT NULL,
    notification_id bigint NOT NULL,
    PRIMARY KEY (feed, context)
);

CREATE TABLE @dead_letters (
    letter_id uuid PRIMARY KEY,
    consumer text NOT NULL,
    message_key text NOT NULL,
    context text NOT NULL,
    stream_id uuid,
    transaction_id xid8,
    notification_id bigint,
    topic text NOT NULL,
    message json NOT NULL,
    error text NOT NULL,
    traceback text NOT NULL,
    attempts integer NOT NULL,
    behind boolean NOT NULL,
    parked_at timestamptz NOT NULL,
    UNIQUE (consumer, message_key)
);

CREATE TABLE @builds (
    name text PRIMARY KEY,
    projection text NOT NULL,
    number integer NOT NULL,
    version integer NOT NULL,
    state text NOT NULL,
    replay_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    events_done bigint NOT NULL DEFAULT 0,
    events_total bigint NOT NULL DEFAULT 0,
    error text,
    UNIQUE (projection, number)
);
CREATE INDEX builds_replay_idx ON @builds (replay_id);
"""

_OPERATING = """
-- What operators order of feeds (by read model or feed), and how feeds stand in the processes that lead them.
CREATE TABLE @feed_controls (
    subject text PRIMARY KEY,
    paused boolean NOT NULL,
    by text NOT NULL,
    why text NOT NULL,
    at timestamptz NOT NULL
);
CREATE TABLE @feed_states (
    feed text PRIMARY KEY,
    state text NOT NULL,
    last_error text,
    rate double precision NOT NULL,
    parked bigint NOT NULL,
    at timestamptz NOT NULL
);

-- Who ordered what, when and why. Rows are never deleted.
CREATE TABLE @operator_actions (
    action_id uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    why text NOT NULL,
    outcome json
);
CREATE INDEX operator_actions_at_idx ON @operator_actions (at);

ALTER TABLE @dead_letters
    ADD COLUMN failure_group text NOT NULL DEFAULT '',
    ADD COLUMN failure_kind text NOT NULL DEFAULT '',
    ADD COLUMN failure_frame text NOT NULL DEFAULT '',
    ADD COLUMN last_failed_at timestamptz;
CREATE INDEX dead_letters_group_idx ON @dead_letters (failure_group);
CREATE INDEX dead_letters_stream_idx ON @dead_letters (consumer, stream_id);

CREATE TABLE @retry_orders (
    action_id uuid NOT NULL,
    letter_id uuid NOT NULL,
    consumer text NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT now(),
    claimed_until timestamptz,
    outcome text,
    error text,
    PRIMARY KEY (action_id, letter_id)
);
CREATE INDEX retry_orders_open_idx ON @retry_orders (asked_at) WHERE outcome IS NULL;
"""

_AUDITS = """
-- Audits of the whole platform; only those of the context ``analytics`` are used.
CREATE TABLE @audits (
    audit_id uuid PRIMARY KEY,
    asked_at timestamptz NOT NULL,
    record json NOT NULL
);
CREATE INDEX audits_asked_at_idx ON @audits (asked_at);
"""

_KEPT_BUILDS = """
ALTER TABLE @builds ADD COLUMN keep boolean NOT NULL DEFAULT false;
CREATE UNIQUE INDEX builds_under_way_idx ON @builds (projection) WHERE state IN ('building', 'returning', 'swapping');
"""

_RETENTION = """
CREATE INDEX inbox_handled_at_idx ON @inbox (handled_at);
CREATE INDEX idempotency_claimed_at_idx ON @idempotency (claimed_at);
"""

_MIGRATIONS = (_FIRST, _OPERATING, _AUDITS, _KEPT_BUILDS, _RETENTION)
"""Each is run once, in order. What was released is never edited: append."""


async def migrate(pool: asyncpg.Pool, context: str) -> None:
    """Bring ``context``'s schema up to date; changes nothing if it is, and may run in several processes at once.

    Raises LogOfAnotherServer if the log cannot be read on this server.
    """
    async with pool.acquire() as connection, connection.transaction():
        await change_alone(connection, f"migration of {context}")
        done = await _migrations_done(connection, context)
        for number, statements in enumerate(_MIGRATIONS[done:], start=done + 1):
            await connection.execute(in_schema(statements, context))
            await connection.execute(in_schema("UPDATE @schema_version SET migrations = $1", context), number)
        await _refuse_foreign_log(connection, context)


async def _migrations_done(connection: asyncpg.pool.PoolConnectionProxy, context: str) -> int:
    if await connection.fetchval("SELECT to_regclass($1)", in_schema("@schema_version", context)) is None:
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema_of(context)}")
        await connection.execute(in_schema("CREATE TABLE @schema_version (migrations integer NOT NULL)", context))
        await connection.execute(in_schema("INSERT INTO @schema_version VALUES (0)", context))
    done: int = await connection.fetchval(in_schema("SELECT migrations FROM @schema_version", context))
    return done


async def _refuse_foreign_log(connection: asyncpg.pool.PoolConnectionProxy, context: str) -> None:
    last = "SELECT transaction_id FROM @stored_events ORDER BY transaction_id DESC, notification_id DESC LIMIT 1"
    newest: int | None = await connection.fetchval(in_schema(last, context))
    following: int = await connection.fetchval("SELECT pg_snapshot_xmax(pg_current_snapshot())")
    if newest is not None and newest >= following:
        raise LogOfAnotherServer(context, newest, following)
