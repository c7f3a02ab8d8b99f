"""A token endpoint's reply as a value: a grant, or a refusal of one of six kinds.

Nothing here sends or repeats.
"""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from holdfast.clock import from_iso
from holdfast.http import Reply
from holdfast.oauth2.dialect import Dead, Dialect, Path, ReplyDialect, Success
from holdfast.oauth2.documents import as_number, as_text, read_document
from holdfast.oauth2.refusals import (
    Kind,
    clean_code,
    clean_words,
    fault_of,
    kind_of,
    look,
    names_an_error,
    retry_after,
)
from holdfast.secret import Secret

_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")

_LONGEST_LIFE = 100 * 365 * 86_400.0
"""A hundred years: longer answers are cut to it, so that every expiry is a date that calendars have."""


@dataclass(frozen=True)
class TokenGrant:
    """What a provider granted. `scopes` None means as requested (RFC 6749 section 5.1)."""

    access_token: Secret
    refresh_token: Secret | None
    token_type: str
    expires_at: float | None
    never_expires: bool
    refresh_expires_at: float | None
    scopes: tuple[str, ...] | None
    id_token: Secret | None
    kept: Mapping[str, str]
    document: Mapping[str, object] = field(repr=False)
    """The reply, tokens replaced, for facts that the identity of an account is read from."""


@dataclass(frozen=True)
class TokenRefusal:
    """What a provider, or our reading of it, refused. `description` is safe to show."""

    kind: Kind
    error: str
    description: str
    status: int
    retry_after: float | None
    salvaged: TokenGrant | None = field(default=None, repr=False)
    """Tokens of a reply refused for a kept value only, without that value: a rotated pair must not be lost
    with it."""


def parse_token_reply(
    dialect: Dialect,
    reply: Reply,
    *,
    now: float,
    requested_scopes: Sequence[str],
    dead: Sequence[Dead] = (),
    known: Sequence[Secret] = (),
    facts: bool = True,
) -> TokenGrant | TokenRefusal:
    """Return what `reply` says. `known` are the secrets of the request, kept out of whatever is quoted. Without `facts`
    the grant's `document` is empty: a refresh reads no identity.

    Does not verify the id token and does not compare scopes. Never raises for what a provider sent.
    """
    documents = _documents(dialect.response, read_document(reply, dialect.response.format_default))
    access_token = _token(look(documents, dialect.response.access_token))
    if access_token is None or _is_failure(dialect, reply.status, documents):
        return _refusal(dialect, reply, documents, dead, known, now)
    grant, refused = _grant(dialect, documents, access_token, requested_scopes, now, facts)
    if not refused:
        return grant
    return TokenRefusal(
        kind="malformed",
        error="kept_value_refused",
        description=f"The reply's {', '.join(refused)} is not of the form this provider's values have.",
        status=reply.status,
        retry_after=None,
        salvaged=grant,
    )


def _documents(response: ReplyDialect, document: object | None) -> tuple[object, ...]:
    """Return where to look, in order: the wrapped reply if there is a wrapping, then the whole."""
    inner = look((document,), response.root) if response.root else None
    return (inner, document) if isinstance(inner, dict | list) else (document,)


def _is_failure(dialect: Dialect, status: int, documents: Sequence[object]) -> bool:
    if not 200 <= status < 300:
        return True
    response = dialect.response
    if response.success is not None and not _succeeded(response.success, documents, dialect):
        return True
    return response.errors_with_http_200 and names_an_error(dialect, documents)


def _succeeded(success: Success, documents: Sequence[object], dialect: Dialect) -> bool:
    if success.field is None or success.equals is None:
        return not names_an_error(dialect, documents)
    # The whole reply before the wrapped part: the mark stands beside the wrapping.
    said = look(tuple(reversed(documents)), success.field)
    return as_text(said) == as_text(success.equals)


def _refusal(
    dialect: Dialect,
    reply: Reply,
    documents: Sequence[object],
    dead: Sequence[Dead],
    known: Sequence[Secret],
    now: float,
) -> TokenRefusal:
    fault = fault_of(dialect, documents, reply.status)
    kind = kind_of(fault, reply.status, documents, dead)
    missing = "no_access_token" if 200 <= reply.status < 300 else f"http_{reply.status}"
    return TokenRefusal(
        kind=kind,
        error=clean_code(fault.code, known) or missing,
        description=clean_words(fault.words, known),
        status=reply.status,
        retry_after=retry_after(reply, now),
    )


def _grant(
    dialect: Dialect,
    documents: Sequence[object],
    access_token: Secret,
    requested: Sequence[str],
    now: float,
    facts: bool,
) -> tuple[TokenGrant, list[str]]:
    response = dialect.response
    refresh_token = _secret(look(documents, response.refresh_token))
    id_token = _secret(look(documents, "id_token"))
    expires_at, never = _expiry(response, documents, access_token, now)
    kept, refused = keep(response.keep, dialect.keep_pattern, documents)
    token_type = look(documents, response.token_type)
    grant = TokenGrant(
        access_token=access_token,
        refresh_token=refresh_token,
        token_type=token_type if isinstance(token_type, str) and token_type else "Bearer",
        expires_at=expires_at,
        never_expires=never,
        refresh_expires_at=_refresh_expiry(response, documents, now),
        scopes=_scopes(dialect, documents, requested),
        id_token=id_token,
        kept=kept,
        document=_without(documents, (access_token, refresh_token, id_token)) if facts else {},
    )
    return grant, refused


