"""The sandbox's catalogue entry: the same facts that a built-in provider's file holds."""

from holdfast.lab.people import SCOPES
from holdfast.oauth2.dialect import Dead, Dialect
from holdfast.providers.entry import (
    Api,
    Call,
    CallAuth,
    Identity,
    Lifetime,
    Provider,
    RateHints,
    RedirectRules,
    Revoke,
)

# What the sandbox does until a switch says otherwise.
_LIFETIME = Lifetime(access=3600, rotation="each_use", reuse="whole_grant_dead")


def sandbox_provider(base_url: str, *, lifetime: Lifetime = _LIFETIME) -> Provider:
    """Return the entry of the sandbox served at `base_url`. `lifetime` must fit its switches (a `reuse_grace`, say)."""
    base = base_url.rstrip("/")
    return Provider(
        slug="sandbox",
        name="Sandbox",
        auth="oauth2",
        categories=("development",),
        docs=f"{base}/control",
        client_credentials=True,
        oauth2=Dialect(
            issuer=base,
            iss="required",
            authorize_url=f"{base}/authorize",
            token_url=f"{base}/token",
            client_auth="client_secret_basic",
            client_auth_also=("client_secret_post",),
            pkce="required",
            scopes=tuple(SCOPES),
            partial_consent=True,
        ),
        lifetime=lifetime,
        revoke=Revoke(
            call=Call(
                url=f"{base}/revoke",
                method="POST",
                auth=CallAuth(kind="client_basic"),
                body="form",
                params={"token": "{token}"},
            ),
            token="refresh",  # noqa: S106  (which token, not a token)
            kills="grant",
        ),
        identity=Identity(call=Call(url=f"{base}/userinfo"), id="sub", label=("email", "name")),
        api=Api(base_url=f"{base}/api", rate=RateHints(retry="Retry-After")),
        probe=Call(url=f"{base}/api/me"),
        dead=(
            Dead(at="token", status=400, values=("invalid_grant",)),
            Dead(at="token", values=("invalid_client",), means="misconfigured"),
            Dead(at="api", status=401, means="refresh_once"),
        ),
        redirect=RedirectRules(note="Any redirect URI on loopback, or on the sandbox's own origin."),
        scope_help=dict(SCOPES),
    )
