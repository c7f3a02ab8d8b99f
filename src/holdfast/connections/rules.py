"""Which calls may go through a connection: what its rules look like, and what they let through. Pure.

    rule    = methods " " path              GET|HEAD /repos/*/issues/**
    methods = "*" | METHOD { "|" METHOD }   any; or exactly these, in capitals
    path    = "*" | segments [ "/**" ]      any path; or this one, or whatever begins so
    segment = "/" ( "*" | text )            any one segment that is not empty; or exactly this one

`/**` stands for any rest, and for none: `/repos/**` is `/repos` too. A path is the whole one that goes out, with the
API's own in front and without its query. Texts are compared with their percent-encoding undone, capitals told from
small letters. No rules at all let everything through; where there are some, what none of them names does not go.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from holdfast.errors import Unprocessable

MOST_RULES = 100
LONGEST_RULE = 300
_SHOWN = 60
"""Characters of a rule that an error quotes."""

_METHODS = re.compile(r"\*|[A-Z]{1,32}(?:\|[A-Z]{1,32})*")
_CARRIED_BY_NOBODY = frozenset({"CONNECT", "TRACE"})
_TEXT = re.compile(r"(?:[A-Za-z0-9._~!$&'()+,;=:@-]|%[0-9A-Fa-f]{2})*")
"""What a path's segment may hold (RFC 3986 section 3.3) but for the star, which is written %2A where it is meant."""


class BadRule(Unprocessable):
    default_code = "invalid_proxy_rule"


class Rule(NamedTuple):
    methods: frozenset[str] | None
    """None = any."""
    segments: tuple[str | None, ...]
    """Decoded; None = any one."""
    rest: bool
    """Whether more may follow."""

    @property
    def takes_every_path(self) -> bool:
        return self.rest and not self.segments


def checked(texts: Sequence[str], field: str = "proxy_rules") -> tuple[str, ...]:
    """Return the rules as they are kept. Raises BadRule, which names the field and says what is wrong with which one.

    >>> checked(["GET   /v1/charges/*"])
    ('GET /v1/charges/*',)
    """
    if len(texts) > MOST_RULES:
        raise _bad(f"{MOST_RULES} rules at most: these are {len(texts)}", field)
    kept = []
    for number, text in enumerate(texts, 1):
        try:
            rule = " ".join(text.split())
            _parsed(rule)
        except BadRule as error:
            named = text.strip()
            named = named if len(named) <= _SHOWN else named[:_SHOWN] + "..."
            raise _bad(f"rule {number} ({named or 'empty'}): {error.message}", field) from None
        kept.append(rule)
    return tuple(kept)


def allows(rules: tuple[str, ...], method: str, path: str) -> bool:
    """Tell whether a call may go out. `path` is percent-encoded and was checked: it means one place only."""
    if not rules:
        return True
    segments = segments_of(path)
    return any((rule.methods is None or method in rule.methods) and _names(rule, segments) for rule in parsed(rules))


def allows_every_method(rules: tuple[str, ...], path: str) -> bool:
    """Tell whether a rule takes this path with any method, so that nothing depends on which one it is."""
    if not rules:
        return True
    segments = segments_of(path)
    return any(rule.methods is None and _names(rule, segments) for rule in parsed(rules))


def _names(rule: Rule, segments: Sequence[str] | None) -> bool:
    if rule.takes_every_path:
        return True
    if segments is None or len(segments) < len(rule.segments):
        return False
    if len(segments) > len(rule.segments) and not rule.rest:
        return False
    return all(
        segment == wanted if wanted is not None else segment != ""
        for wanted, segment in zip(rule.segments, segments, strict=False)
    )


def segments_of(path: str) -> list[str] | None:
    """Return the path's segments, decoded; None for one whose segments some servers would see elsewhere.

    A provider that is known to take an encoded slash reads it as part of its segment. One that is encoded twice, and
    what ends a path or a segment for a server that decodes first, are nobody's: `*` must not take them.
    """
    found = [unquote(segment, "latin-1") for segment in path.removeprefix("/").split("/")]
    for segment in found:
        if segment.startswith(";"):  # what follows is dropped by some servers, and then the empty segment
            return None
        whole, once = segment, segment.count("/")
        while (further := unquote(whole, "latin-1")) != whole:
            whole = further
        if whole.count("/") != once or any(mark in whole for mark in "\\?#"):
            return None
    return found


@lru_cache(maxsize=512)
def parsed(rules: tuple[str, ...]) -> tuple[Rule, ...]:
    return tuple(map(_parsed, rules))


def _parsed(text: str) -> Rule:
    if not text:
        raise _bad("a rule is a method and a path, such as GET /v1/charges/*")
    if len(text) > LONGEST_RULE:
        raise _bad(f"{LONGEST_RULE} characters at most")
    words = text.split(" ")
    if len(words) != 2:
        raise _bad("a rule is a method and a path with a space between, such as GET /v1/charges/*")
    methods, path = words
    if not _METHODS.fullmatch(methods):
        raise _bad("the method is in capitals, several with | between: GET, GET|HEAD, or * for any")
    named = None if methods == "*" else frozenset(methods.split("|"))
    if named is not None and named & _CARRIED_BY_NOBODY:
        raise _bad("the proxy carries neither CONNECT nor TRACE")
    if path == "*":
        return Rule(named, (), True)
    if not path.startswith("/"):
        raise _bad("the path begins with a slash and has no host in front, or is * for any")
    if "?" in path or "#" in path:
        raise _bad("a rule ends with the path: what follows a question mark is not looked at")
    rest = path.endswith("/**")
    segments = path.removesuffix("/**").split("/")[1:]
    last = 0 if rest else len(segments)
    return Rule(named, tuple(_segment(one, at == last) for at, one in enumerate(segments, 1)), rest)


def _segment(text: str, may_be_empty: bool) -> str | None:
    if text == "*":
        return None
    if text == "**":
        raise _bad("/** stands at the end only, for any rest")
    if "*" in text:
        raise _bad("* stands for a whole segment, as in /v1/*/messages; a star itself is written %2A")
    if not _TEXT.fullmatch(text):
        raise _bad("the path holds a character that is percent-encoded in addresses, or a percent sign alone")
    decoded = unquote(text, "latin-1")
    if not decoded and not may_be_empty:
        raise _bad("the path holds two slashes with nothing between")
    if decoded in (".", ".."):
        raise _bad("the path holds a '.' or '..' segment, and no call with one goes out")
    if segments_of("/" + text) is None:
        raise _bad("the path holds what servers read differently, and no call with it is matched by its segments")
    return decoded


def _bad(message: str, field: str = "proxy_rules") -> BadRule:
    return BadRule(message, fields=[{"field": field, "code": "invalid", "message": message}])
