"""The credential kinds, and how each is laid into an account's sealed columns."""

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from holdfast.accounts.account import Account
from holdfast.accounts.expiry import consent_end, due_at, expiry_of, granted_scopes, is_end_unsaid
from holdfast.connections import Effective
from holdfast.oauth2.replies import TokenGrant
from holdfast.oauth2.scopes import missing
from holdfast.providers.entry import Lifetime, Method, Provider
from holdfast.providers.forms import main_field
from holdfast.secret import Secret
from holdfast.vault import Vault


@dataclass(frozen=True, slots=True)
class OAuthCredential:
    access: Secret | None
    refresh: Secret | None
    expires_at: float | None = None
    grant_expires_at: float | None = None
    scopes: tuple[str, ...] = ()
    kept: Mapping[str, str] = field(default_factory=dict)
    outdated: tuple[str, ...] = ()
    """What the account has kept under these names is not true of this credential, unless it says so itself."""
    end_unsaid: bool = False
    """The reply did not say when the access token ends: `expires_at` is taken from the catalogue, or not known."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    key: Secret
    """What is vended alone."""
    details: Secret | None = None
    """All fields of the credential, JSON by field name, where it was given so."""


@dataclass(frozen=True, slots=True)
class Delegated:
    """No secret of the account's own: the connection acts for this subject, or comes in as this user."""

    method: Literal["delegated", "trusted_idp"]
    principal: str


@dataclass(frozen=True, slots=True)
class ClientCredential:
    """An account's own client id and secret at the provider; access tokens are minted with them when needed."""

    client_id: str
    client_secret: Secret


@dataclass(frozen=True, slots=True)
class NoCredential:
    """The provider asks for none: the account is its settings, and calls go out with nothing attached."""


PRINCIPAL = "principal"
"""Where `kept` holds a delegated credential's subject or user."""

Credential = OAuthCredential | ApiKey | ClientCredential | Delegated | NoCredential


def method_of(credential: Credential) -> Method:
    match credential:
        case ApiKey():
            return "api_key"
        case ClientCredential():
            return "client_credentials"
        case OAuthCredential():
            return "oauth"
        case Delegated(method):
            return method
        case NoCredential():
            return "none"


def brought(
    access: Secret, refresh: Secret | None, scopes: Sequence[str], provider: Provider, now: float
) -> OAuthCredential:
    """Return tokens that an app brings along without saying when they end.

    One that can be renewed is taken to end as the token itself says (a JWT's `exp`, RFC 7519 section 4.1.4), else as
    late as the provider's tokens do. One that cannot is taken to live until it is refused.
    """
    ends = jwt_end(access)
    if ends is None and refresh is not None and isinstance(provider.lifetime.access, int):
        ends = now + provider.lifetime.access
    if refresh is None and ends is not None and ends <= now:
        ends = None
    return OAuthCredential(access=access, refresh=refresh, expires_at=ends, scopes=tuple(scopes))


def jwt_end(token: Secret) -> float | None:
    """Return when a JWT says it ends; None for what is none. Proves nothing: it is our own schedule."""
    parts = token.reveal().split(".")
    if len(parts) != 3:
        return None
    try:
        claims = msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, msgspec.DecodeError):
        return None
    ends = claims.get("exp") if isinstance(claims, dict) else None
    return float(ends) if isinstance(ends, int | float) and 0 < ends < 1e11 else None


def from_grant(
    grant: TokenGrant,
    provider: Provider,
    requested: Sequence[str],
    now: float,
    *,
    former: Secret | None = None,
) -> OAuthCredential:
    """Return what a token reply gives. A reply without refresh token keeps the `former` one (RFC 6749 section 6).

    Where a provider renews an access token by itself, it is its own refresh token.
    """
    lifetime, dialect = provider.lifetime, provider.oauth2
    renews_itself = dialect is not None and dialect.refresh_with_access_token is not None
    return OAuthCredential(
        access=grant.access_token,
        refresh=grant.access_token if renews_itself else grant.refresh_token or former,
        expires_at=expiry_of(grant, lifetime, now),
        grant_expires_at=grant.refresh_expires_at or _grant_end(lifetime, now),
        scopes=granted_scopes(grant, requested),
        kept=grant.kept,
        end_unsaid=is_end_unsaid(grant),
    )


