"""How one provider departs from the RFCs, as data. A closed list: every field here has code that honours it.

A `Dialect` is the `oauth2:` block of a catalogue entry (see `holdfast.providers`). Strings may hold
`{placeholder}`s; `holdfast.providers.templates` fills them in before the protocol code sees them. Paths are
dotted (`authed_user.id`, `data[0].id`); where a field takes a tuple of paths, the first that exists wins.
"""

from typing import Literal

import msgspec

Path = str | tuple[str, ...]
"""A dotted path into a JSON document, or several of which the first that exists counts."""

ClientAuth = Literal[
    "client_secret_basic",
    "client_secret_post",
    "none",
    "private_key_jwt",
    "client_secret_jwt",
    "secret_as_basic_user",
]
"""RFC 6749 section 2.3.1, RFC 7521/7523; `secret_as_basic_user` is the key-as-user-name form (Stripe)."""

Pkce = Literal["required", "supported", "unknown", "omit"]
"""RFC 7636. Anything but `omit` sends an S256 challenge; `plain` does not exist here."""

BodyFormat = Literal["form", "json", "query", "xml"]


class _Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class Success(_Struct, frozen=True, kw_only=True):
    """Where a provider answers HTTP 200 for failures too: the reply is a success only if `field` equals
    `equals`.

    With `equals` left out the reply is a success if `error_field` is absent from it.
    """

    field: str | None = None
    equals: bool | int | str | None = None
    error_field: str = "error"


class ReplyDialect(_Struct, frozen=True, kw_only=True):
    """How to read a token endpoint's reply (RFC 6749 section 5)."""

    format_default: Literal["json", "form", "xml"] = "json"
    """What the body is when the Content-Type does not say."""
    root: str | None = None
    """A member that wraps the whole reply (`data`, `body`)."""
    success: Success | None = None
    errors_with_http_200: bool = False
    error: Path = "error"
    error_description: Path = ("error_description", "error_reason", "message")
    access_token: Path = "access_token"  # noqa: S105 - a name, not a secret
    refresh_token: Path = "refresh_token"  # noqa: S105 - a name, not a secret
    token_type: Path = "token_type"  # noqa: S105 - a name, not a secret
    expires_in: Path = "expires_in"
    expires_in_zero: Literal["expired", "never"] = "expired"
    expires_at: Path | None = None
    expires_at_format: Literal["unix", "unix_ms", "iso8601"] = "unix"
    refresh_expires_in: Path = (
        "refresh_token_expires_in",
        "refresh_expires_in",
        "x_refresh_token_expires_in",
    )
    refresh_expires_at: Path | None = None
    scope: Path = "scope"
    extra_scopes: dict[str, Path] = {}
    """Where the reply says what was granted of an `extra_scope_params` parameter (`user_scope:
    authed_user.scope`). Each is reported as it is asked for: `user_scope:chat:write`."""
    scope_separator: str | None = None
    """What separates granted scopes in the reply, where that is not the request's separator."""
    keep: dict[str, Path] = {}
    """Non-secret reply members to keep on the account, under our name for them (`instance_url:
    instance_url`)."""


class CallbackHmac(_Struct, frozen=True, kw_only=True):
    """A provider that signs its callback query (Shopify): hex HMAC of the sorted query without `param`."""

    param: str
    algorithm: Literal["sha256"] = "sha256"
    key: Literal["client_secret"] = "client_secret"
    match: dict[str, str] = {}
    """Callback parameters that must equal a template (`shop: '{shop}.myshopify.com'`)."""


class Exchange(_Struct, frozen=True, kw_only=True):
    """A further request that swaps one access token for another (Facebook's long-lived tokens, Instagram's
    refresh)."""

    url: str
    method: Literal["GET", "POST"] = "GET"
    params: dict[str, str] = {}
    """May use `{access_token}`, `{client_id}` and `{client_secret}`."""
    min_age: int = 0
    """Seconds a token must have lived before the provider accepts the request."""


