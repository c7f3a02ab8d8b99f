"""A credential obtained and not yet anybody's: laid aside, sealed for its attempt, until the app has finished."""

import msgspec

from holdfast.accounts import Accounts, ApiKey, ClientCredential, Credential, OAuthCredential
from holdfast.accounts.revocations import Orphan, end_orphan
from holdfast.authorization.attempt import Attempt
from holdfast.connections import Effective
from holdfast.connections import store as connection_store
from holdfast.providers.identity import ProviderIdentity
from holdfast.secret import Secret
from holdfast.storage import Connection as Tx
from holdfast.vault import Sealed, Vault


class _Grant(msgspec.Struct, tag="oauth"):
    access: str
    refresh: str | None
    expires_at: float | None
    grant_expires_at: float | None
    scopes: tuple[str, ...]
    kept: dict[str, str]
    outdated: tuple[str, ...] = ()
    end_unsaid: bool = False


class _Key(msgspec.Struct, tag="api_key"):
    key: str
    details: str | None


class _Client(msgspec.Struct, tag="client_credentials"):
    client_id: str
    client_secret: str


class _Pending(msgspec.Struct):
    credential: _Grant | _Key | _Client
    subject: str | None = None
    label: str | None = None
    account_id: str | None = None
    config: dict[str, str] = msgspec.field(default_factory=dict)


def lay_aside(
    attempt: Attempt,
    credential: Credential,
    identity: ProviderIdentity | None,
    vault: Vault,
    config: dict[str, str] | None = None,
) -> Sealed:
    pending = _Pending(_plain(credential), config=config or {})
    if identity is not None:
        pending = _Pending(pending.credential, identity.id, identity.label, identity.account_id, pending.config)
    return vault.seal(Secret(msgspec.json.encode(pending).decode()), attempt.pending_place())


def take_up(
    attempt: Attempt, sealed: Sealed, vault: Vault
) -> tuple[Credential, ProviderIdentity | None, dict[str, str]]:
    """Return what was laid aside: the credential, whose it is at the provider, and the account's settings."""
    pending = msgspec.json.decode(vault.open(sealed, attempt.pending_place()).reveal(), type=_Pending)
    identity = ProviderIdentity(pending.subject, pending.label, pending.account_id) if pending.subject else None
    return _credential(pending.credential), identity, pending.config


def end_refused(
    tx: Tx,
    accounts: Accounts,
    attempt: Attempt,
    effective: Effective,
    credential: Credential,
    identity: ProviderIdentity | None,
) -> None:
    """Queue the end, at the provider, of tokens that a refused attempt has brought: nobody has them."""
    if not isinstance(credential, OAuthCredential):
        return
    client = connection_store.client(tx, attempt.environment_id, attempt.client_ref) if attempt.client_ref else None
    orphan = Orphan(
        effective=effective,
        client=client,
        account_id=attempt.account_id or "",
        owner=attempt.owner,
        subject=identity.id if identity else None,
        cause="consent_refused",
        access=credential.access,
        refresh=credential.refresh,
        values={**attempt.config, **credential.kept},
        access_ends=credential.expires_at,
    )
    end_orphan(tx, accounts.vault, orphan, accounts.clock.now())


def _plain(credential: Credential) -> _Grant | _Key | _Client:
    match credential:
        case OAuthCredential():
            return _Grant(
                access=credential.access.reveal() if credential.access else "",
                refresh=credential.refresh.reveal() if credential.refresh else None,
                expires_at=credential.expires_at,
                grant_expires_at=credential.grant_expires_at,
                scopes=credential.scopes,
                kept=dict(credential.kept),
                outdated=credential.outdated,
                end_unsaid=credential.end_unsaid,
            )
        case ApiKey(key, details):
            return _Key(key.reveal(), details.reveal() if details else None)
        case ClientCredential(client_id, secret):
            return _Client(client_id, secret.reveal())
        case _:
            raise TypeError("nothing in this credential has to be kept apart")


def _credential(plain: _Grant | _Key | _Client) -> Credential:
    match plain:
        case _Grant():
            return OAuthCredential(
                access=Secret(plain.access),
                refresh=Secret(plain.refresh) if plain.refresh else None,
                expires_at=plain.expires_at,
                grant_expires_at=plain.grant_expires_at,
                scopes=plain.scopes,
                kept=plain.kept,
                outdated=plain.outdated,
                end_unsaid=plain.end_unsaid,
            )
        case _Key():
            return ApiKey(Secret(plain.key), Secret(plain.details) if plain.details else None)
        case _Client():
            return ClientCredential(plain.client_id, Secret(plain.client_secret))
