"""What an app does with accounts apart from consent: make them, bring credentials, label, pause, and disconnect them.

Everything decides and writes in one transaction, under lock; each change is an entry with the status before it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from sqlalchemy.exc import IntegrityError

from holdfast.accounts import store
from holdfast.accounts.account import Account, Owner, Reason, Status, emptied
from holdfast.accounts.credential import Credential, lay_in, method_of
from holdfast.accounts.install import Accounts, Connecting
from holdfast.accounts.removal import remove_in
from holdfast.accounts.revocations import end_account
from holdfast.connections import Connection, Effective
from holdfast.connections import store as connection_store
from holdfast.errors import Conflict, Invalid, NotFound, Unprocessable
from holdfast.events import Action, Actor
from holdfast.storage import Connection as Tx

MOST_METADATA = 20
LONGEST_METADATA_KEY = 64
LONGEST_METADATA_VALUE = 500
"""Labels, not documents: a page of a hundred accounts stays small."""
LARGEST_API_CONFIG = 16_384
"""Bytes of JSON: some headers and addresses."""
LONGEST_OWNER = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What an app gives with an account. Nothing = as it is."""

    credential: Credential | None = None
    config: Mapping[str, str] = field(default_factory=dict)
    """Values of the provider entry's settings."""
    api_config: Mapping[str, Any] = field(default_factory=dict)
    """Laid over what there is, member by member; null takes one away."""
    metadata: Mapping[str, str | None] = field(default_factory=dict)
    """As `api_config`."""


