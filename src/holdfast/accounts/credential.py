"""The credential kinds, and how each is laid into an account's sealed columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from holdfast.accounts.account import Account
from holdfast.accounts.expiry import consent_end, due_at, expiry_of, granted_scopes
from holdfast.oauth2.replies import TokenGrant
from holdfast.providers.entry import Lifetime, Provider
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


@dataclass(frozen=True, slots=True)
class ApiKey:
    key: Secret


@dataclass(frozen=True, slots=True)
class ClientCredential:
    """An account's own client id and secret at the provider; access tokens are minted with them when needed."""

    client_id: str
    client_secret: Secret


Credential = OAuthCredential | ApiKey | ClientCredential


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
    )


def _grant_end(lifetime: Lifetime, now: float) -> float | None:
    ends = [end for end in (lifetime.refresh_idle, lifetime.refresh_absolute) if end is not None]
    return now + min(ends) if ends else None


def lay_in(account: Account, credential: Credential, vault: Vault, lifetime: Lifetime, now: float) -> Account:
    """Return the account with this credential, sealed for it under the next credential version."""
    version = account.credential_version + 1
    access_place, grant_place = account.access_place(version), account.grant_place(version)
    base: dict[str, Any] = {"credential_version": version, "access": None, "grant": None}
    base |= {"oauth_client_id": None, "last4": ""}
    changed: dict[str, Any]
    match credential:
        case ApiKey(key):
            changed = {
                "access": vault.seal(key, access_place),
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
                "kept": {**account.kept, **credential.kept},
            }
    return replace(account, **{**base, **changed})
