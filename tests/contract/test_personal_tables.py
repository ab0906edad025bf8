"""The contract of forgetting: in the tables of people on both PostgreSQLs and on the stand-in, and in free text."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

import asyncpg
import pytest

from commands.accounts import Account, AccountGone, Accounts, Person, Remark, Role
from commands.forgetting import Forgotten, PersonalTables
from commands.ports import Temporary
from infra.eventstore.pool import create_pool
from infra.eventstore.schema import migrate
from infra.eventstore.sql import in_schema
from infra.stores import users_tables
from infra.stores.accounts import PostgresAccounts
from infra.stores.forgetting import REDACTED, PostgresPersonalTables, PostgresTraces
from tests.contract.gate import Gate
from tests.fake_accounts import MemoryAccounts

NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
SERVERS = ["embedded_postgres_url", "postgres_url"]
ANN, BEN = UUID(int=1), UUID(int=2)


@dataclass
class People:
    """The same tables by both of their ports."""

    accounts: Accounts
    personal: PersonalTables


@dataclass
class Tables(People):
    """In a schema of the test's own, with a pool to look behind it."""

    pool: asyncpg.Pool
    schema: str

    async def names_in(self, *tables: str) -> int:
        """How many rows of these tables have the name of Ann or of a guest of hers."""
        found = 0
        for table in tables:
            rows = await self.pool.fetch(f'SELECT t::text FROM "{self.schema}".{table} t')  # noqa: S608 - test's own
            found += sum("oak" in row[0].lower() for row in rows)
        return found


@asynccontextmanager
async def tables_on(url: str, schema: str) -> AsyncIterator[Tables]:
    """Migrated tables, with Ann and Ben."""
    async with asyncpg.create_pool(url, min_size=1, max_size=8) as pool:
        accounts = PostgresAccounts(pool, schema)
        await accounts.migrate()
        await fill(accounts)
        yield Tables(accounts, PostgresPersonalTables(pool, schema), pool, schema)
        await pool.execute(f'DROP SCHEMA "{schema}" CASCADE')


@pytest.fixture(params=SERVERS)
async def tables(request: pytest.FixtureRequest, fresh_name: Callable[..., str]) -> AsyncIterator[Tables]:
    async with tables_on(request.getfixturevalue(request.param), fresh_name("users")) as made:
        yield made


@pytest.fixture(params=["memory", *SERVERS])
async def people(request: pytest.FixtureRequest, fresh_name: Callable[..., str]) -> AsyncIterator[People]:
    """Ann and Ben, in memory or in tables."""
    if request.param == "memory":
        memory = MemoryAccounts()
        await fill(memory)
        yield People(memory, memory)
        return
    async with tables_on(request.getfixturevalue(request.param), fresh_name("users")) as made:
        yield made


async def fill(accounts: Accounts) -> None:
    for account_id, name in ((ANN, "Ann Oak"), (BEN, "Ben Elm")):
        email = f"{name.split()[0]}@example.org"
        account = Account(account_id, email, name, "+351 21 555", None, frozenset({"guest"}), "hash", NOW)
        await accounts.register(account)
        await accounts.open_session(account_id, account_id, "token", NOW + dt.timedelta(days=1))
        await accounts.remember_person(Person(UUID(int=account_id.int + 10), name, email, None, account_id))
        await accounts.keep_remark(Remark(UUID(int=account_id.int + 20), account_id, f"{name} is ill"))
    await accounts.remember_person(Person(UUID(int=31), "Old Oak", "old@example.org"))


async def test_who_is_forgotten_is_gone_with_everything_and_nobody_else_is(people: People) -> None:
    words = frozenset({"Ann Oak", "Ann@example.org", "+351 21 555"})
    assert await people.personal.forget(ANN) == Forgotten(ANN, words)
    more = words | {"Old Oak", "old@example.org"}
    assert await people.personal.forget(ANN, [UUID(int=31)]) == Forgotten(ANN, more)
    assert await people.personal.forget(ANN) == Forgotten(ANN, more), "the words are known until the end"
    await people.personal.conclude(ANN)
    await people.personal.conclude(ANN)
    assert await people.personal.forget(ANN) == Forgotten(ANN, frozenset())
    await people.personal.conclude(ANN)
    accounts = people.accounts
    assert await accounts.by_id(ANN) is await accounts.by_email("ann@example.org") is None
    assert [await accounts.session_open(one, NOW) for one in (ANN, BEN)] == [False, True]
    guests = [await accounts.person(UUID(int=number)) for number in (11, 12, 31)]
    assert [guest is None for guest in guests] == [True, False, True]
    assert await accounts.remarks([UUID(int=21), UUID(int=22)]) == {UUID(int=22): "Ben Elm is ill"}
    assert await accounts.by_id(BEN) is not None


