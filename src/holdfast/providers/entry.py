"""The catalogue entry: facts on one third-party service, as data. Never code, never a provider's name in
Python.

The shape follows the quirks that real providers show. An entry is a frozen value, decoded strictly: an
unknown field is an error. `loader` reads the built-in entries from `catalog/<slug>.yaml`; `custom` makes
one from an API call.
"""
# ruff: noqa: RUF012 - msgspec copies a mutable default per instance, and the instances are frozen.

from typing import Literal

from holdfast.oauth2.dialect import Dead, Dialect, Path, _Struct

AuthKind = Literal["oauth2", "oauth2_client_credentials", "oauth1", "api_key", "basic", "jwt_bearer", "mcp", "custom"]
Method = Literal["oauth", "api_key", "client_credentials", "delegated", "trusted_idp", "none"]
"""How an account authenticates: the credential kinds that Holdfast keeps. The last three hold no secret: whom the
connection's own service account acts for, which of the provider's users the app is let in as, or nothing at all."""

Seconds = int


class ConfigField(_Struct, frozen=True, kw_only=True):
    """A value an entry's templates need (`{shop}`). Hosts built from it must be safe: `pattern` is
    full-matched."""

    label: str | None = None
    description: str | None = None
    example: str | None = None
    required: bool = False
    default: str | None = None
    pattern: str | None = None
    enum: tuple[str, ...] = ()
    secret: bool = False
    scope: Literal["integration", "installation"] = "installation"
    """Who supplies it: the operator once per connection, or each account."""
    source: Literal["user", "callback", "token", "probe"] = "user"


class CredentialField(_Struct, frozen=True, kw_only=True):
    """One field of a credential that its owner types in (an API key, a user name, a password)."""

    label: str
    hint: str | None = None
    input: Literal["text", "password", "select", "textarea"] = "text"
    required: bool = True
    options: tuple[str, ...] = ()
    pattern: str | None = None
    """Full-matched."""
    secret: bool | None = None
    """Never shown again, not even to who typed it in. None = as `input` is `password`."""

    @property
    def is_secret(self) -> bool:
        return self.input == "password" if self.secret is None else self.secret


class Lifetime(_Struct, frozen=True, kw_only=True):
    """How long tokens live, in seconds. `None` = not known."""

    access: Seconds | Literal["never"] | None = None
    """Assumed when a reply carries no expiry. `never` means such a token is not refreshed."""
    access_max: Seconds | None = None
    refresh_idle: Seconds | None = None
    """A refresh token unused for so long dies."""
    refresh_absolute: Seconds | None = None
    rotation: Literal["none", "each_use", "may_change"] | None = None
    reuse: Literal["dead", "whole_grant_dead", "old_stays_valid"] | None = None
    """What presenting a rotated refresh token again does."""
    reuse_grace: Seconds = 0
    """Seconds after rotation in which the previous refresh token may be replayed safely."""
    refresh_margin: Seconds | None = None
    """Refresh this long before expiry, in place of the default margin."""
    refresh_not_before: Seconds | None = None
    """The provider refuses a refresh earlier than this many seconds before expiry."""
    live_tokens_cap: int | None = None
    """The provider silently drops the oldest token past this many per user and client."""
    note: str | None = None


class CallAuth(_Struct, frozen=True, kw_only=True):
    """How a side call (revoke, identity, discover, probe) authenticates."""

    kind: Literal["bearer", "client_basic", "client_post", "none", "header", "basic"] = "bearer"
    name: str | None = None
    value: str | None = None
    """`header`: its name and the template of its value (`Client {client_secret}`)."""
    username: str = ""
    password: str = ""
    """`basic`: HTTP Basic with these templates (`{token}` as the user name)."""


class Call(_Struct, frozen=True, kw_only=True):
    """One side call to the provider, as a request descriptor."""

    url: str
    method: Literal["GET", "POST", "DELETE", "PUT"] = "GET"
    auth: CallAuth = CallAuth()
    body: Literal["none", "form", "json", "query"] = "none"
    params: dict[str, str] = {}
    """Body or query members; values may use `{token}`, `{client_id}`, `{client_secret}` and kept values."""
    json: dict[str, str] | None = None
    headers: dict[str, str] = {}


class Revoke(_Struct, frozen=True, kw_only=True):
    """RFC 7009 or the provider's own way to end a token."""

    call: Call
    token: Literal["access", "refresh", "both"] = "access"  # noqa: S105
    """Which is shown; `both`: one after the other. The call may use `{token_type_hint}` (RFC 7009 section 2.1)."""
    kills: Literal["token", "grant", "install", "all_user_sessions"] = "token"
    """`install`, `all_user_sessions`: others lose access too, so it is done only when asked for."""


class Identity(_Struct, frozen=True, kw_only=True):
    """Which account at the provider this is: a stable id to pin, and a label people recognise."""

    call: Call | None = None
    source: Literal["call", "token_response", "callback", "id_token"] = "call"
    id: Path
    label: Path | None = None
    account_id: Path | None = None