class Keeping:
    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def find(self, environment_id: str, name: str, owner: Owner) -> tuple[Account, Effective]:
        """Return the one account of (connection, owner), in whatever state. Raises NotFound."""

        def work(tx: Tx) -> tuple[Account, Effective]:
            connection = self._accounts.connections.find(tx, environment_id, name, owner.kind)
            account = _of(tx, connection, owner)
            if account is None:
                raise _no_account()
            return account, self._accounts.connections.effective(tx, connection, owner.organization_id)

        return await self._accounts.database.transact(work)

    async def get(self, environment_id: str, account_id: str) -> tuple[Account, Effective]:
        """Return the account of that id and its connection. Raises NotFound."""

        def work(tx: Tx) -> tuple[Account, Effective]:
            account = store.get(tx, environment_id, account_id)
            connection = connection_store.by_id(tx, environment_id, account.connection_id) if account else None
            if account is None or connection is None:
                raise _no_account()
            return account, self._accounts.connections.effective(tx, connection, account.owner.organization_id)

        return await self._accounts.database.transact(work)

    async def create(
        self, environment_id: str, name: str, owner: Owner, given: Given, actor: Actor, request_id: str = ""
    ) -> Account:
        """Make the account of (connection, owner): active with a credential, pending without.

        Raises Conflict `connected_account_exists`, NotFound for the connection, Unprocessable, Invalid.
        """
        account, made = await self.get_or_create(environment_id, name, owner, given, actor, request_id)
        if not made:
            raise Conflict(f"this owner has a connected account at '{name}' already", code="connected_account_exists")
        return account

    async def get_or_create(
        self, environment_id: str, name: str, owner: Owner, given: Given, actor: Actor, request_id: str = ""
    ) -> tuple[Account, bool]:
        """Return the account of (connection, owner), made if there was none, and whether it was made.

        One that was there is left as it is, whatever is given. Of many callers at once one makes it.
        """
        _check(given)
        _check_owner(owner)
        await self._accounts.vault.ready(environment_id)

        def work(tx: Tx) -> tuple[Account, bool]:
            return self.get_or_create_in(tx, environment_id, name, owner, given, actor, request_id)

        try:
            return await self._accounts.database.transact(work)
        except IntegrityError:  # somebody was first: now it is there
            return await self._accounts.database.transact(work)

    def get_or_create_in(
        self,
        tx: Tx,
        environment_id: str,
        name: str,
        owner: Owner,
        given: Given,
        actor: Actor,
        request_id: str = "",
    ) -> tuple[Account, bool]:
        """As `get_or_create`, within a transaction of the caller's; the environment's keys must be ready."""
        accounts = self._accounts
        connection = accounts.connections.find(tx, environment_id, name, owner.kind)
        store.lock_owner(tx, environment_id, connection.id, owner)
        existing = _of(tx, connection, owner)
        if existing is not None:
            return existing, False
        effective = accounts.connections.effective(tx, connection, owner.organization_id)
        plan = Connecting(
            effective=effective,
            owner=owner,
            credential=given.credential,
            intent="create",
            actor=actor,
            client_ref=effective.client_ref,
            config=given.config,
            api_config=_merged({}, given.api_config),
            metadata=_merged({}, given.metadata),
            request_id=request_id,
            status=Status.PENDING if given.credential is None else None,
        )
        return accounts.connect_in(tx, plan), True

    async def update(
        self, environment_id: str, account_id: str, given: Given, actor: Actor, request_id: str = ""
    ) -> Account:
        """Change what is given. A credential makes the account active; scopes change by a new consent only, except
        that a brought credential comes with its own. Raises NotFound, Conflict (suspended), Unprocessable, Invalid."""
        _check(given)

        def change(tx: Tx, before: Account, connection: Connection, now: float) -> tuple[Account, Action]:
            after = replace(
                before,
                config={**before.config, **given.config},
                api_config=_merged(before.api_config, given.api_config),
                metadata=_merged(before.metadata, given.metadata),
                updated_at=now,
            )
            _check_size(after)
            if given.credential is None:
                return after, Action.ACCOUNT_UPDATED
            if method_of(given.credential) != connection.method:
                raise Unprocessable(
                    f"accounts of '{connection.name}' connect by {connection.method}", code="auth_method_mismatch"
                )
            effective = self._accounts.connections.effective(tx, connection, before.owner.organization_id)
            lifetime = effective.provider.lifetime
            after = lay_in(after.authorised(now), given.credential, self._accounts.vault, lifetime, now)
            after = replace(after, client_ref=effective.client_ref or before.client_ref)
            replaced = before.status is Status.ACTIVE
            return after, Action.CREDENTIAL_REPLACED if replaced else Action.ACCOUNT_CONNECTED

        return await self._change(environment_id, account_id, change, actor, request_id)

    async def suspend(
        self, environment_id: str, account_id: str, actor: Actor, why: str = "", request_id: str = ""
    ) -> Account:
        """Pause an active account: its credential stays and is not handed out. Raises NotFound, Conflict."""
        detail = why[:500] or None

        def change(tx: Tx, before: Account, connection: Connection, now: float) -> tuple[Account, Action]:
            return before.to(Status.SUSPENDED, now, reason=Reason.PAUSED, detail=detail), Action.ACCOUNT_SUSPENDED

        return await self._change(environment_id, account_id, change, actor, request_id, unless=Status.SUSPENDED)

    async def resume(self, environment_id: str, account_id: str, actor: Actor, request_id: str = "") -> Account:
        """Take a pause back. Raises NotFound, Conflict for an account that is not paused."""

        def change(tx: Tx, before: Account, connection: Connection, now: float) -> tuple[Account, Action]:
            if before.status is not Status.SUSPENDED:
                raise Conflict(f"an account that is {before.status} is not paused")
            return before.to(Status.ACTIVE, now), Action.ACCOUNT_RESUMED

        return await self._change(environment_id, account_id, change, actor, request_id, unless=Status.ACTIVE)

    async def revoke(
        self,
        environment_id: str,
        account_id: str,
        actor: Actor,
        *,
        reason: Reason = Reason.REVOKED_BY_ADMINISTRATOR,
        request_id: str = "",
    ) -> Account:
        """Disconnect: forget the credential, keep the record. Its owner can connect it again.

        Its tokens are ended at the provider too, as the connection says. Raises NotFound, and Conflict for an account
        that was never connected.
        """

        def change(tx: Tx, before: Account, connection: Connection, now: float) -> tuple[Account, Action]:
            own = self._accounts
            end_account(tx, own.vault, own.connections, before, connection, "disconnected", now, wire=True)
            return emptied(before.to(Status.REVOKED, now, reason=reason)), Action.ACCOUNT_REVOKED

        return await self._change(environment_id, account_id, change, actor, request_id, unless=Status.REVOKED)

    async def delete(self, environment_id: str, account_id: str, actor: Actor, request_id: str = "") -> Account:
        """Delete an account in whatever state, and its credential; return it as it was. Raises NotFound."""
        await self._accounts.vault.ready(environment_id)

        def work(tx: Tx) -> Account:
            account = store.get(tx, environment_id, account_id, lock=True)
            connection = connection_store.by_id(tx, environment_id, account.connection_id) if account else None
            if account is None or not remove_in(tx, self._accounts, account, connection, actor, request_id):
                raise _no_account()
            return account

        return await self._accounts.database.transact(work)

    async def _change(
        self,
        environment_id: str,
        account_id: str,
        change: Callable[[Tx, Account, Connection, float], tuple[Account, Action]],
        actor: Actor,
        request_id: str,
        *,
        unless: Status | None = None,
    ) -> Account:
        """Change one account under lock and write the entry. One that is `unless` already stays as it is."""
        accounts = self._accounts
        await accounts.vault.ready(environment_id)

        def work(tx: Tx) -> Account:
            before = store.get(tx, environment_id, account_id, lock=True)
            connection = connection_store.by_id(tx, environment_id, before.connection_id) if before else None
            if before is None or connection is None:
                raise _no_account()
            if before.status is unless:
                return before
            after, action = change(tx, before, connection, accounts.clock.now())
            store.save(tx, after)
            accounts.log(tx, after, connection.name, action, actor, request_id, was=before.status)
            return replace(after, version=before.version + 1)

        return await accounts.database.transact(work)


