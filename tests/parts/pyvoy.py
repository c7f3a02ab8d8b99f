"""Holdfast on pyvoy, the server it could be moved to: Envoy in front of the same ASGI app, in one process."""

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from tests.parts.process import NotStarted, ServerProcess

INSTALLED = find_spec("pyvoy") is not None
_TRIES = 3
"""pyvoy gives its start ten seconds, which a busy machine may need for the imports alone."""


class PyvoyServer:
    """Running on free ports of loopback, with the certificate for localhost of `tls`, on the data of another server."""

    def __init__(self, home: Path, tls: Path, settings: Mapping[str, str]) -> None:
        home.mkdir(parents=True)
        self._log = home / "log"
        for number in range(_TRIES):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            self.base_url = f"https://localhost:{self.port}"
            try:
                self._process = self._started(tls, settings)
                return
            except NotStarted:
                if number == _TRIES - 1:
                    raise

    def stop(self) -> None:
        self._process.stop()
        with contextlib.suppress(ProcessLookupError):  # a killed parent leaves its Envoy behind
            os.killpg(self._process.pid, signal.SIGKILL)

    def log(self) -> str:
        return self._process.log()

    def _started(self, tls: Path, settings: Mapping[str, str]) -> ServerProcess:
        files = ["--tls-cert", str(tls / "localhost.pem"), "--tls-key", str(tls / "localhost-key.pem")]
        command = [sys.executable, "-u", "-m", "pyvoy._cli", "tests.parts.on_pyvoy:app", "--port", str(self.port)]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
        process = ServerProcess(
            [*command, *files, "--tls-disable-http3", "--lifespan"], log_path=self._log, env={**clean, **settings}
        )
        # It tells of its start on standard error, and listens from then on; a start that fails ends it.
        while process.returncode is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return process
            except OSError:
                time.sleep(0.05)
        raise NotStarted(process.log())
