"""What a refresh that failed is called, for the account's owner, the app and the log: what happened, and who acts now.

Never a bare code: a provider's answer may be an error page, of which nothing can be quoted. Pure, and fit to be shown.
"""

from collections.abc import Mapping

from holdfast.oauth2.refusals import Kind
from holdfast.oauth2.replies import TokenRefusal

_WHAT: Mapping[Kind, str] = {
    "dead_grant": "no longer accepts this account's authorisation",
    "misconfigured": "refuses this connection's client",
    "throttled": "asks to be left alone for a while",
    "transient": "could not answer",
    "malformed": "answered without a token",
    "refused": "refused to renew the token",
}


def happened(provider: str, refusal: TokenRefusal) -> str:
    """Return what the provider has said, in a sentence without its full stop."""
    return f"{provider} {_WHAT[refusal.kind]} ({answer(refusal)})"


def answer(refusal: TokenRefusal) -> str:
    """Return the provider's own words behind its code, or its status where it gave no code."""
    code = refusal.error
    if code in (f"http_{refusal.status}", "no_access_token"):
        code = f"status {refusal.status}"
    words = refusal.description.rstrip(". ")
    return f"{code}: {words}" if words and words != code else code


def tried_again(why: str) -> str:
    """Return the warning that goes with a token which could not be renewed for now."""
    return f"the last refresh failed: {why.rstrip('. ')}; it is tried again, and nobody has to do anything"


def renewed_late(provider: str, seconds: int) -> str:
    """Return the warning that goes with a token which has less life than was asked for, and cannot be renewed yet."""
    return f"{provider} renews a token in the last {seconds} seconds of its life and not before"


def mended_by_administrator(why: str) -> str:
    """Return the warning that goes with a token which cannot be renewed until the connection's client is mended."""
    return f"the last refresh failed: {why.rstrip('. ')}; an administrator has to correct the connection's client"


def connected_again(why: str) -> str:
    """Return what is kept with an account that only its owner can help."""
    return f"{why.rstrip('. ')}. The account's owner has to connect it again."