def _of(tx: Tx, connection: Connection, owner: Owner) -> Account | None:
    mine = store.of_owner(tx, connection.environment_id, connection.id, owner)
    return next((account for account in mine if account.role == "compatibility"), None)


def _no_account() -> NotFound:
    return NotFound("there is no such connected account", code="connected_account_not_found")


def _check_owner(owner: Owner) -> None:
    if not (owner.user_id or owner.organization_id):
        raise Invalid("an account needs an owner")
    if max(len(owner.user_id), len(owner.organization_id)) > LONGEST_OWNER:
        raise Invalid(f"an owner's id has {LONGEST_OWNER} characters at most")


def _merged(before: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**before, **given}.items() if value is not None}


def _check(given: Given) -> None:
    for name, value in given.metadata.items():
        if not 1 <= len(name) <= LONGEST_METADATA_KEY:
            raise Invalid(f"a metadata key has 1 to {LONGEST_METADATA_KEY} characters")
        if value is not None and len(value) > LONGEST_METADATA_VALUE:
            raise Invalid(f"the metadata value of {name!r} is longer than {LONGEST_METADATA_VALUE} characters")
    _check_counts(given.metadata, given.api_config)


def _check_size(account: Account) -> None:
    _check_counts(account.metadata, account.api_config)


def _check_counts(metadata: Mapping[str, Any], api_config: Mapping[str, Any]) -> None:
    if len(metadata) > MOST_METADATA:
        raise Invalid(f"an account has {MOST_METADATA} metadata keys at most")
    if len(msgspec.json.encode(api_config)) > LARGEST_API_CONFIG:
        raise Invalid(f"api_config is larger than {LARGEST_API_CONFIG} bytes of JSON")
