"""TLS on the one port: the development authority, the operator's certificate, and which protocol a connection gets."""

import socket
import ssl
import stat
from pathlib import Path

import pytest

from tests.cli.test_transcripts import holdfast, one_line
from tests.parts.server import HoldfastProcess


def _chosen(server: HoldfastProcess, offered: list[str], host: str = "localhost") -> str | None:
    """Shake hands as a client that trusts the development authority alone; return the protocol chosen."""
    context = ssl.create_default_context(cafile=server.data_dir / "tls" / "ca.pem")
    context.set_alpn_protocols(offered)
    with socket.create_connection((host, server.port), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname=host) as wire:
            return wire.selected_alpn_protocol()


def test_the_development_authority_is_made_once_and_kept(tmp_path: Path) -> None:
    home = tmp_path / "data"
    server = HoldfastProcess(home, arguments=["--tls-dev"])
    try:
        assert server.base_url.startswith("https://localhost:")
        assert _chosen(server, ["h2", "http/1.1"]) == "http/1.1"
        assert _chosen(server, ["h2"]) == "h2"
        assert _chosen(server, [], "127.0.0.1") is None
        assert _chosen(server, ["h2"], "::1") == "h2"
    finally:
        server.stop()
    files = {path.name: path.read_bytes() for path in (home / "tls").iterdir()}
    for name in ("ca-key.pem", "localhost-key.pem"):
        assert stat.S_IMODE((home / "tls" / name).stat().st_mode) == 0o600
    again = HoldfastProcess(home, arguments=["--tls-dev"])
    again.stop()
    assert {path.name: path.read_bytes() for path in (home / "tls").iterdir()} == files


def test_an_operators_certificate_is_served(tmp_path: Path) -> None:
    made = HoldfastProcess(tmp_path / "made", arguments=["--tls-dev"])
    made.stop()
    tls = tmp_path / "made" / "tls"
    chosen = ["--tls-cert", str(tls / "localhost.pem"), "--tls-key", str(tls / "localhost-key.pem")]
    server = HoldfastProcess(tmp_path / "data", arguments=chosen)
    try:
        (server.data_dir / "tls").symlink_to(tls)
        assert _chosen(server, ["h2"]) == "h2"
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--tls-cert", "nowhere.pem", "--tls-key", "nowhere.key"], "cannot be used"),
        (["--tls-cert", "nowhere.pem"], "go together"),
        (["--tls-dev", "--tls-cert", "a.pem", "--tls-key", "b.pem"], "leave tls_cert out"),
    ],
)
def test_what_cannot_be_served_is_one_line_before_anything_starts(
    tmp_path: Path, options: list[str], words: str
) -> None:
    assert words in one_line(holdfast("serve", "--port", "0", "--data-dir", tmp_path, *options))
    assert not (tmp_path / "holdfast.db").exists()
