"""The end of accounts: deleted one by one, with their connection, or emptied when their establisher leaves."""

from dataclasses import replace

from holdfast import ids
from holdfast.access import store as access_store
from holdfast.access.membership import Membership
from holdfast.accounts import store
from holdfast.accounts.account import UNFINISHED, Account, Owner, Reason, Status, snapshot
from holdfast.accounts.install import Accounts, account_entry
from holdfast.accounts.revocations import end_account
from holdfast.accounts.selection import select_account
from holdfast.connections import Connection
from holdfast.connections import store as connection_store
from holdfast.connections.connection import OwnerKind
from holdfast.connections.definitions import provider_entry
from holdfast.connections.entries import connection_entry
from holdfast.errors import NotFound
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.providers import store as provider_store
from holdfast.storage import Connection as Tx


class Removal:
    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def disconnect(
        self,
        environment_id: str,
        name: str,
        owner: Owner,
        *,
        account_id: str | None,
        plural: bool,
        actor: Actor,
        request_id: str,
        revokes: bool = True,
    ) -> Account:
        """Delete one account and its credential. The entry keeps its last state; the row is gone. One that was never
        connected is not found: `Keeping.delete` takes any. `revokes`: as in `remove_in`."""
        await self._accounts.vault.ready(environment_id)

        def work(tx: Tx) -> Account:
            connection = self._accounts.connections.find(tx, environment_id, name, owner.kind)
            all_of_them = store.of_owner(tx, environment_id, connection.id, owner, lock=True)
            mine = [account for account in all_of_them if account.status not in UNFINISHED]
            account = select_account(mine, account_id=account_id, plural=plural)
            self._remove(tx, account, connection, actor, request_id, revokes)
            return account

        return await self._accounts.database.transact(work)

    async def delete_connection(
        self,
        environment_id: str,
        name: str,
        owner_kind: OwnerKind,
        actor: Actor,
        *,
        with_definition: bool = True,
        revokes: bool = True,
    ) -> None:
        """Delete a connection and its accounts. `with_definition`: and its custom provider, if that was defined along
        with a connection and nothing else uses it; one that was defined by itself stays in any case. `revokes`: as in
        `remove_in`."""
        await self._accounts.vault.ready(environment_id)

        def work(tx: Tx) -> None:
            now = self._accounts.clock.now()
            found = self._accounts.connections.find(tx, environment_id, name, owner_kind)
            # Whoever is connecting an account here now is waited for, and whoever comes later finds nothing.
            connection = connection_store.by_id(tx, environment_id, found.id, lock="update")
            if connection is None:
                raise NotFound(f"there is no {owner_kind}-owned data integration '{name}'")
            for account in store.of_connection(tx, environment_id, connection.id):
                self._remove(tx, account, connection, actor, "", revokes)
            log.append(tx, connection_entry(connection, Action.CONNECTION_DELETED, actor, now))
            # Locked, so that nobody makes another connection of it meanwhile.
            own = provider_store.custom(tx, environment_id, connection.provider_slug, lock=True)
            others = [
                other
                for other in connection_store.all_of(tx, environment_id)
                if other.provider_slug == connection.provider_slug and other.id != connection.id
            ]
            if not any(other.name == name for other in others):
                connection_store.remove_overrides(tx, environment_id, name)
            connection_store.remove(tx, environment_id, connection.id)
            if with_definition and own is not None and own.notes is None and not others:
                provider_store.remove(tx, environment_id, own.provider.slug)
                log.append(tx, provider_entry(environment_id, own.provider, Action.PROVIDER_DELETED, actor, now))

        await self._accounts.database.transact(work)

    async def end_membership(
        self, environment_id: str, membership_id: str, *, delete: bool, actor: Actor
    ) -> Membership:
        """Deactivate or delete a membership. Organization accounts which that member established lose their credential.

        Their tokens are ended at the provider where the connection says `always`. Raises NotFound for an unknown
        membership.
        """
        await self._accounts.vault.ready(environment_id)

        def work(tx: Tx) -> Membership:
            now = self._accounts.clock.now()
            before = access_store.membership(tx, environment_id, membership_id)
            if before is None:
                raise NotFound("there is no such organization membership")
            after = before.ended(now) if delete else before.with_status("inactive", now)
            access_store.save_membership(tx, after)
            log.append(tx, membership_entry(after, actor, now))
            for account in store.established_by(tx, environment_id, before.organization_id, before.user_id):
                self._empty(tx, account, actor, now)
            return after

        return await self._accounts.database.transact(work)

    def _remove(
        self, tx: Tx, account: Account, connection: Connection, actor: Actor, request_id: str, revokes: bool
    ) -> None:
        remove_in(tx, self._accounts, account, connection, actor, request_id, revokes=revokes)

    def _empty(self, tx: Tx, account: Account, actor: Actor, now: float) -> None:
        detail = (
            "The member who connected this account has left the organization. An administrator has to connect it anew."
        )
        emptied = replace(
            account.to(Status.EXPIRED, now, reason=Reason.MEMBERSHIP_ENDED, detail=detail)
            if account.status is Status.ACTIVE
            else replace(account, reason=Reason.MEMBERSHIP_ENDED, detail=detail, updated_at=now),
            access=None,
            grant=None,
            details=None,
            last4="",
            expires_at=None,
            grant_expires_at=None,
            refresh_at=None,
            established_by=None,
            credential_version=account.credential_version + 1,
        )
        store.save(tx, emptied)
        connection = connection_store.by_id(tx, account.environment_id, account.connection_id)
        name = connection.name if connection else ""
        log.append(tx, account_entry(emptied, name, Action.ACCOUNT_REAUTHORIZATION_NEEDED, actor, now))
        own = self._accounts
        end_account(tx, own.vault, own.connections, account, connection, "disconnected", now, wire=False)


def remove_in(
    tx: Tx,
    accounts: Accounts,
    account: Account,
    connection: Connection | None,
    actor: Actor,
    request_id: str = "",
    *,
    why: str | None = None,
    revokes: bool = True,
) -> bool:
    """Delete an account and write its last entry; False if it was gone. `why`: the clean-up rule that took it.

    `revokes`: whether it is usual at this door that the provider is told; the connection may say otherwise. Told of are
    the tokens that the row held in the end, which a refresh may have changed since it was read. The environment's keys
    must be ready.
    """
    last = store.remove(tx, account.environment_id, account.id)
    if last is None:
        return False
    now, name = accounts.clock.now(), connection.name if connection else ""
    action = Action.ACCOUNT_DELETED if account.status in UNFINISHED else Action.ACCOUNT_DISCONNECTED
    data = {**snapshot(account, name), "status": "disconnected", "old_status": account.status.value}
    entry = account_entry(account, name, action, actor, now, request_id)
    log.append(tx, replace(entry, data={**data, "cleaned_up": why} if why else data))
    end_account(tx, accounts.vault, accounts.connections, last, connection, "deleted", now, wire=revokes)
    return True


def membership_entry(membership: Membership, actor: Actor, now: float) -> Entry:
    return Entry(
        environment_id=membership.environment_id,
        id=ids.new_id(now),
        at=now,
        action=Action.MEMBERSHIP_CHANGED,
        actor=actor,
        user_id=membership.user_id,
        organization_id=membership.organization_id,
        data={
            "membership_id": membership.id,
            "status": "deleted" if membership.deleted else membership.status,
            "role": membership.role,
        },
    )
