"""An operation of a door, described once."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec

from holdfast.access import Principal

LONGEST_ID = 256
"""Characters in an id or slug in a path: what the columns hold, and more than any real one has."""

Q = TypeVar("Q", covariant=True)
B = TypeVar("B", covariant=True)


@dataclass(frozen=True, slots=True)
class Call(Generic[Q, B]):
    """One request, parsed: who asks, what for, with what."""

    principal: Principal
    path: Mapping[str, str]
    query: Q
    body: B
    request_id: str
    idempotency_key: str | None = None
    raw_body: bytes = b""
    operation_id: str = ""

    @property
    def environment_id(self) -> str:
        return self.principal.environment_id


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply other than the operation's usual one."""

    status: int
    body: msgspec.Struct | None
    headers: Mapping[str, str] = field(default_factory=dict)


class Nothing(msgspec.Struct, frozen=True):
    """No query parameters, or no body."""


Handler = Callable[[Call[Any, Any]], Awaitable[msgspec.Struct | Answer | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What a request to `method path` means. `reply` None = 204."""

    method: str
    path: str
    id: str
    summary: str
    handler: Handler
    query: type[msgspec.Struct] = Nothing
    body: type[msgspec.Struct] | None = None
    reply: type[msgspec.Struct] | None = None
    status: int = 200
    errors: tuple[int, ...] = ()
    tag: str = ""
    idempotent_key: bool = False
    """Whether the operation documents the Idempotency-Key header."""
