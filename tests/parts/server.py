"""A Holdfast server as its operators run it: a process of its own."""

import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.parts.process import ServerProcess

_ANNOUNCED = re.compile(r"^\s+(URL|API key|Client|Secret|Database|Key file|Sandbox|Dashboard|API)\s+(.+?)\s*$")

_ALWAYS = {"COLUMNS": "500", "HOLDFAST_SWEEP_INTERVAL": "0"}
"""The sweep is off unless a test asks for it: tests that count refreshes mean those that a read has caused."""


class HoldfastProcess:
    """`holdfast serve --dev` on a free port. `api_key`, `client_id` and `client_secret` are empty if the data directory
    had its first ones before.

    With `dev=False` it runs as in production: no sandbox, no loopback for free. A second process on the same `data_dir`
    or `database` is a restart, or a second server beside the first one.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        database: str | None = None,
        provider_origins: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        port: int = 0,
        arguments: Sequence[str] = (),
        dev: bool = True,
    ) -> None:
        self.data_dir = data_dir
        self.database = database
        self.log_path = data_dir / "server.log"
        data_dir.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "holdfast.cli.main", "serve", "--port", str(port)]
        command += ["--dev"] if dev else []
        command += ["--data-dir", str(data_dir)]
        command += ["--database", database] if database else []
        for origin, stand_in in (provider_origins or {}).items():
            command += ["--provider-origin", f"{origin}={stand_in}"]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
        self._process = ServerProcess(
            [*command, *arguments], log_path=self.log_path, env={**clean, **_ALWAYS, **(env or {})}
        )
        self.announced = self._read_announcement()
        self.base_url = self.announced["URL"]
        self.api_key = self.announced.get("API key", "")
        self.client_id, self.client_secret = self.announced.get("Client", ""), self.announced.get("Secret", "")

    @property
    def port(self) -> int:
        return int(self.base_url.rpartition(":")[2])

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    def log(self) -> str:
        """Return everything it wrote to standard error so far."""
        return self._process.log()

    def stop(self) -> int:
        """SIGTERM, then wait; return the exit status."""
        return self._process.stop()

    def kill(self) -> int:
        """SIGKILL, in the middle of whatever it does."""
        return self._process.kill()

    def freeze(self) -> None:
        """Stop the process without ending it: to the others it looks dead, until `thaw`."""
        self._process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.signal(signal.SIGCONT)

    def _read_announcement(self) -> dict[str, str]:
        facts: dict[str, str] = {}
        # The line that names the API's document is the last one.
        while "API" not in facts:
            if found := _ANNOUNCED.match(self._process.line()):
                facts[found[1]] = found[2]
        return facts
