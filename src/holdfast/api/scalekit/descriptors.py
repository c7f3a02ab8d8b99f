"""The wire as its .proto files describe it: message classes, and one Method per RPC.

Kept in a pool of our own, so that a process may hold the vendor's SDK too, which registers the same names. Read from
`descriptors.binpb`, which the build writes; in a source checkout it is compiled anew when a .proto file has changed.
"""

import importlib.util
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from holdfast.api.scalekit.proto.compile import TARGET, compile_descriptors, sources
from holdfast.errors import Misconfigured

PACKAGE = "scalekit.v1"
_NOT_OURS = ("google.protobuf.", "google.rpc.", "holdfast.")
Message = Any
"""A protobuf message of this wire. The classes are made from the descriptors at run time: there is no static type."""


@dataclass(frozen=True, slots=True)
class Binding:
    """One REST address of a method. `body`: "*" = the whole request, a field's name = that field, "" = none."""

    verb: str
    template: str
    body: str


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC as described: `path` is its gRPC path, `name` is `Service.Method`."""

    path: str
    name: str
    request: type[Message]
    reply: type[Message]
    permission: str
    bindings: tuple[Binding, ...]
    summary: str = ""


class Wire:
    """All messages and methods."""

    def __init__(self, data: bytes) -> None:
        self.pool = descriptor_pool.DescriptorPool()
        plain = descriptor_pb2.FileDescriptorSet.FromString(data)
        for file in plain.file:
            self.pool.Add(file)
        # Read again with this pool's own classes: only they know our options.
        kind: Any = message_factory.GetMessageClass(
            self.pool.FindMessageTypeByName("google.protobuf.FileDescriptorSet")
        )
        described = kind.FromString(data)
        ours = [file for file in described.file if file.package.startswith(PACKAGE)]
        self._field_rules = self.pool.FindExtensionByName("holdfast.rules")
        self._message_rules = self.pool.FindExtensionByName("holdfast.message_rules")
        self._oneof_required = self.pool.FindExtensionByName("holdfast.oneof_required")
        self._permission = self.pool.FindExtensionByName("holdfast.permission")
        self._http = self.pool.FindExtensionByName("google.api.http")
        self.methods: dict[str, Method] = {
            method.path: method for file in ours for service in file.service for method in self._methods(file, service)
        }
        self.field_rules: dict[str, Any] = {}
        self.message_rules: dict[str, Any] = {}
        self.required_oneofs: dict[str, tuple[str, ...]] = {}
        for file in ours:
            for message in file.message_type:
                self._note_rules(message, file.package)

    @cache  # noqa: B019  (there is one Wire)
    def kind(self, name: str) -> type[Message]:
        """Return the class of a message by its name without `scalekit.v1.` (or any full name)."""
        full = name if name.startswith(_NOT_OURS) else f"{PACKAGE}.{name}"
        found: type[Message] = message_factory.GetMessageClass(self.pool.FindMessageTypeByName(full))
        return found

    def _methods(self, file: Any, service: Any) -> list[Method]:
        return [
            Method(
                path=f"/{file.package}.{service.name}/{method.name}",
                name=f"{service.name}.{method.name}",
                request=self.kind(method.input_type.removeprefix(f".{PACKAGE}.").removeprefix(".")),
                reply=self.kind(method.output_type.removeprefix(f".{PACKAGE}.").removeprefix(".")),
                permission=method.options.Extensions[self._permission],
                bindings=tuple(_bindings(method.options.Extensions[self._http])),
            )
            for method in service.method
        ]

    def _note_rules(self, message: Any, scope: str) -> None:
        full = f"{scope}.{message.name}"
        if message.options.HasExtension(self._message_rules):
            self.message_rules[full] = message.options.Extensions[self._message_rules]
        required = tuple(one.name for one in message.oneof_decl if one.options.Extensions[self._oneof_required])
        if required:
            self.required_oneofs[full] = required
        for field in message.field:
            if field.options.HasExtension(self._field_rules):
                self.field_rules[f"{full}.{field.name}"] = field.options.Extensions[self._field_rules]
        for nested in message.nested_type:
            self._note_rules(nested, full)


def _bindings(rule: Any) -> list[Binding]:
    verb = rule.WhichOneof("pattern")
    if verb is None:
        return []
    first = Binding(verb.upper(), getattr(rule, verb), rule.body)
    return [first, *(item for other in rule.additional_bindings for item in _bindings(other))]


def _load() -> bytes:
    stale = not TARGET.exists() or any(path.stat().st_mtime > TARGET.stat().st_mtime for path in sources())
    if stale and importlib.util.find_spec("grpc_tools") is not None:
        compile_descriptors()
    if not TARGET.exists():
        raise Misconfigured("the wire's descriptors are missing: install the package (make does), which builds them")
    return TARGET.read_bytes()


WIRE = Wire(_load())


def message(name: str, **fields: Any) -> Message:
    """Make a message by its name without `scalekit.v1.`. A field that is None stays unset; dicts fill submessages."""
    return WIRE.kind(name)(**{key: value for key, value in fields.items() if value is not None})
