"""What a token endpoint's "no" means.

The rules are data: the provider's own first, then one table for all.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Literal
from urllib.parse import quote, quote_plus

from holdfast.http import Reply
from holdfast.oauth2.dialect import Dead, Dialect, Path
from holdfast.oauth2.documents import as_number, as_text
from holdfast.oauth2.paths import first, steps_of
from holdfast.secret import Secret, scrub

Kind = Literal["dead_grant", "misconfigured", "throttled", "transient", "malformed", "refused"]
"""`dead_grant`: the user must connect again. `misconfigured`: the operator must act. `throttled`,
`transient`: later. `malformed`: an answer that is none. `refused`: a no for another reason."""


@dataclass(frozen=True)
class _Rule:
    statuses: range
    codes: frozenset[str] | None
    """Error codes that match; None = any or none at all, empty = only a reply without one."""
    kind: Kind


_ANY = range(100, 600)
_NO_CODE: frozenset[str] = frozenset()

_RULES = (
    # An overloaded server's body proves nothing about a grant, so these statuses count before any code.
    _Rule(range(429, 430), None, "throttled"),
    _Rule(range(408, 409), None, "transient"),
    _Rule(range(500, 600), None, "transient"),
    _Rule(_ANY, frozenset({"invalid_grant"}), "dead_grant"),
    # https://openid.net/specs/openid-connect-core-1_0.html#AuthError, at Microsoft from the token endpoint as
    # well
    _Rule(_ANY, frozenset({"interaction_required", "login_required", "consent_required"}), "dead_grant"),
    _Rule(_ANY, frozenset({"invalid_client", "unauthorized_client"}), "misconfigured"),
    _Rule(_ANY, frozenset({"slow_down", "ratelimited", "rate_limited", "too_many_requests"}), "throttled"),
    _Rule(_ANY, frozenset({"temporarily_unavailable", "server_error"}), "transient"),
    _Rule(range(401, 402), _NO_CODE, "misconfigured"),
    _Rule(range(100, 400), _NO_CODE, "malformed"),
    _Rule(range(300, 400), None, "malformed"),
    _Rule(_ANY, None, "refused"),
)
_DIALECTS = (
    Dead(at="token", values=("bad_refresh_token",)),  # GitHub, with status 200
    Dead(at="token", field="status", values=("BAD_REFRESH_TOKEN",)),  # HubSpot
    Dead(at="token", values=("invalid_refresh_token", "token_revoked", "account_inactive")),  # Slack, with status 200
    Dead(at="token", values=("inactive_user",)),  # Salesforce
    # https://www.zoho.com/accounts/protocol/oauth/web-apps/access-token-expiry.html, with status 200
    Dead(at="token", status=200, values=("invalid_code",)),
    # https://developers.facebook.com/docs/graph-api/guides/error-handling
    Dead(at="token", status=400, field="error.code", values=("190",)),
    # https://dev.twitch.tv/docs/authentication/refresh-tokens/
    Dead(at="token", status=400, field="message", values=("Invalid refresh token",)),
)
"""How vendors say that a grant is dead. They speak for a provider that has no rules of its own: one that was defined
through the API, or by an entry that knows none."""

_MEANS: Mapping[str, Kind] = {
    "reconnect": "dead_grant",
    "misconfigured": "misconfigured",
    "retry": "transient",
    "refresh_once": "transient",
}

_FALLBACK_CODES: tuple[str, ...] = ("error", "errors", "errorCode", "error_code", "errcode", "code")
_FALLBACK_WORDS: tuple[str, ...] = (
    "error_description",
    "message",
    "error_message",
    "errmsg",
    "msg",
    "detail",
)
_MEMBER_CODES: tuple[str, ...] = ("code", "type", "errorType", "error", "id", "name")
_MEMBER_WORDS: tuple[str, ...] = ("message", "description", "error_description", "detail")
_NO_ERROR = frozenset({"", "0", "ok", "OK", "none"})
"""What some providers write into their error field when all is well (`errcode: 0`, `code: ok`)."""

_WORDS_LIMIT = 300
_CODE_LIMIT = 100
_LONGEST_WAIT = 86_400.0
"""A day. A Retry-After beyond it is taken for a mistake, which must not park an account for ever."""


@dataclass(frozen=True)
class Fault:
    """The error a reply speaks of: its code (empty = none) and its words, not yet scrubbed."""

    code: str
    words: str


def fault_of(dialect: Dialect, documents: Sequence[object], status: int) -> Fault:
    """Return the error that a reply names, in any of the shapes providers use."""
    code, words = _first_error(documents, (*_own_paths(dialect), *_FALLBACK_CODES))
    told = look(documents, dialect.response.error_description) or look(documents, _FALLBACK_WORDS)
    return Fault("" if code == str(status) else code, told if isinstance(told, str) else words)


def names_an_error(dialect: Dialect, documents: Sequence[object]) -> bool:
    """Tell whether a reply has an error where this provider's errors are."""
    return _first_error(documents, _own_paths(dialect))[0] != ""


