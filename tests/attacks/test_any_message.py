"""Attack by any message at all, over gRPC: made from the descriptors, good ones and broken ones, for every RPC (41).

Whatever is sent: a status that gRPC has a better word for than UNKNOWN, none that is our fault, and details with it.
"""

import random
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import grpc
import pytest
from google.protobuf import struct_pb2

from holdfast.api.scalekit.descriptors import WIRE, Message, Method
from holdfast.api.scalekit.rules import check
from holdfast.errors import Unprocessable
from tests.attacks.app import App
from tests.parts.server import HoldfastProcess

SEED, EACH, TRIES = 20_260_101, 12, 400
OUR_FAULT = {"UNKNOWN", "INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "DATA_LOSS"}
NOBODY = "01JZZZZZZZZZZZZZZZZZZZZZZZ"
TEXTS = [
    *("", "a", "sandbox", "ada", "SANDBOX", "HUBSPOT", "api_key", "OAUTH", "success", "PROXY", "CUSTOM", "-1", "1e999"),
    *(f"ca_{NOBODY}", f"conn_{NOBODY}", f"exec_{NOBODY}", f"org_{NOBODY}", "ca_", "conn_x", "A" * 31),
    *("\u202e\ufeff", "é" * 40, "x" * 5000, "%00", "a\nb", "a\0b", "👍", "{", "{{x}}", "../..", "' OR 1=1 --"),
    *("https://a.example/x", "http://[::1", "https://a.example:99999999/", "https://{{domain}}/", "javascript:x"),
]
NUMBERS = [0, 1, 2, 5, 9, 30, 99, 100, -1, 2**31 - 1, -(2**31), 2**32 - 1, 2**63 - 1, -(2**63), 253_402_300_800]
VALUES: list[Any] = [
    *(None, True, 1, 1.5, 1e308, 2.0**60, float("nan"), "", "x", "x" * 9000, [], [1, None, {"a": 2}], {"b": [1]}),
    *("OAUTH", "API_KEY", "https://a.example/t", [{"field_name": "api_key", "label": "Key"}], {"scope": 5}, [5]),
]
KEYS = [
    *("api_key", "username", "password", "token", "domain", "version", "client_id", "x" * 300, "type", "fields"),
    *("oauth_config", "authorize_uri", "token_uri", "available_scopes", "auth_field_mutations", "account_fields"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HoldfastProcess]:
    running = HoldfastProcess(tmp_path_factory.mktemp("any-message"))
    App.of(running).make_sandbox()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def channel(server: HoldfastProcess) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"localhost:{server.port}") as opened:
        yield opened


@pytest.mark.parametrize("method", WIRE.methods.values(), ids=lambda method: method.name)
def test_any_message_has_an_answer_that_is_not_our_fault(
    server: HoldfastProcess, channel: grpc.Channel, method: Method
) -> None:
    chance, call = random.Random(f"{SEED} {method.name}"), channel.unary_unary(method.path)
    headers = [("authorization", f"Bearer {server.api_key}")]
    for _ in range(EACH):
        asked = _message(method, chance)
        try:
            call(asked.SerializeToString(), metadata=headers, timeout=20)
        except grpc.RpcError as refused:
            assert isinstance(refused, grpc.Call)
            assert refused.code().name not in OUR_FAULT, (refused.details(), str(asked)[:2000])
            assert "grpc-status-details-bin" in dict(refused.trailing_metadata()), refused.details()
    assert "unexpected_error" not in server.log()


def _message(method: Method, chance: random.Random) -> Message:
    """Return a request; most of them keep the rules of their fields, so that they get past those."""
    for _ in range(TRIES):
        made = method.request()
        _fill(made, chance, 0)
        with suppress(Unprocessable):
            check(made)
            break
    return made


def _fill(message: Message, chance: random.Random, depth: int) -> None:
    match message.DESCRIPTOR.full_name:
        case "google.protobuf.Struct":
            message.MergeFromString(_struct(chance).SerializeToString())
            return
        case "google.protobuf.ListValue":
            held = struct_pb2.ListValue()
            held.extend([_struct(chance), chance.choice(VALUES)])
            message.MergeFromString(held.SerializeToString())
            return
    for field in message.DESCRIPTOR.fields:
        if chance.random() < 0.35 or depth > 6:
            continue
        with suppress(ValueError, TypeError):  # a number that its type does not hold
            _set(message, field, chance, depth)


def _struct(chance: random.Random) -> struct_pb2.Struct:
    made = struct_pb2.Struct()
    made.update({chance.choice(KEYS): chance.choice(VALUES) for _ in range(chance.randint(0, 5))})
    return made


def _set(message: Message, field: Any, chance: random.Random, depth: int) -> None:
    inside = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        inside[chance.choice([*KEYS, *TEXTS])] = chance.choice([*KEYS, *TEXTS])
    elif field.message_type is not None:
        one = inside.add() if field.is_repeated else inside
        if not field.is_repeated:
            one.SetInParent()
        _fill(one, chance, depth + 1)
    elif field.is_repeated:
        inside.extend(_scalar(field, chance) for _ in range(chance.choice((1, 2, 21))))
    else:
        setattr(message, field.name, _scalar(field, chance))


def _scalar(field: Any, chance: random.Random) -> Any:
    match field.cpp_type:
        case field.CPPTYPE_STRING:
            return chance.choice(TEXTS)
        case field.CPPTYPE_BOOL:
            return chance.random() < 0.5
        case _:
            return chance.choice(NUMBERS)
