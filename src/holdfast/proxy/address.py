"""Where a call may go. Pure: the text of an address is judged, and rebuilt from its parts, before anything is read.

What servers and proxies understand differently is refused, and not repaired: a path that means one thing here and
another there is how a credential is led astray.
"""

import re
from functools import lru_cache

from holdfast.errors import Invalid

LONGEST = 8192
"""Characters of path and query together. Larger than what common servers take."""

_BAD_TEXT = re.compile(r"[^\x21-\x7e]|[\\#]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})|%(?:0[0-9A-Fa-f]|1[0-9A-Fa-f]|7[Ff]|5[Cc])")
"""A percent sign that encodes nothing, or one that encodes a control character or a backslash."""
_DOT = re.compile(r"%(?:25)*2[Ee]")
_SLASH = re.compile(r"%(?:25)*2[Ff]")
"""Encoded however often: some servers decode until nothing changes."""
_ABSOLUTE = re.compile(r"/*[A-Za-z][A-Za-z0-9+.-]*:/")
_PLAIN = re.compile(r"(?:/(?!\.)[A-Za-z0-9._~!$&'()*+,=:-]+)+/?")
"""Segments of harmless characters that do not begin with a dot: nothing in them needs a closer look."""


class BadAddress(Invalid):
    default_code = "invalid_path"


def check_path(path: str, *, encoded_slash: bool = False) -> None:
    """Return if `path` can mean one place only. Does not look at its host: it has none.

    Raises BadAddress for an absolute or network-path reference, `.` and `..` however they are written, backslashes,
    control characters, and encoded slashes unless the provider is known to take them.
    """
    if ":" not in path and len(path) <= LONGEST and _PLAIN.fullmatch(path):
        return
    if len(path) > LONGEST:
        raise BadAddress(f"the path may hold {LONGEST} characters at most")
    if not path.startswith("/"):
        raise BadAddress("the path must begin with a slash")
    if _ABSOLUTE.match(path):
        raise BadAddress("the path must not be an absolute address: the host is the provider's")
    if _PLAIN.fullmatch(path):
        return
    if _BAD_TEXT.search(path):
        raise BadAddress("the path holds a backslash, a fragment, a space, or a character to be percent-encoded")
    if "?" in path:
        raise BadAddress("the path holds a question mark: what follows it is the query, and goes apart")
    if path.startswith("//"):
        raise BadAddress("the path must not begin with two slashes: the host is the provider's")
    if _BAD_ESCAPE.search(path):
        raise BadAddress("the path holds a percent sign that encodes nothing, or nothing a path may hold")
    if _SLASH.search(path) and not encoded_slash:
        raise BadAddress("the path holds an encoded slash")
    for segment in _SLASH.sub("/", _DOT.sub(".", path)).split("/"):
        # Parameters after a semicolon are dropped by some servers before dots are resolved.
        if segment.split(";", 1)[0] in (".", ".."):
            raise BadAddress("the path holds a '.' or '..' segment")


def check_query(query: str) -> None:
    """Return if `query` can stand behind the question mark. Raises BadAddress."""
    if len(query) > LONGEST:
        raise BadAddress(f"the query may hold {LONGEST} characters at most", code="invalid_query")
    if query and _BAD_TEXT.search(query):
        raise BadAddress("the query holds a backslash, a fragment, or a character to be encoded", code="invalid_query")


def joined(base: str, path: str) -> str:
    """Return `path` beneath the API's own path. One that has it in front already is left as it is.

    Apps write both: `/users/me` beneath `https://api.example.com/v1`, and `/v1/users/me` as the documentation has it.
    """
    if not base or path == base or path.startswith(base + "/"):
        return path
    return base + path


_LONG = 40
_ID = re.compile(r"[0-9]+|(?=[^0-9]*[0-9])[0-9A-Za-z_-]{8,}|.*(?:[@%=]).*")
"""A number; a long word with a digit in it; anything with an address or an encoded character in it."""


@lru_cache(maxsize=4096)
def shown(path: str) -> str:
    """Return `path` as the log keeps it: what looks like an id or a person's address is `{}`.

    >>> shown("/users/42/messages/18c9f2ab77d0")
    '/users/{}/messages/{}'
    """
    segments = path[:1024].split("/")
    return "/".join("{}" if len(one) > _LONG or _ID.fullmatch(one) else one for one in segments)
