"""Two PostgreSQL servers of our own on TCP, the second a standby of the first: to be killed and promoted."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from tests.parts.postgres import Postgres
from tests.parts.procfs import children, runs


class Server:
    """One server: `start`, `kill`, `promote`. It listens on 127.0.0.1 at `port`."""

    def __init__(self, bin_path: Path, owner: int, port: int) -> None:
        self._bin, self._owner, self.port = bin_path, owner, port
        self.data_dir = Path(tempfile.mkdtemp(prefix="holdfast-cluster-"))
        if os.getuid() == 0:
            os.chown(self.data_dir, owner, pwd.getpwuid(owner).pw_gid)

    def create(self, *options: str) -> None:
        """Make it. `options` are initdb's."""
        self._run("initdb", "-D", self.data_dir, "-U", "postgres", "-A", "trust", "--no-sync", *options)

    def copy(self, of: "Server") -> None:
        """Become a standby of a running server, which is waited for at each of its commits."""
        address = f"host=127.0.0.1 port={of.port} user=postgres application_name=second"
        self._run("pg_basebackup", "-D", self.data_dir, "-d", address, "-R", "-X", "stream", "-c", "fast", "--no-sync")
        of.sql("ALTER SYSTEM SET synchronous_standby_names = 'second'")
        of.sql("ALTER SYSTEM SET synchronous_commit = 'on'")

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c wal_level=replica"
        log = self.data_dir / "server.log"
        self._run("pg_ctl", "-D", self.data_dir, "-o", options, "-l", log, "-w", "-t", "60", "start")

    def ask_for_a_password(self, user: str, password: str) -> None:
        """Make a user who is let in with this password only."""
        self.sql(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'")
        rules = self.data_dir / "pg_hba.conf"
        rules.write_text(f"host all {user} 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
        self.reload()

    def promote(self) -> None:
        self._run("pg_ctl", "-D", self.data_dir, "-w", "promote")

    def reload(self) -> None:
        self._run("pg_ctl", "-D", self.data_dir, "reload")

    def kill(self) -> None:
        """SIGKILL to all of it, the first process first, so that it is no orderly end for anybody."""
        pid = int((self.data_dir / "postmaster.pid").read_text().split()[0])
        all_of_it = (pid, *children(pid))
        for one in all_of_it:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        while any(runs(one) for one in all_of_it):
            time.sleep(0.01)
        # Where nobody collects the dead, its number stays taken, and the next start would take it for running.
        (self.data_dir / "postmaster.pid").unlink()

    def sql(self, statement: str, database: str = "postgres") -> str:
        return self._run(
            "psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database, "-qAtc", statement
        )

    def remove(self) -> None:
        if (self.data_dir / "postmaster.pid").exists():
            subprocess.run(
                self._as("pg_ctl", "-D", self.data_dir, "-m", "immediate", "stop"), check=False, **self._how()
            )
        shutil.rmtree(self.data_dir, ignore_errors=True)

    def _as(self, program: str, *arguments: "str | Path") -> "list[str | Path]":
        return [self._bin / program, *arguments]

    def _how(self) -> dict[str, object]:
        who = {"user": self._owner, "group": pwd.getpwuid(self._owner).pw_gid} if os.getuid() == 0 else {}
        return {"capture_output": True, "timeout": 120, "cwd": "/tmp", **who}

    def _run(self, program: str, *arguments: "str | Path") -> str:
        done = subprocess.run(self._as(program, *arguments), check=False, **self._how())  # type: ignore[call-overload]
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stdout.decode()} {done.stderr.decode(errors='replace')}")
        return str(done.stdout.decode())


def servers(postgres: Postgres, ports: tuple[int, int]) -> tuple[Server, Server]:
    """Return a running server and its running standby. `remove` both."""
    owner = postgres.data_dir.stat().st_uid
    first, second = (Server(postgres.bin_path, owner, port) for port in ports)
    first.create()
    first.start()
    second.copy(first)
    second.start()
    first.reload()
    return first, second
