"""Which calls wait for a person's approval: each that could be read as one that a rule names. Pure.

The rules look as in `rules`, and mean the same. Only doubt falls the other way: there what servers may read differently
is not let through, here it is held. So capitals, a slash or two too many, what stands behind a semicolon, a format's
name at the end (`/charges.json`), an encoding undone once more, and a slash that is encoded or not make no difference.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from holdfast.connections.rules import parsed, segments_of

_FORMAT = re.compile(r"\.[a-z][a-z0-9]{0,7}")
_EDGES = "".join(map(chr, range(0x21))) + "\x7f\xa0."
"""What some servers cut off at a segment's ends."""
_SAME = {"HEAD": frozenset({"HEAD", "GET"})}
"""A HEAD is done as a GET is, and only its answer is shorter (RFC 9110 section 9.3.2)."""


class _Wanted(NamedTuple):
    methods: frozenset[str] | None
    paths: tuple[tuple[frozenset[str] | None, ...], ...]
    """The segments in each way to cut them, each as all its spellings; None = any one."""
    rest: bool


def takes(rules: tuple[str, ...], method: str | None, path: str) -> bool:
    """Tell whether a call needs approval. `method` None: it may be any, as something in the call may name another.

    `path` is percent-encoded and was checked, as for `rules.allows`."""
    if not rules:
        return False
    asked = None if method is None else _SAME.get(method.upper(), frozenset({method.upper()}))
    wanted = [one for one in _wanted(rules) if asked is None or one.methods is None or asked & one.methods]
    if not wanted:
        return False
    if segments_of(path) is None:
        return True
    found = _cuts([unquote(segment, "latin-1") for segment in path.removeprefix("/").split("/")])
    return any(_fits(segments, one.rest, cut) for one in wanted for segments in one.paths for cut in found)


def _fits(wanted: Sequence[frozenset[str] | None], rest: bool, segments: Sequence[frozenset[str] | None]) -> bool:
    if len(segments) < len(wanted) or (len(segments) > len(wanted) and not rest):
        return False
    return all(one is None or other is None or one & other for one, other in zip(wanted, segments, strict=False))


@lru_cache(maxsize=512)
def _wanted(rules: tuple[str, ...]) -> tuple[_Wanted, ...]:
    return tuple(_Wanted(rule.methods, _cuts(rule.segments), rule.rest) for rule in parsed(rules))


def _cuts(segments: Sequence[str | None]) -> tuple[tuple[frozenset[str] | None, ...], ...]:
    """Return the path as it is cut by who cuts it before it is decoded, and by who does so after, each also by who
    takes no notice of an empty segment."""
    after: list[str | None] = []
    for segment in segments:
        after += [None] if segment is None else segment.split("/")
    cuts = {tuple(cut): None for way in (segments, after) for cut in (way, [one for one in way if one != ""])}
    return tuple(
        tuple(None if one is None else _spellings(one, at == len(cut)) for at, one in enumerate(cut, 1)) for cut in cuts
    )


def _spellings(segment: str, is_last: bool) -> frozenset[str]:
    """Return what a segment, decoded once into latin-1, is for one server or another."""
    found: set[str] = set()
    while True:
        text = segment.encode("latin-1").decode("utf-8", "replace")
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        bare = folded.split(";", 1)[0].strip(_EDGES)
        found |= {folded, bare}
        if is_last:
            stem, dot, suffix = bare.rpartition(".")
            if dot and stem and _FORMAT.fullmatch(dot + suffix):
                found.add(stem)
        further = unquote(segment, "latin-1")
        if further == segment:
            return frozenset(found)
        segment = further
