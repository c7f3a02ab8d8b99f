"""An RPC of this door, and a call of it: the same for gRPC and for REST."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from holdfast.access import Principal
from holdfast.api.scalekit.descriptors import WIRE, Message, Method
from holdfast.events import Actor


@dataclass(frozen=True, slots=True)
class Call:
    """One request, parsed and checked against its rules: who asks, what for."""

    principal: Principal
    request: Message
    method: Method
    request_id: str

    @property
    def environment_id(self) -> str:
        return self.principal.environment_id

    def actor(self) -> Actor:
        return self.principal.actor()

    def reply(self, **fields: object) -> Message:
        """Make the method's reply. A field that is None stays unset; dicts and messages fill submessages."""
        return self.method.reply(**{name: value for name, value in fields.items() if value is not None})

    def given(self, field: str) -> str | None:
        """Return a text field of the request; None if it is unset or empty."""
        return getattr(self.request, field) or None


Handler = Callable[[Call], Awaitable[Message]]
Swift = Callable[[Call], Awaitable[Message | None]]


class Group(Protocol):
    """Some RPCs of one service (of several, if they belong together)."""

    def rpcs(self) -> Mapping[str, Handler]:
        """Return handlers by `Service.Method`."""
        ...


@runtime_checkable
class SwiftGroup(Group, Protocol):
    """Such a group, some of whose RPCs have a frequent case of their own."""

    def swift(self) -> Mapping[str, Swift]:
        """Return what answers the frequent case of some of them; see `Rpc.swift`."""
        ...


@dataclass(frozen=True, slots=True)
class Rpc:
    """A described method, and what serves it. No handler = UNIMPLEMENTED."""

    method: Method
    handler: Handler | None
    swift: Swift | None = None
    """Answers the frequent case for a caller that is believed, and checks the caller's key itself, in the transaction
    it acts in. None = it is not that case: nothing has happened, and the handler is called as ever."""


def gather(handlers: Mapping[str, Handler], swift: Mapping[str, Swift]) -> tuple[Rpc, ...]:
    """Put handlers to the methods of the .proto files. Raises KeyError for a handler of a method that is not there."""
    methods = {method.name: method for method in WIRE.methods.values()}
    unknown = sorted((handlers.keys() | swift.keys()) - methods.keys())
    if unknown:
        raise KeyError(f"the .proto files have no {', '.join(unknown)}")
    return tuple(Rpc(method, handlers.get(name), swift.get(name)) for name, method in methods.items())
