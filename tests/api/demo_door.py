"""A small door over the operation layer. Its handlers say what reached them, or fail as they are told to."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy.exc import OperationalError
from starlette.types import ASGIApp

from holdfast.access import Principal
from holdfast.api import Call, Operation
from holdfast.api.dispatch import Dispatcher, ErrorTail
from holdfast.api.rate import RateLimiter
from holdfast.api.workos.faults import render
from holdfast.clock import FrozenClock
from holdfast.errors import (
    Conflict,
    Invalid,
    Misconfigured,
    NotFound,
    Refused,
    TooMany,
    Unauthenticated,
    Unavailable,
    Unprocessable,
)

MOST_BYTES = 1000
CANARY = "canary-5f1b0c"

FAILURES: dict[str, Exception] = {
    "invalid": Invalid("say it otherwise", code="invalid_return_to"),
    "unprocessable": Unprocessable("limit: too much", fields=[{"field": "limit", "code": "invalid"}]),
    "unauthenticated": Unauthenticated("that key was revoked"),
    "refused": Refused("not an active member"),
    "absent": NotFound("no such integration"),
    "taken": Conflict("several match", code="account_selection_required"),
    "too-many": TooMany("slow down", retry_after=6.2),
    "away": Unavailable("try again", code="provider_unavailable", retry_after=3),
    "no-database": OperationalError("SELECT 1", {}, Exception(CANARY)),
    "misconfigured": Misconfigured(f"the key file is gone: {CANARY}"),
    "bug": ValueError(CANARY),
}


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=100)] = 10
    deep: bool = False
    kinds: list[Literal["plain", "ruled"]] = []
    note: str | None = None


class Part(msgspec.Struct, frozen=True, kw_only=True):
    kind: Literal["plain", "ruled"]


class Note(msgspec.Struct, frozen=True, kw_only=True):
    name: Annotated[str, Meta(min_length=1)]
    label: str | None | UnsetType = UNSET
    size: int | None = None
    kind: Literal["plain", "ruled"] | None = None
    parts: list[Part] = []
    config: dict[Annotated[str, Meta(max_length=8)], str] = {}


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    operation: str
    request_id: str
    path: dict[str, str]
    query: Any = None
    body: Any = None
    idempotency_key: str | None = None


def _echo(name: str) -> Any:
    async def handler(call: Call[Any, Any]) -> Seen:
        return Seen(
            operation=name,
            request_id=call.request_id,
            path=dict(call.path),
            query=call.query,
            body=call.body,
            idempotency_key=call.idempotency_key,
        )

    return handler


async def _remove(_call: Call[Any, Any]) -> None:
    return None


async def _fail(call: Call[Any, Any]) -> Seen:
    failure = FAILURES.get(call.path["slug"])
    if failure is not None:
        raise failure
    return await _echo("fail")(call)


OPERATIONS = (
    Operation(method="GET", path="/notes", id="list", summary="List", handler=_echo("list"), query=Filter, reply=Seen),
    Operation(
        method="POST",
        path="/notes/finish",
        id="finish",
        summary="Finish",
        handler=_echo("finish"),
        body=Note,
        reply=Seen,
        status=201,
        idempotent_key=True,
    ),
    Operation(method="GET", path="/notes/{slug}", id="get", summary="Get", handler=_echo("get"), reply=Seen),
    Operation(
        method="POST",
        path="/notes/{slug}",
        id="put",
        summary="Put",
        handler=_echo("put"),
        query=Filter,
        body=Note,
        reply=Seen,
    ),
    Operation(method="DELETE", path="/notes/{slug}", id="remove", summary="Remove", handler=_remove),
    # The path of an SDK call, so that the SDK itself meets every failure.
    Operation(
        method="GET", path="/data-integrations/{slug}", id="fail", summary="Fail", handler=_fail, reply=Seen, errors=()
    ),
)


async def _authenticate(token: str) -> Principal:
    if not token.startswith("sk_"):
        raise Unauthenticated("this API key is not known")
    return Principal(environment_id="env", key_id=token, key_name="demo")


def demo_door(per_minute: int = 0) -> ASGIApp:
    return Dispatcher(
        OPERATIONS,
        authenticate=_authenticate,
        render_error=render,
        limiter=RateLimiter(per_minute, FrozenClock()),
        max_body_bytes=MOST_BYTES,
        fallback=ErrorTail(render),
    )
