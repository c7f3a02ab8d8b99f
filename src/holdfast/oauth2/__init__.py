"""OAuth 2.0 as seen by a client, without I/O: requests are made and replies are read here, and sent
elsewhere.

Owns: authorization URLs, token and revocation requests, client authentication, PKCE, the reading of
callbacks, of token replies, of introspection and of server metadata. How a provider departs from the RFCs
is a `Dialect`, a closed list of quirks as data; no provider has code of its own. Outcomes are values:
TokenGrant or TokenRefusal, CallbackCode, CallbackDenied or CallbackForged.

Leaves to others: sending (`holdfast.outbound`), when to refresh and whether to try again (`holdfast.tokens`),
`state` and the attempt it belongs to (`holdfast.authorization`), the facts on providers
(`holdfast.providers`). Time is passed in.
"""

from holdfast.oauth2.callback import CallbackCode, CallbackDenied, CallbackForged, read_callback
from holdfast.oauth2.client_auth import Client
from holdfast.oauth2.dialect import ClientAuth, Dead, Dialect, Exchange, Path, ReplyDialect
from holdfast.oauth2.introspection import introspection_request, read_introspection
from holdfast.oauth2.metadata import Metadata, MetadataRejected, apply_metadata, metadata_urls, read_metadata
from holdfast.oauth2.paths import first
from holdfast.oauth2.pkce import is_verifier, matches, new_verifier, s256
from holdfast.oauth2.replies import TokenGrant, TokenRefusal, parse_token_reply
from holdfast.oauth2.requests import (
    authorization_url,
    client_credentials_request,
    code_request,
    refresh_request,
    revocation_request,
    second_exchange_request,
)
from holdfast.oauth2.scopes import missing

__all__ = [
    "CallbackCode",
    "CallbackDenied",
    "CallbackForged",
    "Client",
    "ClientAuth",
    "Dead",
    "Dialect",
    "Exchange",
    "Metadata",
    "MetadataRejected",
    "Path",
    "ReplyDialect",
    "TokenGrant",
    "TokenRefusal",
    "apply_metadata",
    "authorization_url",
    "client_credentials_request",
    "code_request",
    "first",
    "introspection_request",
    "is_verifier",
    "matches",
    "metadata_urls",
    "missing",
    "new_verifier",
    "parse_token_reply",
    "read_callback",
    "read_introspection",
    "read_metadata",
    "refresh_request",
    "revocation_request",
    "s256",
    "second_exchange_request",
]
