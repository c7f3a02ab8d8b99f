"""An authorization request, read and checked: RFC 6749 section 4.1.1 with RFC 7636. Decides; does nothing."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from holdfast.lab.people import DEFAULT_SCOPES, SCOPES

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
"""A SHA-256 in base64url without padding."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that is refused, at whichever endpoint. `description` is safe to show."""

    error: str
    description: str
    status: int = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the app asks a person for."""

    redirect_uri: str
    state: str | None
    scopes: tuple[str, ...]
    challenge: str | None

    def answer(self, issuer: str, **params: str) -> str:
        """Return where the browser goes next. `state` is echoed; `iss` is on every answer: RFC 9207 section 2."""
        echoed = {} if self.state is None else {"state": self.state}
        query = urlencode({**params, **echoed, "iss": issuer})
        return f"{self.redirect_uri}{'&' if urlsplit(self.redirect_uri).query else '?'}{query}"


def read_request(
    pairs: Sequence[tuple[str, str]], *, client_id: str, origin: str
) -> Asked | Refusal | tuple[Asked, Refusal]:
    """Return what is asked; a Refusal to show here; or one to send back, with where to.

    Nothing is ever sent to a redirect URI that did not pass: RFC 6749 section 4.1.2.1.
    """
    given = dict(pairs)
    if len(given) != len(pairs):
        return Refusal("invalid_request", "A parameter is there more than once.")
    if given.get("client_id") != client_id:
        return Refusal("invalid_request", "There is no app with this client_id. The sandbox knows one.")
    redirect_uri = given.get("redirect_uri", "")
    if not may_redirect_to(redirect_uri, origin):
        return Refusal(
            "invalid_request",
            "The redirect_uri is neither on the sandbox's own origin nor on loopback, or has a fragment.",
        )
    challenge, method = given.get("code_challenge"), given.get("code_challenge_method")
    scopes = tuple(dict.fromkeys(given.get("scope", "").split())) or DEFAULT_SCOPES
    asked = Asked(redirect_uri=redirect_uri, state=given.get("state"), scopes=scopes, challenge=challenge)
    if given.get("response_type") != "code":
        return asked, Refusal("unsupported_response_type", "The sandbox gives codes: response_type=code.")
    if challenge is None and method is not None:
        return asked, Refusal("invalid_request", "A code_challenge_method came without its code_challenge.")
    if challenge is not None and (method != "S256" or not _CHALLENGE.fullmatch(challenge)):
        return asked, Refusal("invalid_request", "The sandbox takes S256 challenges, and no others.")
    if unknown := [scope for scope in scopes if scope not in SCOPES]:
        return asked, Refusal("invalid_scope", f"The sandbox has no scope {unknown[0]!r:.40}.")
    return asked


def may_redirect_to(redirect_uri: str, origin: str) -> bool:
    """Tell whether the sandbox sends a browser there: its own origin, or any port on loopback."""
    try:
        parts = urlsplit(redirect_uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or "#" in redirect_uri or "@" in parts.netloc:
        return False
    if not redirect_uri.isascii() or any(character <= " " or character == "\\" for character in redirect_uri):
        return False
    return host in _LOOPBACK or f"{parts.scheme}://{parts.netloc}" == origin
