"""Where a browser may be sent back to. Security: an open redirect hands connect codes and states to a stranger.

Two rules. Session-bound flows (`code_challenge`) need an exact registered URI. Plain flows need the origin of a
registered URI. A registered loopback URI matches any port (RFC 8252 section 7.3). In development, loopback
destinations need no registration for plain flows.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from holdfast.errors import Invalid

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SAFE = re.compile(r"[\x21-\x5b\x5d-\x7e]+")
"""Printable ASCII without space and backslash. A browser turns a backslash into a slash: `https:\\evil`."""
_HOST = re.compile(r"[a-z0-9._:-]+")


@dataclass(frozen=True, slots=True)
class RedirectUri:
    environment_id: str
    id: str
    uri: str
    created_at: float


@dataclass(frozen=True, slots=True)
class Destination:
    """A `return_to` that has passed the rules."""

    url: str


def check_return_to(
    url: str, registered: Iterable[str], *, exact: bool, dev: bool, own: str | None = None
) -> Destination:
    """Return the destination. `own`: our own address, whose pages (of that very port) plain flows may return to.

    Raises Invalid `invalid_return_to` or `return_to_requires_exact_match`.
    """
    parts = split_redirect(url)
    allowed = [split_redirect(uri) for uri in registered]
    if exact:
        if parts.query or parts.fragment or not any(_same(parts, other) for other in allowed):
            raise Invalid(
                "return_to must exactly match a registered redirect URI, without query or fragment",
                code="return_to_requires_exact_match",
            )
        return Destination(url)
    if dev and parts.hostname in _LOOPBACK:
        return Destination(url)
    if own is not None and (parts.scheme, parts.netloc) == urlsplit(own)[:2]:
        return Destination(url)
    if not any(_origin(parts) == _origin(other) for other in allowed):
        raise Invalid(
            "return_to is not on the origin of a registered redirect URI: register one with"
            " POST /user_management/redirect_uris",
            code="invalid_return_to",
        )
    return Destination(url)


LONGEST_VERIFY_URL = 2048


def check_verify_url(url: str | None, *, dev: bool) -> str | None:
    """Return the address to send a browser to for its user to be verified; None for none, which "" is too.

    It comes from a caller with a key and is no one else's to choose, so it needs no registration. Plain http is for
    loopback and development. Raises Invalid `invalid_user_verify_url`.
    """
    if not url:
        return None
    if len(url) > LONGEST_VERIFY_URL:
        raise Invalid(f"user_verify_url is longer than {LONGEST_VERIFY_URL}", code="invalid_user_verify_url")
    try:
        split_redirect(url, allow_http=dev)
    except Invalid as error:
        message = error.message.replace("return_to", "user_verify_url")
        raise Invalid(message, code="invalid_user_verify_url") from None
    return url


def split_redirect(url: str, *, allow_http: bool = False) -> SplitResult:
    """Parse strictly. Raises Invalid for what a browser could read differently than we do."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _bad("is not a URL") from None
    if not _SAFE.fullmatch(url):
        raise _bad("may hold printable ASCII only, no spaces and no backslashes")
    if parts.scheme not in ("https", "http") or not url.startswith(f"{parts.scheme}://"):
        raise _bad("must begin with https://")
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise _bad("must not hold a user name")
    if not parts.hostname or not _HOST.fullmatch(parts.hostname) or port == 0:
        raise _bad("needs a plain ASCII host name")
    if parts.scheme == "http" and not allow_http and parts.hostname not in _LOOPBACK:
        raise _bad("must be https; plain http is for loopback only")
    return parts


def _bad(problem: str) -> Invalid:
    return Invalid(f"return_to {problem}", code="invalid_return_to")


def _same(one: SplitResult, other: SplitResult) -> bool:
    return _origin(one) == _origin(other) and (one.path or "/") == (other.path or "/")


def _origin(parts: SplitResult) -> tuple[str, str, int | None]:
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts.scheme, parts.hostname or "", None if parts.hostname in _LOOPBACK else port