def _own_paths(dialect: Dialect) -> tuple[Path, ...]:
    success = dialect.response.success
    return (dialect.response.error,) if success is None else (dialect.response.error, success.error_field)


def _first_error(documents: Sequence[object], paths: Sequence[Path]) -> tuple[str, str]:
    for path in paths:
        code, words = _code_and_words(look(documents, path))
        if code:
            return code, words
    return "", ""


def look(documents: Sequence[object], path: Path | None) -> object | None:
    """Return what `path` leads to in the first document that has it."""
    if path.__class__ is str and len(documents) == 1 and documents[0].__class__ is dict:
        steps = steps_of(path)
        if len(steps) == 1:  # a member of a plain reply, as nearly all are
            return documents[0].get(steps[0])
    for document in documents:
        found = first(document, path)
        if found is not None:
            return found
    return None


def kind_of(fault: Fault, status: int, documents: Sequence[object], dead: Sequence[Dead]) -> Kind:
    """Return what a refusal means: by the provider's own rules for its token endpoint, or those of vendors if it has
    none; else by the table."""
    for rule in [rule for rule in dead if rule.at == "token"] or _DIALECTS:
        if _is_dead(rule, fault, status, documents):
            return _MEANS[rule.means]
    return next(
        rule.kind
        for rule in _RULES
        if status in rule.statuses and (rule.codes is None or fault.code in (rule.codes or {""}))
    )


def retry_after(reply: Reply, now: float) -> float | None:
    """Return the seconds to wait that a reply asks for (RFC 9110 section 10.2.3), or None."""
    text = reply.headers.get("retry-after", "").strip()
    seconds = as_number(text)
    if seconds is None and text:
        try:
            at = parsedate_to_datetime(text)
        except (ValueError, TypeError, OverflowError):
            return None
        seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now
    return None if seconds is None else min(max(seconds, 0.0), _LONGEST_WAIT)


def clean_words(text: str, known: Sequence[Secret]) -> str:
    """Return a provider's words fit to be shown: without the secrets we know of and without control
    characters, cut."""
    return _clean(text, known)[:_WORDS_LIMIT]


def clean_code(text: str, known: Sequence[Secret]) -> str:
    return _clean(text, known)[:_CODE_LIMIT]


def _clean(text: str, known: Sequence[Secret]) -> str:
    # Scrubbed twice: before, while the text is the provider's own, and after, lest removing a control
    # character joins the halves of a secret.
    echoes = [echo for secret in known for echo in _echoes(secret)]
    whole = scrub(text, *echoes, limit=2 * len(text) + 8)
    plain = "".join(" " if char.isspace() else char for char in whole if _is_shown(char))
    return scrub(re.sub(r" {2,}", " ", plain).strip(), *echoes, limit=2 * len(plain) + 8)


def _is_shown(char: str) -> bool:
    # Category C holds controls and the invisible characters that reverse or hide text around them.
    return char.isspace() or unicodedata.category(char)[0] != "C"


def _echoes(secret: Secret) -> tuple[str, ...]:
    text = secret.reveal()
    return text, quote(text, safe=""), quote_plus(text)


def _code_and_words(value: object) -> tuple[str, str]:
    match value:
        case bool() | None:
            return "", ""
        case str() | int():
            return ("", "") if str(value) in _NO_ERROR else (str(value), "")
        case Mapping():
            code = next((code for name in _MEMBER_CODES if (code := _code_and_words(value.get(name))[0])), "")
            words = next((text for name in _MEMBER_WORDS if isinstance(text := value.get(name), str)), "")
            return code, words
        case [head, *_]:
            return _code_and_words(head)
    return "", ""


def _is_dead(rule: Dead, fault: Fault, status: int, documents: Sequence[object]) -> bool:
    if rule.status is None:
        # A rule on codes alone speaks of the provider's ordinary answers, not of its outages.
        if status == 429 or status >= 500 or not rule.values:
            return False
    elif rule.status != status:
        return False
    if not rule.values:
        return True
    said = as_text(look(documents, rule.field))
    return said in rule.values or (rule.field == "error" and fault.code in rule.values)