def _token(value: object) -> Secret | None:
    """Return an access token of RFC 6749 appendix A.12, with no space at either end. Anything else, a line break above
    all, must not come near a header."""
    if not isinstance(value, str) or not value or value[0] == " " or value[-1] == " ":
        return None
    return Secret(value) if value.isascii() and value.isprintable() else None


def _secret(value: object) -> Secret | None:
    """Return a token that only ever travels in a body, so any text will do that can be encoded."""
    if not isinstance(value, str) or not value:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return Secret(value)


def _expiry(
    response: ReplyDialect, documents: Sequence[object], access_token: Secret, now: float
) -> tuple[float | None, bool]:
    """Return when the access token expires (None = not known), and whether it never does."""
    seconds = as_number(look(documents, response.expires_in))
    if seconds is not None:
        if seconds == 0 and response.expires_in_zero == "never":
            return None, True
        return now + min(max(seconds, 0.0), _LONGEST_LIFE), False
    at = _instant(response, look(documents, response.expires_at))
    if at is None:
        at = _jwt_expiry(access_token)
    return (None if at is None else min(at, now + _LONGEST_LIFE)), False


def _refresh_expiry(response: ReplyDialect, documents: Sequence[object], now: float) -> float | None:
    seconds = as_number(look(documents, response.refresh_expires_in))
    if seconds is not None:
        # 0 says "no end" where it is said at all (Keycloak's offline tokens).
        return now + min(seconds, _LONGEST_LIFE) if seconds > 0 else None
    at = _instant(response, look(documents, response.refresh_expires_at))
    return None if at is None else min(at, now + _LONGEST_LIFE)


def _instant(response: ReplyDialect, value: object) -> float | None:
    if response.expires_at_format == "iso8601":
        try:
            return from_iso(value) if isinstance(value, str) else None
        except (ValueError, OverflowError):
            return None
    number = as_number(value)
    if number is None or number <= 0:
        return None
    return number / 1000 if response.expires_at_format == "unix_ms" else number


def _jwt_expiry(token: Secret) -> float | None:
    """Return `exp` of a token that happens to be a JWT.

    Unverified: a hint for when to refresh, nothing more.
    """
    parts = token.reveal().split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    at = as_number(claims.get("exp")) if isinstance(claims, dict) else None
    return at if at is not None and at > 0 else None


def _scopes(dialect: Dialect, documents: Sequence[object], requested: Sequence[str]) -> tuple[str, ...] | None:
    response = dialect.response
    found = _first_filled(documents, response.scope)
    further = {param: _first_filled(documents, path) for param, path in response.extra_scopes.items()}
    if found is None and not any(further.values()):
        return None
    granted = _words(found, response.scope_separator or dialect.scope_separator, requested, response)
    for param, value in further.items():
        separator = response.scope_separator or dialect.extra_scope_params.get(param, dialect.scope_separator)
        granted += [f"{param}:{word}" for word in _words(value, separator, requested, response)]
    return tuple(dict.fromkeys(granted + _as_requested(dialect, granted, requested)))


def _first_filled(documents: Sequence[object], path: Path) -> object | None:
    """Return the first value that is not empty; an empty one only if there is no other."""
    empty: object | None = None
    for one in (path,) if isinstance(path, str) else path:
        value = look(documents, one)
        if value:
            return value
        empty = value if empty is None else empty
    return empty


def _words(value: object, separator: str, requested: Sequence[str], response: ReplyDialect) -> list[str]:
    if isinstance(value, list):
        return [word for word in value if isinstance(word, str) and word]
    if not isinstance(value, str):
        return []
    # No scope holds a space (RFC 6749 section 3.3), so a space separates whatever the provider's own mark is.
    words = [word for part in value.split(separator) for word in part.split()]
    if response.scope_separator is None and len(words) == 1 and words[0] not in requested:
        # One unknown word: most likely the reply separates with the other of the two usual marks.
        words = [word for word in re.split(r"[,\s]+", words[0]) if word]
    return words


def _as_requested(dialect: Dialect, granted: Sequence[str], requested: Sequence[str]) -> list[str]:
    """Return granted scopes under the name they were asked for by (`optional_scope:x`), where the reply
    lists plain `x`."""
    held = set(granted)
    named = []
    for scope in requested:
        param, _, rest = scope.partition(":")
        asked_apart = param in dialect.extra_scope_params and param not in dialect.response.extra_scopes
        if asked_apart and rest in held:
            named.append(scope)
    return named


def keep(
    paths: Mapping[str, Path], patterns: Mapping[str, str], documents: Sequence[object]
) -> tuple[dict[str, str], list[str]]:
    """Return the values to keep, and the names of those refused: not of their pattern, or with control
    characters."""
    kept: dict[str, str] = {}
    refused: list[str] = []
    for name, path in paths.items():
        text = as_text(look(documents, path))
        if text is None:
            continue
        if _CONTROL.search(text) or not re.fullmatch(patterns.get(name, r"(?s:.*)"), text):
            refused.append(name)
        else:
            kept[name] = text
    return kept, refused


def _without(documents: Sequence[object], tokens: Sequence[Secret | None]) -> Mapping[str, object]:
    sealed = {token.reveal() for token in tokens if token is not None}

    def seal(value: object) -> object:
        match value:
            case str():
                # JSON can spell half a character, which no database takes.
                if value in sealed:
                    return "<sealed>"
                return value if value.isascii() else value.encode(errors="replace").decode()
            case None | bool() | int() | float():
                return value
            case dict():
                return {name: seal(member) for name, member in value.items()}
            case list():
                return [seal(item) for item in value]
        return value

    whole = seal(documents[-1])
    return whole if isinstance(whole, dict) else {"": whole}
