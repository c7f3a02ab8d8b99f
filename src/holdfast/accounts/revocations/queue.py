"""Queueing: in the transaction that takes the account or refuses the tokens, or not at all."""

from dataclasses import dataclass

import msgspec
import structlog

from holdfast import ids
from holdfast.accounts.account import Account, Owner
from holdfast.accounts.revocations import store
from holdfast.accounts.revocations.revocation import (
    Cause,
    Kind,
    Order,
    Revocation,
    is_asked,
    lane_name,
    revocation_entry,
)
from holdfast.connections import Connection, Connections, Effective
from holdfast.connections import store as connection_store
from holdfast.connections.connection import Client
from holdfast.errors import HoldfastError
from holdfast.events import Action
from holdfast.events import store as log
from holdfast.oauth2.dialect import Dialect
from holdfast.providers.entry import Provider, Revoke
from holdfast.providers.templates import settle
from holdfast.secret import Secret
from holdfast.storage import Connection as Tx
from holdfast.vault import Sealed, Vault

_log = structlog.get_logger("holdfast.revocations")


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """Tokens that a provider has given for an account which does not have them."""

    effective: Effective
    client: Client | None
    account_id: str
    owner: Owner
    subject: str | None
    cause: Cause
    access: Secret | None
    refresh: Secret | None
    values: dict[str, str]
    """Of the account's config and of what token replies have told."""
    access_ends: float | None = None


def end_account(
    tx: Tx,
    vault: Vault,
    connections: Connections,
    account: Account,
    connection: Connection | None,
    cause: Cause,
    now: float,
    *,
    wire: bool,
) -> bool:
    """Queue the end of an account's tokens at their provider, if the connection asks for it and there is a way; tell
    whether it was. `wire`: whether it is usual at the door that was asked. The environment's keys must be ready.

    Never raises for what the account holds: what is taken away here goes in any case, and an entry says so.
    """
    if connection is None:
        return False
    try:
        effective = connections.effective(tx, connection, account.owner.organization_id)
    except HoldfastError:  # its provider's definition is gone, and with it the way
        return False
    revoke = effective.provider.revoke
    if revoke is None or not is_told(account, effective, wire=wire):
        return False
    ref = account.client_ref
    client = connection_store.client(tx, account.environment_id, ref) if ref else None
    access = refresh = None
    try:
        access = vault.open(account.access, account.access_place()) if account.access else None
        refresh = vault.open(account.grant, account.grant_place()) if account.grant else None
    except HoldfastError as error:
        _log.warning("revocation_not_queued", account=account.id, code=error.code)
    orphan = Orphan(
        effective=effective,
        client=client,
        account_id=account.id,
        owner=account.owner,
        subject=account.subject,
        cause=cause,
        access=access,
        refresh=refresh,
        values={**account.config, **account.kept},
        access_ends=account.expires_at,
    )
    return _queue(tx, vault, orphan, revoke, now)


def is_told(account: Account, effective: Effective, *, wire: bool) -> bool:
    """Tell whether the account's end is one at its provider too. Not whether another account lives on the same grant:
    that is seen when it is asked."""
    if account.method != "oauth" or (account.access is None and account.grant is None):
        return False
    revoke = effective.provider.revoke
    return revoke is not None and is_asked(effective.connection.revokes, revoke, wire=wire)


def end_orphan(tx: Tx, vault: Vault, orphan: Orphan, now: float) -> bool:
    """As `end_account`, for tokens that no account has. Nobody was promised that they live, so no wire keeps them."""
    connection, revoke = orphan.effective.connection, orphan.effective.provider.revoke
    if connection.method != "oauth" or revoke is None or not is_asked(connection.revokes, revoke, wire=True):
        return False
    return _queue(tx, vault, orphan, revoke, now)


def _queue(tx: Tx, vault: Vault, orphan: Orphan, revoke: Revoke, now: float) -> bool:
    connection, provider = orphan.effective.connection, orphan.effective.provider
    blank = Revocation(
        environment_id=connection.environment_id,
        id=ids.new_id(now),
        account_id=orphan.account_id,
        connection_id=connection.id,
        connection=connection.name,
        provider=provider.slug,
        user_id=orphan.owner.user_id,
        organization_id=orphan.owner.organization_id,
        subject=orphan.subject,
        client_id=orphan.client.client_id if orphan.client else "",
        client_ref=orphan.client.id if orphan.client else None,
        cause=orphan.cause,
        order=Sealed(b""),
        due_at=now,
        created_at=now,
    )
    try:
        order = _order(vault, orphan, revoke, blank)
        sealed = vault.seal(Secret(msgspec.json.encode(order).decode()), blank.order_place())
    except (HoldfastError, ValueError) as error:
        _log.warning("revocation_not_queued", revocation=blank.id, error=type(error).__name__)
        log.append(tx, revocation_entry(blank, Action.ACCOUNT_REVOCATION_FAILED, now, why="not_possible"))
        return False
    store.add(tx, blank, sealed)
    return True


def _order(vault: Vault, orphan: Orphan, revoke: Revoke, about: Revocation) -> Order:
    effective, client = orphan.effective, orphan.client
    tokens = _tokens(revoke, orphan)
    if not tokens:
        raise ValueError("there is no token to end")
    secret = None
    if client is not None and client.secret is not None:
        secret = vault.open(client.secret, client.secret_place(client.secret_version)).reveal()
    settled = settle(effective.provider, {**effective.config, **orphan.values})
    return Order(
        revoke=revoke,
        tokens=tokens,
        lane=lane_name(effective.provider, about.environment_id),
        provider=_facts(effective.provider),
        client_secret=secret,
        values=dict(settled),
        proven=tuple(sorted(settled.proven)),
        access_ends=orphan.access_ends,
    )


def _tokens(revoke: Revoke, orphan: Orphan) -> tuple[tuple[Kind, str], ...]:
    """Return the tokens to show, the longer-lived first; where the one that is wanted is missing, the other."""
    held: list[tuple[Kind, str]] = []
    if orphan.refresh:
        held.append(("refresh_token", orphan.refresh.reveal()))
    if orphan.access:
        held.append(("access_token", orphan.access.reveal()))
    shown = ("access", "refresh") if revoke.token == "both" else (revoke.token,)  # noqa: S105  (a name, not a secret)
    wanted = [one for one in held if one[0].removesuffix("_token") in shown]
    return tuple(wanted or held[:1])


def _facts(provider: Provider) -> Provider:
    """Return of an entry what replies are read by: a few hundred bytes in place of ten thousand."""
    reply = Provider(slug=provider.slug, name=provider.name, auth=provider.auth, dead=provider.dead)
    if provider.oauth2 is None:
        return reply
    dialect = Dialect(response=provider.oauth2.response)
    return msgspec.structs.replace(reply, oauth2=dialect)
