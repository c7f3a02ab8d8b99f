"""A connection that never says what it wants is ended; one that has said so may be idle."""

import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from holdfast.cli.drain import HANDSHAKE_SECONDS
from holdfast.cli.http_protocol import HEAD_SECONDS
from tests.parts.h2 import H2Channel
from tests.parts.server import HoldfastProcess

LATE = 15.0
"""Seconds beyond its time within which a loaded machine ends a connection."""
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HoldfastProcess]:
    running = HoldfastProcess(tmp_path_factory.mktemp("silent"), arguments=["--tls-dev"])
    yield running
    running.stop()


@pytest.fixture(scope="module")
def clear(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HoldfastProcess]:
    running = HoldfastProcess(tmp_path_factory.mktemp("silent-clear"))
    yield running
    running.stop()


def test_each_way_of_saying_too_little_is_ended_in_time(server: HoldfastProcess, clear: HoldfastProcess) -> None:
    ways = {
        "no handshake": lambda: _lasted(_plain(server), b""),
        "half a handshake": lambda: _lasted(_plain(server), b"\x16\x03\x01\x02\x00\x01\x00"),
        "HTTP/1.1 without a request": lambda: _lasted(_shaken(server, "http/1.1"), b""),
        "HTTP/1.1 with half a head": lambda: _lasted(_shaken(server, "http/1.1"), b"GET / HTTP/1.1\r\nhost: x\r\n"),
        "HTTP/1.1 with half a second head": lambda: _second_half(server),
        "a header line now and then": lambda: _dripping(_shaken(server, "http/1.1")),
        "HTTP/2 without a preface": lambda: _lasted(_shaken(server, "h2"), b""),
        "HTTP/2 with half a preface": lambda: _lasted(_shaken(server, "h2"), PREFACE[:10]),
        "in clear with half a head": lambda: _lasted(_plain(clear), b"GET / HTTP/1.1\r\nhost: x\r\n"),
    }
    with ThreadPoolExecutor(len(ways)) as pool:
        lasted = {name: pool.submit(way) for name, way in ways.items()}
        found = {name: done.result() for name, done in lasted.items()}
    longest = max(HANDSHAKE_SECONDS, HEAD_SECONDS) + LATE
    assert {name: seconds for name, seconds in found.items() if seconds > longest} == {}
    assert found["HTTP/1.1 without a request"] > HEAD_SECONDS / 2, "there is time to speak"


def test_who_has_spoken_may_be_silent_for_longer(server: HoldfastProcess) -> None:
    authority = server.data_dir / "tls" / "ca.pem"
    with H2Channel(server.port, authority) as channel, _shaken(server, "http/1.1") as kept:
        channel.ping()  # a channel without any call yet, as gRPC clients open them
        assert _asked(kept).startswith(b"HTTP/1.1 200")
        time.sleep(HEAD_SECONDS + 3)
        channel.ping()
        assert channel.request(b"GET", b"/healthz", [], b"").status == 200
        assert _asked(kept).startswith(b"HTTP/1.1 200")


def _plain(server: HoldfastProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def _shaken(server: HoldfastProcess, protocol: str) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=server.data_dir / "tls" / "ca.pem")
    context.set_alpn_protocols([protocol])
    wire = context.wrap_socket(_plain(server), server_hostname="localhost")
    assert wire.selected_alpn_protocol() == protocol
    return wire


def _lasted(wire: socket.socket, said: bytes) -> float:
    """Say this and no more; return after how many seconds the other side has hung up."""
    with wire:
        began = time.monotonic()
        if said:
            wire.sendall(said)
        wire.settimeout(HEAD_SECONDS + 2 * LATE)
        try:
            while wire.recv(65536):
                pass
        except TimeoutError:
            return float("inf")
        except OSError:
            pass
        return time.monotonic() - began


def _second_half(server: HoldfastProcess) -> float:
    wire = _shaken(server, "http/1.1")
    assert _asked(wire).startswith(b"HTTP/1.1 200")
    return _lasted(wire, b"GET / HTTP/1.1\r\nhost: x\r\n")


def _dripping(wire: socket.socket) -> float:
    with wire:
        began = time.monotonic()
        wire.sendall(b"GET / HTTP/1.1\r\n")
        while time.monotonic() - began < HEAD_SECONDS + 2 * LATE:
            time.sleep(0.5)
            try:
                wire.sendall(b"x-more: and more\r\n")
            except OSError:
                return time.monotonic() - began
        return float("inf")


def _asked(wire: ssl.SSLSocket) -> bytes:
    wire.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
    return wire.recv(65536)
