"""gRPC as it comes in: bad input has a proper status with details, and a channel that is used as SDKs use it works."""

import base64
import gzip
import struct
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from holdfast.api.scalekit.descriptors import WIRE, message
from tests.parts.h2 import H2Reply, h2_request
from tests.parts.server import HoldfastProcess

AUTH = "/scalekit.v1.connected_accounts.ConnectedAccountService/GetConnectedAccountAuth"
TOOL = "/scalekit.v1.tools.ToolService/ExecuteTool"
ORGANIZATIONS = "/scalekit.v1.organizations.OrganizationService/ListOrganization"
OK, INVALID, NOT_FOUND, EXHAUSTED, UNIMPLEMENTED, UNAUTHENTICATED = 0, 3, 5, 8, 12, 16


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HoldfastProcess]:
    running = HoldfastProcess(tmp_path_factory.mktemp("grpc"), env={"HOLDFAST_MAX_BODY_BYTES": "4096"})
    yield running
    running.stop()


def _call(server: HoldfastProcess, path: str = AUTH, body: bytes | None = None, **changes: str) -> H2Reply:
    headers = {
        "content-type": "application/grpc",
        "te": "trailers",
        "authorization": f"Bearer {server.api_key}",
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    data = _framed(_request("somebody")) if body is None else body
    sent = {name.encode(): value.encode() for name, value in headers.items() if value}
    return h2_request(server.port, b"POST", path.encode(), sent, data)


def _request(identifier: str) -> bytes:
    asked = message(
        "connected_accounts.GetConnectedAccountByIdentifierRequest", connector="nowhere", identifier=identifier
    )
    data: bytes = asked.SerializeToString()
    return data


def _framed(data: bytes, *, compressed: int = 0) -> bytes:
    return struct.pack(">BI", compressed, len(data)) + data


def _error_info(reply: H2Reply) -> Any:
    """Return the ErrorInfo; the status in it is the call's, or the Python SDK would refuse it."""
    text = reply.trailers[b"grpc-status-details-bin"]
    status = WIRE.kind("google.rpc.Status").FromString(base64.b64decode(text + b"=" * (-len(text) % 4)))
    assert status.code == reply.grpc_status
    info = WIRE.kind("errdetails.ErrorInfo")()
    assert status.details[0].Unpack(info)
    return info


@pytest.mark.parametrize(
    ("changes", "expected", "word"),
    [
        ({}, NOT_FOUND, "RESOURCE_NOT_FOUND"),
        ({"path": "/scalekit.v1.connected_accounts.ConnectedAccountService/Nope"}, UNIMPLEMENTED, "UNIMPLEMENTED"),
        ({"path": "/other.Service/Nope"}, UNIMPLEMENTED, "UNIMPLEMENTED"),
        ({"path": TOOL}, UNIMPLEMENTED, "UNIMPLEMENTED"),
        ({"authorization": ""}, UNAUTHENTICATED, "UNAUTHENTICATED"),
        ({"authorization": "Bearer nonsense"}, UNAUTHENTICATED, "UNAUTHENTICATED"),
        ({"authorization": "Bearer a.b.c" + "d" * 300}, UNAUTHENTICATED, "UNAUTHENTICATED"),
        ({"content_type": "application/grpc+json"}, INVALID, "INVALID_ARGUMENT"),
        ({"content_type": "application/json"}, INVALID, "INVALID_ARGUMENT"),
        ({"body": b""}, INVALID, "INVALID_ARGUMENT"),
        ({"body": b"\0\0\0\0\xff"}, INVALID, "INVALID_ARGUMENT"),
        ({"body": _framed(b"\xff\xff\xff\xff")}, INVALID, "INVALID_ARGUMENT"),
        ({"body": _framed(_request("a")) * 2}, INVALID, "INVALID_ARGUMENT"),
        ({"body": _framed(_request("a" * 8192))}, EXHAUSTED, "RESOURCE_EXHAUSTED"),
        ({"body": _framed(b"x", compressed=1)}, INVALID, "INVALID_ARGUMENT"),
        ({"body": _framed(b"x", compressed=1), "grpc_encoding": "br"}, UNIMPLEMENTED, "UNIMPLEMENTED"),
        ({"body": _framed(b"x", compressed=1), "grpc_encoding": "gzip"}, INVALID, "INVALID_ARGUMENT"),
        (
            {"body": _framed(gzip.compress(b"a" * 1_000_000), compressed=1), "grpc_encoding": "gzip"},
            EXHAUSTED,
            "RESOURCE_EXHAUSTED",
        ),
        ({"body": _framed(_request("a\0b"))}, INVALID, "INVALID_ARGUMENT"),
    ],
)
def test_every_bad_request_has_a_status_and_says_what_is_wrong(
    server: HoldfastProcess, changes: dict[str, Any], expected: int, word: str
) -> None:
    reply = _call(server, **changes)
    info = _error_info(reply)
    assert (reply.grpc_status, info.error_code) == (expected, word)
    assert info.request_info.request_id.startswith("req_")
    assert b"nonsense" not in reply.trailers[b"grpc-message"]


def test_a_compressed_message_is_read(server: HoldfastProcess) -> None:
    body = _framed(gzip.compress(_request("ada")), compressed=1)
    assert _call(server, body=body, grpc_encoding="gzip").grpc_status == NOT_FOUND


def test_broken_rules_are_named_field_by_field(server: HoldfastProcess) -> None:
    asked = message(
        "connected_accounts.GetConnectedAccountByIdentifierRequest", connector="a/b", identifier="x" * 101, id="da_1"
    )
    info = _error_info(_call(server, body=_framed(asked.SerializeToString())))
    broken = [(item.field, item.constraint) for item in info.validation_error_info.field_violations]
    assert broken == [("connector", "pattern"), ("identifier", "max_len"), ("id", "prefix")]


@pytest.mark.parametrize("joined", ["{good}, Bearer stale", "Bearer stale, {good}", "Bearer stale,{good}"])
def test_one_valid_token_among_several_is_enough(server: HoldfastProcess, joined: str) -> None:
    both = joined.format(good=f"Bearer {server.api_key}")
    assert _call(server, authorization=both).grpc_status == NOT_FOUND


def test_a_deadline_that_has_passed_is_told(server: HoldfastProcess) -> None:
    assert _call(server, grpc_timeout="1n").grpc_status == 4


def test_a_channel_pings_without_calls_and_its_next_call_is_answered(server: HoldfastProcess) -> None:
    """As the SDK's own, only that it pings every second here instead of every minute."""
    options = [
        ("grpc.keepalive_time_ms", 1000),
        ("grpc.keepalive_timeout_ms", 1000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    with grpc.insecure_channel(f"localhost:{server.port}", options=options) as channel:
        states: list[grpc.ChannelConnectivity] = []
        ask = channel.unary_unary(ORGANIZATIONS)
        metadata = [("authorization", f"Bearer {server.api_key}")]
        ask(b"", metadata=metadata, timeout=5)
        channel.subscribe(states.append)
        time.sleep(7)  # uvicorn's own keep-alive would have ended the connection after 5
        ask(b"", metadata=metadata, timeout=5)
    assert set(states) == {grpc.ChannelConnectivity.READY}


def test_both_loopbacks_answer(server: HoldfastProcess) -> None:
    for host in ("127.0.0.1", "[::1]"):
        with grpc.insecure_channel(f"{host}:{server.port}") as channel:
            found = channel.unary_unary(ORGANIZATIONS)(
                b"", metadata=[("authorization", f"Bearer {server.api_key}")], timeout=5
            )
            assert found == b""