def _grant_end(lifetime: Lifetime, now: float) -> float | None:
    ends = [end for end in (lifetime.refresh_idle, lifetime.refresh_absolute) if end is not None]
    return now + min(ends) if ends else None


def lay_in(account: Account, credential: Credential, vault: Vault, lifetime: Lifetime, now: float) -> Account:
    """Return the account with this credential, sealed for it under the next credential version."""
    version = account.credential_version + 1
    access_place, grant_place = account.access_place(version), account.grant_place(version)
    base: dict[str, Any] = {"credential_version": version, "access": None, "grant": None}
    base |= {"details": None, "oauth_client_id": None, "last4": ""}
    changed: dict[str, Any]
    match credential:
        case ApiKey(key, details):
            changed = {
                "access": vault.seal(key, access_place),
                "details": vault.seal(details, account.details_place(version)) if details else None,
                "last4": key.last4(),
                "expires_at": None,
                "grant_expires_at": None,
                "consent_ends_at": None,
                "refresh_at": None,
            }
        case ClientCredential(client_id, secret):
            changed = {
                "grant": vault.seal(secret, grant_place),
                "oauth_client_id": client_id,
                "last4": secret.last4(),
                "expires_at": None,
                "grant_expires_at": None,
                "consent_ends_at": None,
                "refresh_at": now,
            }
        case Delegated() | NoCredential():
            named = {PRINCIPAL: credential.principal} if isinstance(credential, Delegated) else {}
            changed = {
                "kept": {**account.kept, **named},
                "expires_at": None,
                "grant_expires_at": None,
                "consent_ends_at": None,
                "refresh_at": None,
            }
        case OAuthCredential():
            renewable = credential.refresh is not None
            ends, grant_ends = credential.expires_at, credential.grant_expires_at if renewable else None
            changed = {
                "access": vault.seal(credential.access, access_place) if credential.access else None,
                "grant": vault.seal(credential.refresh, grant_place) if credential.refresh else None,
                "expires_at": ends,
                "grant_expires_at": grant_ends,
                "consent_ends_at": consent_end(ends, grant_ends, now, lifetime, renewable=renewable),
                "refresh_at": due_at(ends, now, lifetime, renewable=renewable, grant_expires_at=grant_ends),
                "refreshed_at": now,
                "scopes": credential.scopes,
                "kept": {**_without(account.kept, credential.outdated), **credential.kept},
            }
    return account.but(**{**base, **changed})


def _without(kept: Mapping[str, str], outdated: Collection[str]) -> dict[str, str]:
    return {name: value for name, value in kept.items() if name not in outdated}


async def details_of(account: Account, vault: Vault, provider: Provider) -> dict[str, Any]:
    """Return the fields of a credential that was typed in or brought along, by field name; empty where it has none.

    These are secrets: for the account's own app and for calls to its provider.
    """
    if account.details is not None:
        document = await vault.open_fresh(account.details, account.details_place())
        return msgspec.json.decode(document.reveal(), type=dict[str, Any])
    if account.method == "api_key" and account.access is not None:
        key = await vault.open_fresh(account.access, account.access_place())
        return {main_field(provider): key.reveal()}
    return {}


def missing_scopes(effective: Effective, account: Account) -> tuple[str, ...]:
    """Return the scopes that the connection asks for now and that were not granted to the account."""
    dialect = effective.provider.oauth2
    if account.method != "oauth" or dialect is None or dialect.scopes_fixed_by_app:
        return ()
    return missing(effective.scopes, account.scopes, dialect.scope_implies)
