"""The contract of Accounts: on the embedded PostgreSQL, on the distribution's, and on the stand-in of other tests."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
import structlog

from commands.accounts import (
    Account,
    Accounts,
    AccountsUnavailable,
    EmailTaken,
    Person,
    SigningKey,
    client_address,
    is_client,
)
from infra.stores.accounts import PostgresAccounts
from tests.contract.gate import Gate
from tests.fake_accounts import MemoryAccounts

NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(days=30)
SERVERS = ["embedded_postgres_url", "postgres_url"]


@dataclass
class Tables:
    """Accounts in a schema of the test's own, and a pool to look behind them."""

    accounts: PostgresAccounts
    pool: asyncpg.Pool
    schema: str

    async def value(self, sql: str, *values: Any) -> Any:
        return await self.pool.fetchval(sql.replace("@", f'"{self.schema}".'), *values)


@pytest.fixture(params=SERVERS)
async def tables(request: pytest.FixtureRequest, fresh_name: Callable[..., str]) -> AsyncIterator[Tables]:
    """Migrated tables."""
    schema = fresh_name("users")
    async with asyncpg.create_pool(request.getfixturevalue(request.param), min_size=1, max_size=8) as pool:
        accounts = PostgresAccounts(pool, schema)
        await accounts.migrate()
        yield Tables(accounts, pool, schema)
        await pool.execute(f'DROP SCHEMA "{schema}" CASCADE')


@pytest.fixture(params=["memory", *SERVERS])
async def accounts(request: pytest.FixtureRequest, fresh_name: Callable[..., str]) -> AsyncIterator[Accounts]:
    """Nobody is registered."""
    if request.param == "memory":
        yield MemoryAccounts()
        return
    schema = fresh_name("users")
    async with asyncpg.create_pool(request.getfixturevalue(request.param), min_size=1, max_size=8) as pool:
        stored = PostgresAccounts(pool, schema)
        await stored.migrate()
        yield stored
        await pool.execute(f'DROP SCHEMA "{schema}" CASCADE')


def account(email: str = "Ann@Example.org", **more: Any) -> Account:
    details: dict[str, Any] = {
        "account_id": uuid4(),
        "email": email,
        "name": "Ann O'Neill",
        "phone": None,
        "locale": "pt-PT",
        "roles": frozenset({"guest", "hotelier"}),
        "password_hash": "$argon2id$v=19$...",
        "created_at": NOW,
    }
    return Account(**{**details, **more})


async def registered(accounts: Accounts, email: str = "ann@example.org") -> UUID:
    ann = account(email)
    await accounts.register(ann)
    return ann.account_id


async def session(accounts: Accounts, account_id: UUID, token_id: str = "first") -> UUID:
    session_id = uuid4()
    await accounts.open_session(session_id, account_id, token_id, LATER)
    return session_id


async def test_an_account_is_found_by_id_and_by_address_in_any_case(accounts: Accounts) -> None:
    ann = account()
    await accounts.register(ann)
    assert await accounts.by_id(ann.account_id) == ann
    for email in ("Ann@Example.org", "ann@example.org", "ANN@EXAMPLE.ORG"):
        assert await accounts.by_email(email) == ann
    assert await accounts.by_id(uuid4()) is None
    assert await accounts.by_email("ben@example.org") is None


@pytest.mark.parametrize("email", ["a\0b@example.org", "a\ud800@example.org", "", "%", "'"])
async def test_an_address_that_nobody_can_have_is_unknown(accounts: Accounts, email: str) -> None:
    await registered(accounts)
    assert await accounts.by_email(email) is None


async def test_an_address_is_taken_in_any_case(accounts: Accounts) -> None:
    ann = account("Ann@Example.org")
    await accounts.register(ann)
    with pytest.raises(EmailTaken) as taken:
        await accounts.register(account("ANN@example.org"))
    assert "ann" not in str(taken.value).lower()
    assert await accounts.by_email("ann@example.org") == ann


async def test_of_many_who_register_one_address_at_once_one_gets_it(accounts: Accounts) -> None:
    results = await asyncio.gather(
        *(accounts.register(account(email)) for email in ["ann@example.org", "ANN@example.org"] * 8),
        return_exceptions=True,
    )
    assert [type(result) for result in results if result is not None] == [EmailTaken] * 15