class Dialect(_Struct, frozen=True, kw_only=True):
    """One provider's OAuth 2.0 endpoints and habits."""

    # endpoints
    discovery: str | None = None
    """RFC 8414 or OpenID Connect Discovery document."""
    issuer: str | None = None
    iss: Literal["absent", "checked", "required"] = "absent"
    """RFC 9207: `required` where the provider advertises `authorization_response_iss_parameter_supported`;
    `checked` compares `iss` when it is there. Both need `issuer`."""
    authorize_url: str | None = None
    token_url: str | None = None
    refresh_url: str | None = None
    """Only where refreshing uses another URL than `token_url`."""
    introspect_url: str | None = None
    """RFC 7662. Asked when an access token ends whose reply does not say it."""
    registration_url: str | None = None
    authorize_query_in_fragment: bool = False

    # client authentication
    client_auth: ClientAuth = "client_secret_post"
    client_auth_also: tuple[ClientAuth, ...] = ()
    assertion_audience: str | None = None
    """`aud` of a private_key_jwt / client_secret_jwt assertion where it is not the token endpoint."""
    assertion_algorithm: Literal["RS256", "PS256", "ES256", "HS256"] = "RS256"
    generated_secret: dict[str, str] | None = None
    """Claims of a client secret that is itself a signed JWT (Apple)."""
    app_credentials_per_tenant: bool = False
    client_secret_required: bool = True
    """False: a public client is accepted, identified by its client_id alone."""

    # authorization request
    pkce: Pkce = "unknown"
    scopes: tuple[str, ...] = ()
    scope_separator: str = " "
    scopes_required: bool = False
    """The provider refuses a request without scopes, so a connection must name some."""
    scopes_fixed_by_app: bool = False
    """No `scope` is sent: the provider's app settings decide."""
    extra_scope_params: dict[str, str] = {}
    """Further scope parameters and the separator each uses (`user_scope: ','`). A connection's scope written
    `user_scope:chat:write` goes into that parameter."""
    scope_implies: dict[str, tuple[str, ...]] = {}
    """A granted scope that swallows others (`repo: [repo:status]`)."""
    partial_consent: bool = False
    authorize_params: dict[str, str] = {}
    resource: str | None = None
    """RFC 8707, sent on the authorization and the token request."""
    redirect_uri_is: str | None = None
    """Name of the config field that stands in for redirect_uri (eBay's RuName)."""
    rename: dict[str, str] = {}
    """Standard parameter name to the provider's (`client_id: client_key`), for every request."""

    # callback
    code_param: str = "code"
    callback_keep: dict[str, str] = {}
    """Callback parameters to keep, under our name (`realm_id: realmId`)."""
    callback_hmac: CallbackHmac | None = None

    # token requests
    body: BodyFormat = "form"
    method: Literal["POST", "GET"] = "POST"
    token_params: dict[str, str] = {}
    """Added to code exchange and client-credentials requests; an entry may replace `grant_type`
    (`account_credentials`)."""
    refresh_params: dict[str, str] = {}
    """Added to refresh requests; an entry may replace `grant_type`."""
    refresh_scope: Literal["omit", "send"] = "omit"
    token_headers: dict[str, str] = {}
    refresh_with_access_token: Exchange | None = None
    second_exchange: Exchange | None = None
    response: ReplyDialect = ReplyDialect()
    keep_pattern: dict[str, str] = {}
    """Full-match pattern for a kept value that later decides where a token is sent.

    Anything else is refused.
    """


class Dead(_Struct, frozen=True, kw_only=True):
    """A reply that tells a grant's (or a token's) death from a passing failure."""

    at: Literal["token", "api"]
    status: int | None = None
    field: str = "error"
    values: tuple[str, ...] = ()
    """Values of `field` that match; empty = the status alone decides."""
    means: Literal["reconnect", "refresh_once", "misconfigured", "retry"] = "reconnect"
