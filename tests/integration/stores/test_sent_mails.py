"""The delivery log on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

from infra.eventstore.pool import create_pool
from infra.eventstore.sql import in_schema
from infra.stores.sent_mails import PostgresSentMails
from tests.fakes import NOW


async def test_what_is_noted_is_known(embedded_postgres_url: str, fresh_name: Callable[..., str]) -> None:
    schema = fresh_name("mails")
    async with await create_pool(embedded_postgres_url) as pool:
        log = PostgresSentMails(pool, schema)
        await log.migrate()
        await log.migrate()
        sent, refused = uuid4(), uuid4()
        await log.note(sent, NOW)
        await log.note(refused, NOW, 550)
        await log.note(refused, NOW, 551)
        assert [await log.has(each) for each in (sent, refused, uuid4())] == [True, True, False]
        rows = await pool.fetch(in_schema("SELECT * FROM @sent_mails ORDER BY refused NULLS FIRST", schema))
        assert [tuple(row) for row in rows] == [(sent, NOW, None), (refused, NOW, 550)]
        await pool.execute(f'DROP SCHEMA "{schema}" CASCADE')