async def test_nothing_is_kept_for_an_account_that_is_gone(people: People) -> None:
    await people.personal.forget(ANN)
    with pytest.raises(AccountGone):
        await people.accounts.remember_person(Person(uuid4(), "Ann Oak", "ann@example.org", None, ANN))
    with pytest.raises(AccountGone):
        await people.accounts.open_session(uuid4(), ANN, "token", NOW)
    late = Remark(uuid4(), ANN, "Ann Oak was ill")
    assert not await people.accounts.keep_remark(late)
    assert await people.accounts.remarks([late.remark_id]) == {}


async def test_a_remark_goes_with_whoever_wrote_it(people: People) -> None:
    about_ben = Remark(uuid4(), BEN, "Dear Ben, yours, Ann Oak", ANN)
    assert await people.accounts.keep_remark(about_ben)
    await people.personal.forget(ANN)
    assert await people.accounts.remarks([about_ben.remark_id]) == {}


async def test_a_remark_stays_as_first_kept(people: People) -> None:
    assert await people.accounts.keep_remark(Remark(UUID(int=21), ANN, "something else"))
    assert await people.accounts.remarks([UUID(int=21), uuid4()]) == {UUID(int=21): "Ann Oak is ill"}
    assert await people.accounts.remarks([]) == {}


async def test_colleagues_are_those_who_can_log_in(people: People) -> None:
    staff: frozenset[Role] = frozenset({"operator", "admin"})
    assert await people.accounts.colleagues(ANN, staff) == 0
    others: list[tuple[str, Role, bool]] = [
        ("op@example.org", "operator", False),
        ("away@example.org", "admin", True),
        ("Operator@LOCALHOST", "operator", False),
        ("hotel@example.org", "hotelier", False),
    ]
    for number, (email, role, disabled) in enumerate(others):
        roles: frozenset[Role] = frozenset({role, "guest"})
        account = Account(UUID(int=50 + number), email, "N", None, None, roles, "hash", NOW, disabled)
        await people.accounts.register(account)
    assert await people.accounts.colleagues(ANN, staff) == 1
    assert await people.accounts.colleagues(UUID(int=50), staff) == 0


async def test_whoever_keeps_something_at_the_same_time_does_not_keep_it(tables: Tables) -> None:
    async def keep(number: int) -> None:
        try:
            await tables.accounts.remember_person(Person(UUID(int=100 + number), "Ann Oak", "ann@x.org", None, ANN))
        except AccountGone:
            return

    keeping = [asyncio.create_task(keep(number)) for number in range(40)]
    await asyncio.gather(tables.personal.forget(ANN), *keeping)
    assert await tables.names_in("accounts", "persons", "remarks", "sessions") == 1, "the old guest is nobody's yet"
    assert await tables.names_in("erasures") == 1
    await tables.personal.conclude(ANN)
    assert await tables.names_in("erasures") == 0


