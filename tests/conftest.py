"""Fixtures that every test may use: URLs of real servers, shared by the whole run, and names that are nobody else's."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from tests import servers
from tests.servers import holding, rabbitmq


def pytest_configure(config: pytest.Config) -> None:
    """Open the run that the servers belong to: the process that opens it (with xdist the controller) closes it."""
    if holding.open_run():
        config.add_cleanup(holding.close_run)


@pytest.fixture(scope="session")
def fresh_name() -> Callable[..., str]:
    """``fresh_name()`` or ``fresh_name("prefix")``: a short unique name for a schema, index, prefix, queue."""
    return servers.fresh_name


@pytest.fixture(scope="session")
def worker() -> str:
    """The xdist worker's name.

    A PostgreSQL is not shared between workers: a transaction that one test leaves open on purpose holds back every
    reader of every log on that server.
    """
    return os.environ.get("PYTEST_XDIST_WORKER", "")


@pytest.fixture(scope="session")
def postgres_url(worker: str) -> str:
    """The distribution's PostgreSQL, as superuser."""
    return holding.shared("postgres", worker)["url"]


@pytest.fixture(scope="session")
def embedded_postgres_url(worker: str) -> str:
    """The PostgreSQL of the embedded default."""
    return holding.shared("embedded_postgres", worker)["url"]


@pytest.fixture(scope="session")
def rabbitmq_url() -> str:
    """RabbitMQ's virtual host ``/``. ``rabbitmq_vhost`` is a better place for a test."""
    return holding.shared("rabbitmq")["url"]


@pytest.fixture(scope="session")
def rabbitmq_management_url() -> str:
    """RabbitMQ's management API, with the password; ``tests.servers.rabbitmq.call_management`` takes it."""
    return holding.shared("rabbitmq")["management_url"]


@pytest.fixture
def rabbitmq_vhost(rabbitmq_url: str, rabbitmq_management_url: str) -> Iterator[str]:
    """The URL of a virtual host of this test's own."""
    url = rabbitmq.create_vhost(rabbitmq_url, rabbitmq_management_url, servers.fresh_name())
    yield url
    rabbitmq.delete_vhost(url, rabbitmq_management_url)


@pytest.fixture(scope="session")
def redis_url() -> str:
    """The distribution's Redis."""
    return holding.shared("redis")["url"]


@pytest.fixture(scope="session")
def embedded_redis_url() -> str:
    """The Redis of the embedded default."""
    return holding.shared("embedded_redis")["url"]


@pytest.fixture(scope="session")
def mongo_url() -> str:
    """A server that speaks MongoDB's wire protocol."""
    return holding.shared("mongo")["url"]


@pytest.fixture(scope="session")
def elasticsearch_url() -> str:
    """Elasticsearch."""
    return holding.shared("elasticsearch")["url"]


@pytest.fixture(scope="session")
def create_database() -> Callable[[str, str], str]:
    """``create_database(postgres_url, name)``: makes a database on that server and gives its URL."""

    def create(url: str, name: str) -> str:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(SQL("create database {}").format(Identifier(name)))
        parts = urlsplit(url)
        return urlunsplit(parts._replace(path=f"/{name}"))

    return create


@pytest.fixture(scope="session")
def create_vhost(rabbitmq_management_url: str) -> Callable[[str, str], str]:
    """``create_vhost(rabbitmq_url, name)``: makes a virtual host that lives as long as the run and gives its URL."""
    return lambda url, name: rabbitmq.create_vhost(url, rabbitmq_management_url, name)
