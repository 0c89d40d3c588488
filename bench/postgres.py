"""A PostgreSQL of its own, of Debian's packages, in a temporary folder; PostGIS is expected."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from bench.processes import cpu_s, family
from livemosaic_cdk.tools.emulator import free_port

_PACKAGES: Final = "apt-get install postgresql postgresql-15-postgis-3"
_SETTINGS: Final = {"shared_buffers": "256MB", "random_page_cost": "1.1", "max_wal_size": "1GB"}
"""The rest is as Debian has it; durability is not turned off."""


class PostgresError(Exception):
    """There is none, or it did not start; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """One that runs, with an empty database."""

    url: str
    pid: int

    def cpu_s(self) -> float:
        """Seconds of processor of all its processes that live."""
        return sum(map(cpu_s, family(self.pid)))


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Start one on a free port; all that it keeps is gone with it."""
    binaries = _binaries()
    with TemporaryDirectory(prefix="livemosaic-bench-pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        user = _unprivileged(folder)
        _run([binaries / "initdb", "-D", folder / "data", "-U", "bench", "-A", "trust"], user)
        port = free_port()
        server = _start(binaries, folder, port, user)
        try:
            _create(binaries, port, folder / "log")
            yield Postgres(f"postgresql://bench:bench@127.0.0.1:{port}/bench", server.pid)
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: p.parts[4])
    if not found:
        raise PostgresError(f"no PostgreSQL is installed: {_PACKAGES}")
    version = found[-1].parts[4]
    if not Path(f"/usr/share/postgresql/{version}/extension/postgis.control").exists():
        raise PostgresError(f"PostgreSQL {version} has no PostGIS: {_PACKAGES}")
    return found[-1].parent


def _unprivileged(folder: Path) -> dict[str, Any]:
    """Whom to run it as: it refuses to be root's."""
    if os.geteuid() != 0:
        return {}
    shutil.chown(folder, "postgres", "postgres")
    return {"user": "postgres", "group": "postgres", "extra_groups": []}


def _run(command: list[Any], user: dict[str, Any]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", **user)
    if done.returncode:
        raise PostgresError(f"{command[0]}: {done.stderr.strip()}")


def _start(
    binaries: Path, folder: Path, port: int, user: dict[str, Any]
) -> "subprocess.Popen[bytes]":
    settings = {
        **_SETTINGS,
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": str(folder),
    }
    given = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [binaries / "postgres", "-D", folder / "data", *given],
            stdout=log,
            stderr=log,
            cwd="/",
            **user,
        )


def _create(binaries: Path, port: int, log: Path) -> None:
    where = ["-h", "127.0.0.1", "-p", str(port), "-U", "bench"]
    for _ in range(100):
        if subprocess.run([binaries / "pg_isready", "-q", *where, "-t", "1"]).returncode == 0:
            _run([binaries / "createdb", *where, "bench"], {})
            return
    raise PostgresError(f"PostgreSQL does not answer: {log.read_text(errors='replace')[-500:]}")
