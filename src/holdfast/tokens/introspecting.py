"""Asking a provider when a token ends, where its reply did not say: after the token is stored, and only once.

    taken > sent, by the gate that refreshes pass > the end written, if the account still has that token

An answer that does not come, or says nothing, changes nothing: the end stays what the catalogue assumes, or unknown.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

import structlog
from sqlalchemy.exc import SQLAlchemyError

from holdfast import telemetry
from holdfast.accounts import Account, Status
from holdfast.accounts import store as account_store
from holdfast.accounts.expiry import consent_end, due_at
from holdfast.accounts.introspections import Introspection
from holdfast.accounts.introspections import store as introspection_store
from holdfast.clock import Clock
from holdfast.connections import ClientFactory, Connections, Effective, ProviderClient
from holdfast.connections import store as connection_store
from holdfast.connections.connection import Client
from holdfast.connections.provider_client import Lost
from holdfast.errors import HoldfastError
from holdfast.providers.entry import Lifetime
from holdfast.storage import Connection as Tx
from holdfast.storage import Database
from holdfast.tokens.gate import Gate, Lane, lane_of
from holdfast.tokens.outcome import Resting
from holdfast.tokens.taken import Taken
from holdfast.tokens.verdict import grant_of
from holdfast.vault import Vault

_log = structlog.get_logger("holdfast.tokens")

AT_ONCE = 16
"""Questions under way in a process: a provider that hangs leaves room for others."""


class Introspector:
    def __init__(
        self,
        database: Database,
        vault: Vault,
        clock: Clock,
        connections: Connections,
        factory: ClientFactory,
        gate: Gate,
    ) -> None:
        self._database, self._vault, self._clock = database, vault, clock
        self._connections, self._factory, self._gate = connections, factory, gate
        self._taken = Taken(self._take, self._one, at_once=AT_ONCE)

    async def run(self) -> None:
        """Take and ask until there is nothing to ask."""
        await self._taken.run()

    async def stop(self, seconds: float) -> None:
        """Take nothing any more, and wait for what is under way; what is cut off stays unanswered."""
        await self._taken.stop(seconds)

    async def _take(self, room: int) -> Sequence[Introspection]:
        return await self._database.transact(lambda tx: introspection_store.take(tx, limit=room))

    async def _one(self, question: Introspection) -> None:
        try:
            with telemetry.span("introspection", account=question.account_id) as note:
                note.set(outcome=await self._ask(question))
        except (SQLAlchemyError, HoldfastError, ValueError, OSError) as error:
            _log.warning("introspection_not_possible", account=question.account_id, error=type(error).__name__)

    async def _ask(self, question: Introspection) -> str:
        await self._vault.ready(question.environment_id)
        found = await self._database.transact(lambda tx: self._look(tx, question))
        if found is None:
            return "overtaken"
        account, effective, client = found
        provider = await self._prepared(account, effective, client)
        if account.access is None or provider.dialect.introspect_url is None:
            return "overtaken"
        access = await self._vault.open_fresh(account.access, account.access_place())
        lane, host = lane_of(effective, account), urlsplit(provider.dialect.introspect_url).netloc
        # Refreshes are not to rest because introspections fail, but these do where that client or host is left alone.
        came: float | Lost | Resting | None = self._gate.view().resting(Lane(lane.provider, host, lane.client))
        if came is None:
            came = await self._gate.past(
                Lane(lane.provider, f"{host}/introspection", lane.client),
                lambda: provider.introspect(access),
                troubled=lambda said: isinstance(said, Lost),
            )
        match came:
            case Lost(why):
                _log.info("introspection_unanswered", account=account.id, why=why)
                return "unanswered"
            case Resting():
                return "resting"
            case None:
                return "unsaid"
        written = await self._database.transact(lambda tx: self._write(tx, account, effective, came))
        return "told" if written else "overtaken"

    def _look(self, tx: Tx, question: Introspection) -> tuple[Account, Effective, Client | None] | None:
        """Return the account if the token asked about is still its own, and what the request needs."""
        account = account_store.get(tx, question.environment_id, question.account_id)
        if account is None or account.credential_version != question.credential_version:
            return None
        if account.status is not Status.ACTIVE or account.access is None:
            return None
        connection = connection_store.by_id(tx, account.environment_id, account.connection_id)
        if connection is None:
            return None
        effective = self._connections.effective(tx, connection, account.owner.organization_id)
        client = connection_store.client(tx, account.environment_id, account.client_ref) if account.client_ref else None
        return account, effective, client

    async def _prepared(self, account: Account, effective: Effective, client: Client | None) -> ProviderClient:
        values = {**account.config, **account.kept}
        if account.method == "client_credentials":
            secret = grant_of(account, self._vault)
            return self._factory.client_of_account(effective, account.oauth_client_id or "", secret, values)
        return await self._factory.client_for(effective, client, values)

    def _write(self, tx: Tx, asked: Account, effective: Effective, ends: float) -> bool:
        """Write the end down and plan by it, if the token is still the account's and nobody has learnt better."""
        current = account_store.get(tx, asked.environment_id, asked.id, lock=True)
        if current is None or current.status is not Status.ACTIVE:
            return False
        if (current.credential_version, current.expires_at) != (asked.credential_version, asked.expires_at):
            return False
        told = ending(current, ends, effective.provider.lifetime, self._clock.now())
        return account_store.settle_late(tx, told, credential_version=asked.credential_version)


def ending(account: Account, ends: float, lifetime: Lifetime, now: float) -> Account:
    """Return the account whose access token ends at `ends`, with the refresh planned as if its reply had said so."""
    began, renewable = account.refreshed_at or now, account.grant is not None
    grant_ends = account.grant_expires_at
    return account.but(
        expires_at=ends,
        consent_ends_at=consent_end(ends, grant_ends, began, lifetime, renewable=renewable),
        refresh_at=due_at(ends, began, lifetime, renewable=renewable, grant_expires_at=grant_ends),
        updated_at=now,
    )