async def test_details_are_replaced_and_the_day_of_registration_stays(accounts: Accounts) -> None:
    ann = account()
    await accounts.register(ann)
    changed = replace(
        ann, email="anna@example.org", name="Anna", phone="+351", locale=None, roles=frozenset({"admin"}), disabled=True
    )
    await accounts.update(replace(changed, password_hash="other", created_at=LATER))
    assert await accounts.by_id(ann.account_id) == replace(changed, password_hash="other")
    assert await accounts.by_email("ann@example.org") is None


async def test_an_update_cannot_take_anothers_address_nor_make_an_account(accounts: Accounts) -> None:
    ann, ben = account("ann@example.org"), account("ben@example.org")
    await accounts.register(ann)
    await accounts.register(ben)
    with pytest.raises(EmailTaken):
        await accounts.update(replace(ben, email="ANN@example.org"))
    assert await accounts.by_id(ben.account_id) == ben
    stranger = account("zoe@example.org")
    await accounts.update(stranger)
    assert await accounts.by_id(stranger.account_id) is None


async def test_a_person_stays_as_first_remembered(accounts: Accounts) -> None:
    guest = Person(uuid4(), "Ann", "ann@example.org", "+351 1")
    assert await accounts.person(guest.guest_id) is None
    await accounts.remember_person(guest)
    await accounts.remember_person(replace(guest, name="Mallory"))
    assert await accounts.person(guest.guest_id) == guest


async def test_a_session_runs_until_it_expires_or_is_ended(accounts: Accounts) -> None:
    ann = await registered(accounts)
    first, second = await session(accounts, ann), await session(accounts, ann)
    assert await accounts.session_open(first, NOW)
    assert not await accounts.session_open(first, LATER)
    assert not await accounts.session_open(uuid4(), NOW)
    await accounts.end_session(first)
    await accounts.end_session(first)
    assert not await accounts.session_open(first, NOW)
    assert await accounts.session_open(second, NOW)


async def test_all_sessions_of_one_account_are_ended_and_nobody_elses(accounts: Accounts) -> None:
    ann, ben = await registered(accounts, "ann@example.org"), await registered(accounts, "ben@example.org")
    of_ann = [await session(accounts, ann), await session(accounts, ann)]
    of_ben = await session(accounts, ben)
    await accounts.end_sessions(ann)
    assert [await accounts.session_open(one, NOW) for one in of_ann] == [False, False]
    assert await accounts.session_open(of_ben, NOW)


async def test_machine_clients_are_listed_newest_first_and_nobody_else_is(accounts: Accounts) -> None:
    await accounts.register(account())
    await accounts.register(account(email=f"client-{uuid4()}@localhost"))  # it names another
    clients = []
    for hours in range(3):
        client_id = uuid4()
        made = account(
            email=client_address(client_id), account_id=client_id, created_at=NOW + dt.timedelta(hours=hours)
        )
        await accounts.register(made)
        clients.append(made)
    await accounts.update(replace(clients[1], disabled=True))
    found = await accounts.clients()
    assert [each.account_id for each in found] == [each.account_id for each in reversed(clients)]
    assert [each.disabled for each in found] == [False, True, False]
    assert all(is_client(each) for each in found)


async def test_a_refresh_token_is_replaced_again_and_again(accounts: Accounts) -> None:
    one = await session(accounts, await registered(accounts), "t0")
    for number in range(5):
        assert await accounts.rotate_session(one, f"t{number}", f"t{number + 1}", NOW)
    assert await accounts.session_open(one, NOW)


async def test_a_refresh_token_that_was_used_before_ends_the_session(accounts: Accounts) -> None:
    one = await session(accounts, await registered(accounts), "t0")
    assert await accounts.rotate_session(one, "t0", "t1", NOW)
    assert not await accounts.rotate_session(one, "t0", "stolen", NOW)
    assert not await accounts.session_open(one, NOW)
    assert not await accounts.rotate_session(one, "t1", "t2", NOW)


async def test_of_many_uses_at_once_one_succeeds_and_the_session_ends(accounts: Accounts) -> None:
    one = await session(accounts, await registered(accounts), "t0")
    uses = await asyncio.gather(*(accounts.rotate_session(one, "t0", f"n{number}", NOW) for number in range(12)))
    assert sum(uses) == 1
    assert not await accounts.session_open(one, NOW)


