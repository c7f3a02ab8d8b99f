"""Asking the server that issued a token when it ends (RFC 7662), and reading what it says."""

from holdfast.errors import Misconfigured
from holdfast.http import Reply, Request
from holdfast.oauth2.client_auth import Client, prove
from holdfast.oauth2.dialect import Dialect
from holdfast.oauth2.documents import as_number, read_document
from holdfast.oauth2.requests import form_request
from holdfast.secret import Secret

LONGEST_LIFE = 100 * 365 * 86_400.0
"""A hundred years. What is later is no date: milliseconds, most likely."""


def introspection_request(dialect: Dialect, client: Client, *, token: Secret, now: float) -> Request:
    """Return the question about an access token (RFC 7662 section 2.1). The client proves itself as at the token
    endpoint. Raises Misconfigured without an introspection endpoint, or a secret that the proof needs."""
    if dialect.introspect_url is None:
        raise Misconfigured("The provider has no introspection endpoint.", code="provider_incomplete")
    proof = prove(dialect, client, audience=dialect.token_url or dialect.introspect_url, now=now)
    params = {"token": token.reveal(), "token_type_hint": "access_token", **proof.params}
    return form_request(dialect, dialect.introspect_url, params, proof.headers)


def read_introspection(reply: Reply, *, now: float) -> float | None:
    """Return when the token ends (epoch seconds), as an answer of RFC 7662 section 2.2 says it; None where it says
    nothing to go by: the token is not called active, `exp` is missing (it is optional), no number, or past.

    Never raises for what a provider sent.
    """
    document = read_document(reply, "json") if reply.status == 200 else None
    if not isinstance(document, dict) or document.get("active") is not True:
        return None
    ends = as_number(document.get("exp"))
    # A token that has only just come has not ended: another clock is wrong, and a guess of ours is better than that.
    return ends if ends is not None and now < ends <= now + LONGEST_LIFE else None