class Discover(_Struct, frozen=True, kw_only=True):
    """A second call that picks the site, tenant or account the API works on (Atlassian's cloud id)."""

    call: Call
    list: str | None = None
    """Path of the list in the reply; `[]` where the reply itself is the list, None where it is one site."""
    set: dict[str, Path] = {}
    """Values that choosing an item sets, under our names."""


class GrantedScopes(_Struct, frozen=True, kw_only=True):
    """A call that lists what was granted, where the token reply does not say (Facebook `/me/permissions`)."""

    call: Call
    list: str | None = None
    scope: Path | None = None
    """Path of the scope's name within an item; None where the items are the names."""
    status: str | None = None
    status_equals: str = "granted"


class Placement(_Struct, frozen=True, kw_only=True):
    """Where the credential goes in a call to the provider's API."""

    where: Literal["bearer", "header", "query", "basic", "path"] = "bearer"
    name: str | None = None
    value: str = "{token}"
    username: str | None = None
    password: str | None = None


class RateHints(_Struct, frozen=True, kw_only=True):
    """How the API says "slow down". All but `status` and `penalty` name a response header."""

    status: tuple[int, ...] = (429,)
    retry: str | None = None
    remaining: str | None = None
    limit: str | None = None
    reset: str | None = None
    reset_format: Literal["unix", "seconds", "iso8601"] = "unix"
    usage: str | None = None
    retry_in_body: Path | None = None
    """Path of a text in the reply's body that holds the time to retry at (Gmail's `error.message`)."""
    penalty: Seconds | None = None
    """Seconds to wait after a refusal that does not say how long."""


class PageHints(_Struct, frozen=True, kw_only=True):
    """How lists are paged: the request member and the reply path of the next page."""

    style: Literal["link_header", "link", "cursor", "offset", "page", "graphql", "range"]
    request: str | None = None
    reply: str | None = None


class Api(_Struct, frozen=True, kw_only=True):
    """The provider's API as the proxy reaches it. A credential goes to `base_url`'s host and `hosts`,
    nowhere else."""

    base_url: str
    hosts: tuple[str, ...] = ()
    regions: dict[str, str] = {}
    sandbox: str | None = None
    credential: Placement = Placement()
    also: tuple[Placement, ...] = ()
    """Further places, where a call carries its credential in several fields."""
    encoded_slash: bool = False
    """Some path segments are names with slashes in them, sent as `%2F`. Refused elsewhere: servers differ on what
    it means, and a path could leave its place by it."""
    headers: dict[str, str] = {}
    rate: RateHints = RateHints()
    page: PageHints | None = None


class RedirectRules(_Struct, frozen=True, kw_only=True):
    """What the provider accepts as a redirect URI, so that a wrong one is explained before it is tried."""

    https: Literal["required", "required_except_loopback", "any"] = "any"
    localhost_name: bool = True
    """False where loopback must be written as an address, never as `localhost`."""
    most: int | None = None
    """How many may be registered with one app."""
    note: str | None = None


class RevokedEvent(_Struct, frozen=True, kw_only=True):
    """How the provider tells that a user took the grant back."""

    style: Literal["webhook", "signed_request_post", "security_event_token", "callback_delete"]
    name: str


class Provider(_Struct, frozen=True, kw_only=True):
    """One provider: built in (catalogue) or custom (defined through the API in one environment)."""

    slug: str
    name: str
    auth: AuthKind
    aliases: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    docs: str | None = None
    base: str | None = None
    """Slug of the entry this one varies (gmail on google); resolved by the loader, one level deep."""
    methods: tuple[Method, ...] = ()
    """Ways to connect; empty = the one that follows from `auth`."""
    config: dict[str, ConfigField] = {}
    credential: dict[str, CredentialField] = {}
    """The fields of a credential that is not OAuth's, in the order they are asked for. Empty = one API key. The first
    secret one is what is vended alone, and `{token}` in the entry's calls."""
    oauth2: Dialect | None = None
    client_credentials: bool = False
    lifetime: Lifetime = Lifetime()
    revoke: Revoke | None = None
    identity: Identity | None = None
    discover: Discover | None = None
    granted_scopes: GrantedScopes | None = None
    api: Api | None = None
    probe: Call | None = None
    """A harmless call that tells whether an API key works."""
    dead: tuple[Dead, ...] = ()
    revoked_event: RevokedEvent | None = None
    redirect: RedirectRules = RedirectRules()
    scope_help: dict[str, str] = {}
    """What a scope lets the app do, in words for the consent page and the dashboard."""
    evidence: dict[str, tuple[str, ...]] = {}
    checked_on: str | None = None
    custom: bool = False
    adapter: str | None = None
    """Name of a registered signer for what data cannot say (AWS SigV4)."""

    def connect_methods(self) -> tuple[Method, ...]:
        """Return the credential kinds an account of this provider may have, the usual one first."""
        if self.methods:
            return self.methods
        if self.auth == "custom" and self.oauth2 is None:
            return ("none",)
        if self.auth in ("oauth2", "oauth1", "mcp", "jwt_bearer", "custom"):
            return ("oauth", "client_credentials") if self.client_credentials else ("oauth",)
        if self.auth == "oauth2_client_credentials":
            return ("client_credentials",)
        return ("api_key",)
