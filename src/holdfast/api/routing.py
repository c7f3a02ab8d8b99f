"""Finding the operation of a path, segment by segment on the raw path.

On the raw path, because a slug may hold a percent-encoded slash (`provider%2Fslug` is one segment), which a router that
matches the decoded path cannot see. A literal segment goes before a parameter, so `finish` is never taken for a slug.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar
from urllib.parse import unquote


class Routed(Protocol):
    """What has a place: a method, and a path whose `{name}` segments are parameters."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...


P = TypeVar("P", bound=Routed)


@dataclass(slots=True)
class _Node(Generic[P]):
    literals: "dict[str, _Node[P]]" = field(default_factory=dict)
    parameter: "_Node[P] | None" = None
    operations: dict[str, tuple[P, tuple[str, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match(Generic[P]):
    operation: P
    path: dict[str, str]


class Router(Generic[P]):
    def __init__(self, operations: Iterable[P]) -> None:
        self._root: _Node[P] = _Node()
        for operation in operations:
            self._add(operation)

    def _add(self, operation: P) -> None:
        node, names = self._root, list[str]()
        for segment in operation.path.strip("/").split("/"):
            if segment.startswith("{"):
                names.append(segment[1:-1])
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment, _Node())
        node.operations[operation.method] = (operation, tuple(names))

    def match(self, method: str, raw_path: str) -> "Match[P] | tuple[str, ...] | None":
        """Return the match; the methods there are if it is only the method that fails; None for an unknown path.

        A path with a NUL is unknown: nothing can be called that, and PostgreSQL text cannot even be asked for it. So is
        one that is not UTF-8: read leniently, several paths would be one.
        """
        if "%00" in raw_path or not _is_text(raw_path):
            return None
        # Only the leading slash goes: with `/data-integrations/` an empty slug would silently mean the list.
        segments = raw_path.removeprefix("/").split("/")
        allowed: set[str] = set()
        for node, values in _walk(self._root, segments, 0, ()):
            entry = node.operations.get("GET" if method == "HEAD" else method)
            if entry is not None:
                operation, names = entry
                return Match(operation, {n: unquote(v) for n, v in zip(names, values, strict=True)})
            allowed.update(node.operations, ("HEAD",) if "GET" in node.operations else ())
        return tuple(sorted(allowed)) or None


def _is_text(raw_path: str) -> bool:
    try:
        unquote(raw_path, errors="strict")
    except UnicodeDecodeError:
        return False
    return True


def _walk(
    node: _Node[P], segments: list[str], index: int, values: tuple[str, ...]
) -> Iterable[tuple[_Node[P], tuple[str, ...]]]:
    if index == len(segments):
        if node.operations:
            yield node, values
        return
    literal = node.literals.get(segments[index])
    if literal is not None:
        yield from _walk(literal, segments, index + 1, values)
    if node.parameter is not None and segments[index]:
        yield from _walk(node.parameter, segments, index + 1, (*values, segments[index]))
