"""Channels without a call: their pings are answered and held against nobody, and the next call is answered.

The short form holds a connection for some seconds; HOLDFAST_LONG=1 holds channels of the real client for five minutes,
with its ping every minute.
"""

import os
import re
import time
from collections.abc import Iterator

import grpc
import pytest
from scalekit import ScalekitClient

from holdfast.cli.protocols import H2_IDLE_SECONDS
from tests.conformance.scalekit_house import House
from tests.conformance.scalekit_python.listing import LIST, framed
from tests.parts.h2 import H2Channel
from tests.parts.terminator import KINDS, Terminator, configuration, program

SDK_IDLE_SECONDS, LONG_SECONDS = 240, 310
"""After the first the Python SDK lets go of a channel by itself (CLIENT_IDLE_TIMEOUT_CEILING_MS of its core.py)."""
SHORT_SECONDS = 6


@pytest.fixture(scope="module")
def ports(house: House) -> Iterator[dict[str, int]]:
    """The server's own TLS port, and those of the terminators that are here."""
    here = [kind for kind in KINDS if program(kind)]
    fronts = {
        kind: Terminator(kind, house.home / f"idle-{kind}", house.home / "tls", house.clear.port) for kind in here
    }
    yield {"holdfast": house.secure.port} | {kind: front.port for kind, front in fronts.items()}
    for front in fronts.values():
        front.stop()


@pytest.mark.parametrize("who", ["holdfast", *KINDS])
def test_pings_without_a_call_are_answered_and_the_connection_takes_its_next_call(
    house: House, ports: dict[str, int], who: str
) -> None:
    if who not in ports:
        pytest.skip(f"there is no {who} here: apt-get install {who}")
    headers = [(b"authorization", f"Bearer {house.clear.api_key}".encode())]
    headers += [(b"content-type", b"application/grpc"), (b"te", b"trailers")]
    with H2Channel(ports[who], house.authority) as channel:
        assert channel.request(b"POST", LIST, headers, framed()).grpc_status == 0
        until, pings = time.monotonic() + SHORT_SECONDS, 0
        while time.monotonic() < until:
            channel.ping()  # raises where the other side says goodbye instead of answering
            pings += 1
            time.sleep(0.25)
        assert pings >= 4
        assert channel.request(b"POST", LIST, headers, framed()).grpc_status == 0


@pytest.mark.parametrize(
    ("kind", "setting"), [("haproxy", r"timeout http-keep-alive (\d+)m"), ("caddy", r"idle (\d+)m")]
)
def test_no_one_hangs_up_before_the_sdk_does(kind: str, setting: str) -> None:
    found = re.search(setting, configuration(kind))
    assert found is not None
    assert int(found[1]) * 60 > LONG_SECONDS > SDK_IDLE_SECONDS
    assert H2_IDLE_SECONDS > LONG_SECONDS


@pytest.mark.skipif(os.environ.get("HOLDFAST_LONG") != "1", reason="takes five minutes: HOLDFAST_LONG=1")
def test_a_channel_idle_for_five_minutes_answers_its_next_call(house: House, ports: dict[str, int]) -> None:
    """Its SDK's own, which lets go and comes back; and one that never lets go, and must be as it was all the time."""
    connector, identifier = house.connector(), house.new("user")
    sdks = [
        ScalekitClient(f"https://localhost:{port}", house.client_id, house.client_secret) for port in ports.values()
    ]
    sdks[0].actions.create_connected_account(connector, identifier)
    channels = {who: _Watched(port, house) for who, port in ports.items()}
    began = time.monotonic()
    for sdk in sdks:
        sdk.actions.get_connected_account(connector, identifier)
    for channel in channels.values():
        channel.call()
    while time.monotonic() < began + LONG_SECONDS:
        time.sleep(1)
    for sdk in sdks:
        assert sdk.actions.get_connected_account(connector, identifier).connected_account.identifier == identifier
    for who, channel in channels.items():
        channel.call()
        assert channel.states[channel.states.index("READY") :] == ["READY"], (who, channel.states)
        channel.close()


class _Watched:
    """A channel with the SDK's pings that is not let go of by itself, and all its states."""

    def __init__(self, port: int, house: House) -> None:
        self._key, self.states = house.clear.api_key, list[str]()
        self._channel = grpc.secure_channel(
            f"localhost:{port}",
            grpc.ssl_channel_credentials(house.authority.read_bytes()),
            options=[
                ("grpc.keepalive_time_ms", 60_000),
                ("grpc.keepalive_timeout_ms", 10_000),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.max_pings_without_data", 0),
                ("grpc.client_idle_timeout_ms", 1_800_000),
            ],
        )
        self._channel.subscribe(lambda state: self.states.append(state.name), try_to_connect=True)

    def call(self) -> None:
        ask = self._channel.unary_unary(LIST.decode())
        ask(framed()[5:], metadata=[("authorization", f"Bearer {self._key}")], timeout=20)

    def close(self) -> None:
        self._channel.close()