async def test_rows_from_before_are_kept_and_can_be_forgotten(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = f"{tables.schema}_old"
    with monkeypatch.context() as before:
        before.setattr(users_tables, "_MIGRATIONS", users_tables._MIGRATIONS[:1])  # noqa: SLF001 - as it was then
        await PostgresAccounts(tables.pool, schema).migrate()
    guest = uuid4()
    statement = f"INSERT INTO \"{schema}\".persons VALUES ($1, 'Old Oak', 'old@example.org')"  # noqa: S608 - as above
    await tables.pool.execute(statement, guest)
    accounts, personal = PostgresAccounts(tables.pool, schema), PostgresPersonalTables(tables.pool, schema)
    await accounts.migrate()
    assert await accounts.person(guest) == Person(guest, "Old Oak", "old@example.org")
    await personal.forget(ANN, [guest])
    assert await accounts.person(guest) is None
    await tables.pool.execute(f'DROP SCHEMA "{schema}" CASCADE')


@dataclass
class Texts:
    """The tables of a context of the test's own."""

    pool: asyncpg.Pool
    context: str

    async def run(self, sql: str, *values: object) -> list[asyncpg.Record]:
        return await self.pool.fetch(in_schema(sql, self.context), *values)

    async def why(self, why: str) -> None:
        await self.run(
            "INSERT INTO @operator_actions VALUES ($1, $2, 'user:1', 'sagas.retry', 'oak', $3)", uuid4(), NOW, why
        )

    async def whys(self) -> set[str]:
        return {row[0] for row in await self.run("SELECT why FROM @operator_actions")}


@pytest.fixture(params=SERVERS)
async def texts(request: pytest.FixtureRequest, fresh_name: Callable[..., str]) -> AsyncIterator[Texts]:
    context = fresh_name("texts")
    async with asyncpg.create_pool(request.getfixturevalue(request.param), min_size=1, max_size=2) as pool:
        await migrate(pool, context)
        yield Texts(pool, context)
        await pool.execute(f'DROP SCHEMA "{context}" CASCADE')


@pytest.mark.parametrize(
    ("words", "why", "left"),
    [
        ({"Ann Oak"}, "ask ann oak, or Ann Oaks", f"ask {REDACTED}, or Ann Oaks"),
        ({"Ann Oak", "Oak"}, "Oak is a word, Ann Oak a name", f"Oak is a word, {REDACTED} a name"),
        ({"retry"}, "a retry by order", "a retry by order"),
        ({"ann@x.org"}, "Ann@X.org wrote; joann@x.org did not", f"{REDACTED} wrote; joann@x.org did not"),
        ({"+351 (21) 55.5"}, "call +351 (21) 55.5!", f"call {REDACTED}!"),
        ({"12345"}, "room 12345", "room 12345"),
        ({"Zoë O'Hara", "a@b.c"}, "Zoë O'Hara (a@b.c)", f"{REDACTED} ({REDACTED})"),
        ({".* Oak"}, "anything Oak", "anything Oak"),
    ],
)
async def test_words_that_can_only_mean_a_person_are_taken_out_of_what_was_written(
    texts: Texts, words: set[str], why: str, left: str
) -> None:
    await texts.why(why)
    traces = PostgresTraces(texts.pool, texts.context)
    for _ in range(2):
        await traces.erase(Forgotten(ANN, frozenset(words)))
        assert await texts.whys() == {left}


async def test_messages_stay_what_they_are_but_for_the_name(texts: Texts) -> None:
    message = {"type": "users.v1.X", "data": {"said": 'Zoë "Oak" is ill', "number": 7, "amount_minor": 100000}}
    await texts.run(
        "INSERT INTO @dead_letters (letter_id, consumer, message_key, context, topic, message, error, traceback,"
        " attempts, behind, parked_at) VALUES ($1, 'f', 'k', 'users', 't', $2, $3, $3, 1, false, $4)",
        uuid4(),
        json.dumps(message),
        "ValueError: 'Zoë \"Oak\"'",
        NOW,
    )
    await PostgresTraces(texts.pool, texts.context).erase(Forgotten(ANN, frozenset({'Zoë "Oak"', "100000", '", "'})))
    (row,) = await texts.run("SELECT message, error, traceback FROM @dead_letters")
    assert json.loads(row["message"]) == {
        "type": "users.v1.X",
        "data": {"said": f"{REDACTED} is ill", "number": 7, "amount_minor": 100000},
    }
    assert row["error"] == row["traceback"] == f"ValueError: '{REDACTED}'"


async def test_the_keys_of_the_accounts_requests_go_and_nobody_elses(texts: Texts) -> None:
    for scope in (f"{ANN} POST /v1/bookings", f"{BEN} POST /v1/bookings"):
        await texts.run("INSERT INTO @idempotency VALUES ($1, 'oak-1', true, 'hash', $2)", scope, uuid4())
    await PostgresTraces(texts.pool, texts.context).erase(Forgotten(ANN, frozenset()))
    assert [row[0] for row in await texts.run("SELECT scope FROM @idempotency")] == [f"{BEN} POST /v1/bookings"]


async def test_a_database_that_is_away_is_waited_for(postgres_url: str) -> None:
    gate = Gate(postgres_url)
    await gate.open()
    async with await create_pool(gate.url, max_size=1) as pool:
        await gate.shut()
        with pytest.raises(Temporary, match="PostgreSQL"):
            await PostgresTraces(pool, "users").erase(Forgotten(ANN, frozenset()))
    await gate.shut()
