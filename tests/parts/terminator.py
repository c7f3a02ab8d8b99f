"""HAProxy and Caddy before a server, with the configurations of docs/tls.md. Debian has both; elsewhere what needs them
is skipped."""

import os
import re
import shutil
import socket
import time
from pathlib import Path

from tests.parts.process import NotStarted, ServerProcess

PAGE = Path(__file__).parents[2] / "docs" / "tls.md"
KINDS = {"haproxy": "haproxy", "caddy": "caddyfile"}
_START_SECONDS = 30.0


def program(kind: str) -> str | None:
    return shutil.which(kind, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def configuration(kind: str) -> str:
    """Return what the page says for this terminator."""
    found = re.findall(rf"```{KINDS[kind]}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(found) == 1, f"docs/tls.md has {len(found)} configurations for {kind}"
    return str(found[0])


class Terminator:
    """One running, on a free port of loopback, with the certificate for localhost of `tls`, before a port in clear."""

    def __init__(self, kind: str, home: Path, tls: Path, upstream: int) -> None:
        home.mkdir(parents=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.base_url = f"https://localhost:{self.port}"
        path, (command, changes) = home / kind, _fitted(kind, home, tls, self.port)
        text = configuration(kind)
        real = {"127.0.0.1:8787": f"127.0.0.1:{upstream}", **changes}
        for shown in real:
            assert shown in text, f"the page's {kind} has no {shown!r}"
        # In one pass: what takes a place may look like another of them, as port 44327 does.
        text = re.sub("|".join(map(re.escape, real)), lambda shown: real[shown[0]], text)
        path.write_text(text)
        env = {**os.environ, "HOME": str(home), "XDG_DATA_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
        self._process = ServerProcess([str(program(kind)), *command, path], log_path=home / "log", cwd=home, env=env)
        self._until_it_listens()

    def stop(self) -> None:
        self._process.stop()

    def _until_it_listens(self) -> None:
        until = time.monotonic() + _START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > until or self._process.returncode is not None:
                    self._process.kill()
                    raise NotStarted(self._process.log()) from None
                time.sleep(0.02)


def _fitted(kind: str, home: Path, tls: Path, port: int) -> tuple[list[str], dict[str, str]]:
    """Return the command, and what of the page is another here: the address, the certificate, no port 80."""
    cert, key = tls / "localhost.pem", tls / "localhost-key.pem"
    if kind == "haproxy":
        both = home / "localhost.pem"
        both.write_bytes(cert.read_bytes() + key.read_bytes())
        return ["-db", "-f"], {"/etc/haproxy/connect.example.com.pem": str(both), ":443": f"127.0.0.1:{port}"}
    return ["run", "--adapter", "caddyfile", "--config"], {
        "{\n\tservers {": "{\n\tadmin off\n\tauto_https disable_redirects\n\tservers {",
        "connect.example.com {": f"https://localhost:{port} {{\n\tbind 127.0.0.1\n\ttls {cert} {key}",
    }
