"""Settings, read from ``NIGHTLEDGER_*``. Where a URL is not set, the embedded counterpart is used."""

from __future__ import annotations

from email.utils import parseaddr
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

SERVICES = ("gateway", "users", "hotels", "inventory", "bookings", "payments", "notifications", "reviews", "analytics")
"""Everything that ``nightledger serve`` can run."""


Priority = Literal["idle", "low", "normal"]


class BadSetting(Exception):
    """A setting cannot be used. The text is one line that names the variable and what it must be."""


def _url(*schemes: str) -> AfterValidator:
    def check(url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in schemes or not (parts.hostname or parts.query or parts.path.strip("/")):
            raise ValueError(f"must be a URL with scheme {' or '.join(schemes)}")
        return url

    return AfterValidator(check)


def _proxies(text: str | None) -> str | None:
    """Addresses and networks with commas between. Raises ValueError for anything else."""
    if text is None:
        return None
    try:
        return ",".join(str(ip_network(each.strip(), strict=False)) for each in text.split(","))
    except ValueError as error:
        raise ValueError("must be addresses or networks, such as 10.0.0.7,fd00::/8") from error


def _mailbox(text: str) -> str:
    """``Name <address>`` or an address. Raises ValueError for anything else."""
    address = parseaddr(text)[1]
    if not all(address.partition("@")) or not text.isprintable():
        raise ValueError("must be an address, or Name <address>")
    return text


class Settings(BaseSettings):
    """One object for all services; secrets never appear in its text."""

    model_config = SettingsConfigDict(env_prefix="NIGHTLEDGER_", extra="ignore", env_ignore_empty=True)

    url: Annotated[str | None, _url("http", "https")] = None
    """Where the command line finds a platform that runs elsewhere, with ``token`` as an operator's access token."""
    token: SecretStr | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    trusted_proxies: Annotated[str | None, AfterValidator(_proxies)] = None
    """Who is believed about whom a request comes from, and by which scheme (X-Forwarded-For, X-Forwarded-Proto)."""
    metrics_port: int | None = Field(default=None, ge=1, le=65535)
    """Where a process without the gateway serves its numbers at /metrics; without it, it serves none."""
    data_dir: Path = Path(".nightledger")
    postgres_url: Annotated[str | None, _url("postgresql", "postgres")] = None
    inventory_postgres_url: Annotated[str | None, _url("postgresql", "postgres")] = None
    bookings_postgres_url: Annotated[str | None, _url("postgresql", "postgres")] = None
    payments_postgres_url: Annotated[str | None, _url("postgresql", "postgres")] = None
    hotels_postgres_url: Annotated[str | None, _url("postgresql", "postgres")] = None
    analytics_postgres_url: Annotated[str | None, _url("postgresql", "postgres")] = None
    users_postgres_url: Annotated[str | None, _url("postgresql", "postgres")] = None
    rabbitmq_url: Annotated[str | None, _url("amqp", "amqps")] = None
    redis_url: Annotated[str | None, _url("redis", "rediss", "unix")] = None
    mongo_url: Annotated[str | None, _url("mongodb", "mongodb+srv")] = None
    elasticsearch_url: Annotated[str | None, _url("http", "https")] = None
    clickhouse_url: Annotated[str | None, _url("http", "https", "clickhouse", "clickhouses")] = None
    smtp_url: Annotated[str | None, _url("smtp", "smtps")] = None
    """Where mails to guests are handed over; without it, none are sent."""
    mail_from: Annotated[str, AfterValidator(_mailbox)] = "Nightledger <no-reply@localhost>"
    public_url: Annotated[str | None, _url("http", "https")] = None
    """Where guests find the platform's pages: what links in mails begin with (else host and port)."""
    namespace: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")] = "nightledger"
    """Begins the names of everything in shared Redis, MongoDB and Elasticsearch servers."""
    replay_process_from: int = Field(default=5_000, ge=0)
    """Read models are filled by a process of its own when the logs have so many events in all."""
    replay_priority: Priority = "idle"
    """How that process competes for the processor: when nobody else wants it, ``low``, or ``normal``."""
    rate_limits: bool = True
    demo_hotels: int = Field(default=200, ge=1, le=200)
    """How many hotels the demo seeds."""
    issuer: str = "nightledger"
    """``iss`` of the tokens that the platform issues."""
    log_level: Annotated[str, Field(pattern="^(debug|info|warning|error)$")] = "info"
    log_json: bool = False
    otlp_endpoint: Annotated[str | None, _url("http", "https")] = None
    """Where traces are sent (OTLP over HTTP, base URL of a collector); without it there are none."""
    trace_ratio: float = Field(default=1.0, ge=0.0, le=1.0)
    """The part of the traces that is recorded; a caller's own decision, in its ``traceparent``, counts more."""

    @property
    def pages_url(self) -> str:
        """Where the pages are, without a slash at the end."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    def postgres_url_of(self, context: str) -> str | None:
        """The URL of ``context``'s schema: its own, else the common one, else None (embedded)."""
        own: str | None = getattr(self, f"{context}_postgres_url", None)
        return own or self.postgres_url


def load_settings() -> Settings:
    """Read the environment. Raises BadSetting with one line for the first setting that cannot be used."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = f"NIGHTLEDGER_{'_'.join(str(part) for part in first['loc']).upper()}"
        raise BadSetting(f"{name}: {first['msg'].removeprefix('Value error, ')}") from error


def check_services(names: tuple[str, ...]) -> tuple[str, ...]:
    """The services to run (all, if none is named). Raises BadSetting for one that does not exist."""
    unknown = [name for name in names if name not in SERVICES]
    if unknown:
        raise BadSetting(f"no service {unknown[0]!r}; there are {', '.join(SERVICES)}")
    return names or SERVICES
