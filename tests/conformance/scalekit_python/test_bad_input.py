"""What no SDK sends: each bad call is answered with a gRPC status that fits, and details that say what is wrong."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import grpc
import httpx2
import pytest
from grpc_status import rpc_status
from scalekit import ScalekitClient
from scalekit.v1.connected_accounts import connected_accounts_pb2 as wire
from scalekit.v1.connected_accounts.connected_accounts_pb2_grpc import ConnectedAccountServiceStub
from scalekit.v1.errdetails.errdetails_pb2 import ErrorInfo

from tests.conformance.scalekit_house import House

SERVICE = "/scalekit.v1.connected_accounts.ConnectedAccountService"
ENOUGH = 8 * 1024 * 1024
Bad = Callable[[Any, Any], object]


@pytest.fixture(scope="module")
def channel(house: House) -> Iterator[Any]:
    options = [("grpc.max_send_message_length", 4 * ENOUGH)]
    trust = grpc.ssl_channel_credentials()
    with grpc.secure_channel(urlsplit(house.secure.base_url).netloc, trust, options=options) as opened:
        yield opened


def _raw(channel: Any, path: str, data: bytes, as_whom: Any) -> object:
    return channel.unary_unary(path)(data, metadata=as_whom, timeout=20)


def _list(**fields: Any) -> Bad:
    asked = wire.ListConnectedAccountsRequest(**fields)
    return lambda channel, me: ConnectedAccountServiceStub(channel).ListConnectedAccounts(asked, metadata=me)


def _auth(**fields: Any) -> Bad:
    asked = wire.GetConnectedAccountByIdentifierRequest(**fields)
    return lambda channel, me: ConnectedAccountServiceStub(channel).GetConnectedAccountAuth(asked, metadata=me)


def _verify(**fields: Any) -> Bad:
    asked = wire.VerifyConnectedAccountUserRequest(**fields)
    return lambda channel, me: ConnectedAccountServiceStub(channel).VerifyConnectedAccountUser(asked, metadata=me)


BAD: dict[str, tuple[Bad, str, str, str]] = {
    "unknown method": (lambda c, me: _raw(c, SERVICE + "/Nothing", b"", me), "UNIMPLEMENTED", "UNIMPLEMENTED", ""),
    "unknown service": (lambda c, me: _raw(c, "/a.b.C/Nothing", b"", me), "UNIMPLEMENTED", "UNIMPLEMENTED", ""),
    "no message": (
        lambda c, me: _raw(c, SERVICE + "/ListConnectedAccounts", b"\xff\xff\xff", me),
        "INVALID_ARGUMENT",
        "INVALID_ARGUMENT",
        "",
    ),
    "oversized message": (
        lambda c, me: _raw(c, SERVICE + "/ListConnectedAccounts", b"x" * ENOUGH, me),
        "RESOURCE_EXHAUSTED",
        "RESOURCE_EXHAUSTED",
        "",
    ),
    "bad page token": (_list(page_token="made-up"), "INVALID_ARGUMENT", "INVALID_ARGUMENT", "page_token"),
    "too large a page": (_list(page_size=100), "INVALID_ARGUMENT", "INVALID_ARGUMENT", "page_size"),
    "malformed id": (_auth(id="conn_1"), "INVALID_ARGUMENT", "INVALID_ARGUMENT", "id"),
    "an id of nobody": (_auth(id="ca_01ARZ3NDEKTSV4RRFFQ69G5FAV"), "NOT_FOUND", "RESOURCE_NOT_FOUND", ""),
    "nobody named": (_auth(connector="acme"), "INVALID_ARGUMENT", "INVALID_ARGUMENT", "identifier"),
    "no connector": (_auth(identifier="ada"), "INVALID_ARGUMENT", "INVALID_ARGUMENT", "connector"),
    "no auth request": (_verify(identifier="ada"), "INVALID_ARGUMENT", "INVALID_ARGUMENT", "auth_request_id"),
    "unknown auth request": (_verify(auth_request_id="x", identifier="ada"), "NOT_FOUND", "RESOURCE_NOT_FOUND", ""),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_call_is_told_what_is_wrong_with_it(
    house: House, client: ScalekitClient, channel: Any, what: str
) -> None:
    call, status, word, field = BAD[what]
    code, info = _refused(call, channel, (("authorization", f"Bearer {client.core_client.access_token}"),))
    assert (code, info.error_code) == (status, word)
    assert info.request_info.request_id.startswith("req_")
    named = [violation.field for violation in info.validation_error_info.field_violations]
    assert not field or field in named


@pytest.mark.parametrize("foreign", ["none", "made-up", "jwt", "another key", "altered", "other door", "two of them"])
def test_a_token_that_is_none_of_ours_is_unauthenticated(
    house: House, client: ScalekitClient, channel: Any, foreign: str
) -> None:
    token = client.core_client.access_token
    tokens = {
        "none": [],
        "made-up": ["made-up"],
        "jwt": ["eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."],
        "another key": ["sk_" + "x" * 40],
        "altered": [token[:-8] + ("AAAAAAAA" if not token.endswith("AAAAAAAA") else "BBBBBBBB")],
        "other door": [house.clear.api_key[:-1] + "!"],
        "two of them": ["made-up", "a.b.c"],
    }[foreign]
    code, info = _refused(_list(), channel, tuple(("authorization", f"Bearer {each}") for each in tokens))
    assert (code, info.error_code) == ("UNAUTHENTICATED", "UNAUTHENTICATED")
    headers = {"authorization": f"Bearer {tokens[0]}"} if tokens else {}
    there = httpx2.get(f"{house.clear.base_url}/data-integrations", headers=headers, trust_env=False)
    assert there.status_code == 401
    proxied = httpx2.get(f"{house.clear.base_url}/proxy/x", headers=headers, trust_env=False)
    assert (proxied.status_code, proxied.json()["code"]) == (401, 16)


def test_one_valid_token_among_several_is_enough(client: ScalekitClient, channel: Any) -> None:
    token = client.core_client.access_token
    both = (("authorization", "Bearer made-up"), ("authorization", f"Bearer {token}"))
    assert _list()(channel, both)
    assert _list()(channel, (("authorization", f"Bearer made-up, Bearer {token}"),))


def _refused(call: Bad, channel: Any, as_whom: Any) -> tuple[str, Any]:
    with pytest.raises(grpc.RpcError) as refused:
        call(channel, as_whom)
    status = rpc_status.from_call(refused.value)
    info = ErrorInfo()
    assert status is not None and status.details[0].Unpack(info)
    return refused.value.code().name, info
