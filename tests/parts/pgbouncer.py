"""pgbouncer in transaction mode before the tests' PostgreSQL. Debian has it; elsewhere what needs it is skipped."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.parts.postgres import Postgres

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
SERVERS = 4
"""So few that whoever comes back after a COMMIT gets another one."""


class Pgbouncer:
    """A running pgbouncer. `dsn` is the address of a database through it; `stop` ends it and removes its files."""

    def __init__(self, postgres: Postgres) -> None:
        assert PROGRAM is not None
        self.folder = Path(tempfile.mkdtemp(prefix="holdfast-pgb-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        socket_dir = parse_qs(urlsplit(postgres.dsn("x")).query)["host"][0]
        settings = self.folder / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\n* = host={socket_dir} port=5432 user=postgres\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\nauth_type = any\n"
            f"pool_mode = transaction\ndefault_pool_size = {SERVERS}\nmax_client_conn = 400\nlogfile = /dev/null\n"
        )
        # It refuses to run as root; whoever runs PostgreSQL may enter its directory.
        owner = postgres.data_dir.stat()
        self.folder.chmod(0o755)
        settings.chmod(0o644)
        who = {"user": owner.st_uid, "group": owner.st_gid} if os.getuid() == 0 else {}
        self._popen = subprocess.Popen(
            [PROGRAM, "-q", str(settings)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **who
        )
        self._until_it_listens()

    def dsn(self, of: str) -> str:
        """Return the address through the pooler of a database that `Postgres` has made."""
        return f"postgresql://postgres@127.0.0.1:{self.port}{urlsplit(of).path}"

    def stop(self) -> None:
        self._popen.terminate()
        self._popen.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _until_it_listens(self) -> None:
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > until or self._popen.poll() is not None:
                    raise
                time.sleep(0.02)