async def test_an_expired_unknown_or_ended_session_is_not_renewed(accounts: Accounts) -> None:
    ann = await registered(accounts)
    one, ended = await session(accounts, ann, "t0"), await session(accounts, ann, "t0")
    assert not await accounts.rotate_session(one, "t0", "t1", LATER)
    assert await accounts.rotate_session(one, "t0", "t1", NOW)
    assert not await accounts.rotate_session(uuid4(), "t0", "t1", NOW)
    await accounts.end_session(ended)
    assert not await accounts.rotate_session(ended, "t0", "t1", NOW)


async def test_keys_are_kept_by_purpose_newest_first_and_never_replaced(accounts: Accounts) -> None:
    keys = [SigningKey(f"k{day}", "access", f"secret {day}", NOW + dt.timedelta(days=day)) for day in range(3)]
    for key in (keys[1], keys[0], keys[2], SigningKey("o", "offer", "s", NOW)):
        await accounts.add_signing_key(key)
    await accounts.add_signing_key(replace(keys[1], secret="another"))
    assert list(await accounts.signing_keys("access")) == keys[::-1]
    assert [key.key_id for key in await accounts.signing_keys("offer")] == ["o"]


async def test_migrating_again_and_at_once_changes_nothing(tables: Tables) -> None:
    ann = account()
    await tables.accounts.register(ann)
    await asyncio.gather(*(tables.accounts.migrate() for _ in range(6)))
    assert await tables.accounts.by_id(ann.account_id) == ann


async def test_many_processes_may_make_the_tables_at_once(tables: Tables) -> None:
    schema = f"{tables.schema}_new"
    await asyncio.gather(*(PostgresAccounts(tables.pool, schema).migrate() for _ in range(6)))
    assert await PostgresAccounts(tables.pool, schema).by_email("ann@example.org") is None
    await tables.pool.execute(f'DROP SCHEMA "{schema}" CASCADE')


async def test_a_second_use_is_on_record_for_operators(tables: Tables) -> None:
    one = await session(tables.accounts, await registered(tables.accounts), "t0")
    await tables.accounts.rotate_session(one, "t0", "t1", NOW)
    with structlog.testing.capture_logs() as logs:
        await tables.accounts.rotate_session(one, "t0", "t2", NOW)
    assert [(entry["log_level"], entry["session_id"]) for entry in logs] == [("warning", str(one))]
    because = await tables.value("SELECT ended_because FROM @sessions WHERE session_id = $1", one)
    assert because == "a refresh token was used twice"


async def test_sessions_that_ended_long_ago_make_room(tables: Tables) -> None:
    ann = await registered(tables.accounts)
    ben = await registered(tables.accounts, "ben@example.org")
    for account_id, token_id, days in ((ann, "old", -121), (ben, "bens", -121), (ann, "recent", -119), (ann, "new", 0)):
        await tables.accounts.open_session(uuid4(), account_id, token_id, LATER + dt.timedelta(days=days))
    assert await tables.value("SELECT array_agg(token_id ORDER BY token_id) FROM @sessions") == [
        "bens",
        "new",
        "recent",
    ]


@pytest.mark.parametrize("schema", ["", 'a"b', "a.b", "Users", "a b"])
async def test_a_schema_that_cannot_be_one_is_refused(tables: Tables, schema: str) -> None:
    with pytest.raises(ValueError, match="cannot name a schema"):
        PostgresAccounts(tables.pool, schema)


async def test_a_database_that_is_away_says_so_and_serves_again_when_it_is_back(
    postgres_url: str, fresh_name: Callable[..., str]
) -> None:
    gate = Gate(postgres_url)
    await gate.open()
    schema = fresh_name("users")
    async with asyncpg.create_pool(gate.url, min_size=1, max_size=2) as pool:
        accounts = PostgresAccounts(pool, schema)
        await accounts.migrate()
        ann = account()
        await accounts.register(ann)
        await gate.shut()
        for call in (
            lambda: accounts.by_id(ann.account_id),
            lambda: accounts.register(account("ben@example.org")),
            lambda: accounts.signing_keys("access"),
        ):
            with pytest.raises(AccountsUnavailable, match="PostgreSQL"):
                await call()
        await gate.open()
        assert await accounts.by_id(ann.account_id) == ann
        await pool.execute(f'DROP SCHEMA "{schema}" CASCADE')
    await gate.shut()
