"""What the end user's browser brings back: a code, a denial, or something that was not sent by the provider.

The caller has matched `state` with an attempt already; here the rest is checked. PKCE, at the token endpoint,
is the third lock. Nothing is sent anywhere for a callback that is not a `CallbackCode`.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from holdfast.errors import Misconfigured
from holdfast.oauth2.dialect import CallbackHmac, Dialect
from holdfast.oauth2.refusals import clean_code, clean_words
from holdfast.oauth2.replies import keep
from holdfast.secret import Secret

Params = Sequence[tuple[str, str]] | Mapping[str, str]

_CODE = re.compile(r"[\x20-\x7e]{1,4096}")
"""RFC 6749 appendix A.11; the longest codes seen are about 2,000 characters."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class CallbackCode:
    """An authorization code, not yet used, and the values to keep that came with it."""

    code: Secret
    kept: Mapping[str, str]


@dataclass(frozen=True)
class CallbackDenied:
    """The provider says no, most often because the user did. Both texts are safe to show."""

    error: str
    description: str


@dataclass(frozen=True)
class CallbackForged:
    """Not what the provider would have sent. `reason` is for the log and for the page alike."""

    reason: str


def read_callback(
    dialect: Dialect, params: Params, *, client_secret: Secret | None, values: Mapping[str, str]
) -> CallbackCode | CallbackDenied | CallbackForged:
    """Return what a callback's query says.

    Pass the query as pairs: a mapping can hold no duplicates, and so cannot show them. `values` fill the
    templates of a signed callback. Raises Misconfigured if the provider's entry asks for `iss` and names no
    issuer.
    """
    pairs = tuple(params.items()) if isinstance(params, Mapping) else tuple(params)
    given = dict(pairs)
    if len(given) != len(pairs):
        # RFC 6749 section 3.1: no parameter twice. Which of two counts is what parsers differ on.
        return CallbackForged("A parameter is there more than once.")
    reason = _unsigned(dialect.callback_hmac, given, client_secret, values) or _wrong_issuer(dialect, given)
    if reason is not None:
        return CallbackForged(reason)
    if given.get("error"):
        return CallbackDenied(clean_code(given["error"], ()), clean_words(given.get("error_description", ""), ()))
    code = given.get(dialect.code_param, "")
    if not _CODE.fullmatch(code):
        return CallbackForged("There is neither a code nor an error.")
    # Names of query parameters, not paths: they are looked up as they stand.
    found = {name: given[param] for name, param in dialect.callback_keep.items() if given.get(param)}
    kept, refused = keep({name: name for name in found}, dialect.keep_pattern, (found,))
    if refused:
        return CallbackForged(f"The value of {refused[0]} is not of the form this provider's values have.")
    return CallbackCode(Secret(code), kept)


def _wrong_issuer(dialect: Dialect, given: Mapping[str, str]) -> str | None:
    """RFC 9207 section 2.4, for errors too: it tells which of several servers answered, and so stops a
    mix-up."""
    if dialect.iss == "absent":
        return None
    if dialect.issuer is None:
        raise Misconfigured("The provider's entry checks iss and names no issuer.", code="provider_incomplete")
    said = given.get("iss")
    if said is None:
        return "The issuer (iss) is missing." if dialect.iss == "required" else None
    return None if said == dialect.issuer else "It comes from another issuer (iss)."


def _unsigned(
    rule: CallbackHmac | None, given: Mapping[str, str], secret: Secret | None, values: Mapping[str, str]
) -> str | None:
    """Return why a signed callback is not genuine, or None.

    https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/authorization-code-grant
    """
    if rule is None:
        return None
    if not secret:
        return "Its signature cannot be checked without the client secret."
    message = "&".join(
        f"{_escaped(name)}={_escaped(value)}" for name, value in sorted(given.items()) if name != rule.param
    )
    expected = hmac.new(secret.reveal().encode(), message.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), given.get(rule.param, "").lower().encode()):
        return "Its signature is wrong."
    for name, template in rule.match.items():
        if given.get(name) != _filled(template, values):
            return f"Its {name} is another than the one asked for."
    return None


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("&", "%26")


def _filled(template: str, values: Mapping[str, str]) -> str | None:
    """Return the template with its values, or None if one is missing, which then matches nothing."""
    if any(name not in values for name in _PLACEHOLDER.findall(template)):
        return None
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template)
