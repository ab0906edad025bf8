"""Both stacks of the platform, each started once: the embedded default in one process, real servers in several."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running import RunningPlatform

_LOG_CHARACTERS = 10_000
SEPARATE_PROCESSES = (
    ("gateway", "users"),
    ("hotels", "inventory"),
    ("bookings", "payments"),
    ("analytics", "reviews", "notifications"),
)


@pytest.fixture(scope="session")
def new_real_settings(request: pytest.FixtureRequest) -> Callable[[], dict[str, str]]:
    """Makes settings that point at the real servers, at databases of their own."""
    value = request.getfixturevalue

    def make() -> dict[str, str]:
        name = value("fresh_name")()
        return {
            "NIGHTLEDGER_POSTGRES_URL": value("create_database")(value("postgres_url"), name),
            "NIGHTLEDGER_RABBITMQ_URL": value("create_vhost")(value("rabbitmq_url"), name),
            "NIGHTLEDGER_REDIS_URL": value("redis_url"),
            "NIGHTLEDGER_MONGO_URL": value("mongo_url"),
            "NIGHTLEDGER_ELASTICSEARCH_URL": value("elasticsearch_url"),
            "NIGHTLEDGER_NAMESPACE": name,
        }

    return make


@pytest.fixture(scope="session")
def embedded_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    """Everything in one process, with demo accounts and hotels."""
    with _demo(RunningPlatform(_folder(tmp_path_factory, "embedded"))) as platform:
        yield platform


@pytest.fixture(scope="session")
def real_platform(
    tmp_path_factory: pytest.TempPathFactory, new_real_settings: Callable[[], dict[str, str]]
) -> Iterator[RunningPlatform]:
    """Several processes on real servers."""
    folder = _folder(tmp_path_factory, "real")
    with _demo(RunningPlatform(folder, new_real_settings(), SEPARATE_PROCESSES)) as platform:
        yield platform


@pytest.fixture(
    params=[
        pytest.param("embedded", marks=pytest.mark.xdist_group("e2e-embedded")),
        pytest.param("real", marks=pytest.mark.xdist_group("e2e-real")),
    ]
)
def platform(request: pytest.FixtureRequest) -> RunningPlatform:
    """The platform on either stack."""
    running: RunningPlatform = request.getfixturevalue(f"{request.param}_platform")
    return running


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Iterator[None]:
    """Let the report of a failure end with what platforms have logged meanwhile."""
    outcome: Any = yield
    report: pytest.TestReport = outcome.get_result()
    if report.failed:
        for log in RunningPlatform.logs:
            if log.exists() and log.stat().st_mtime >= call.start:
                report.sections.append((f"the end of {log}", log.read_text()[-_LOG_CHARACTERS:]))


def _folder(factory: pytest.TempPathFactory, name: str) -> Path:
    return factory.mktemp(name) / "data"


def _demo(platform: RunningPlatform) -> RunningPlatform:
    platform.arguments = ("--demo",)
    return platform
