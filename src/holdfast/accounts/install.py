"""How an account comes to be, and how a new credential replaces an old one. Also labels, and the end of a membership.

Everything here decides and writes in one transaction, under lock on the owner's accounts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from msgspec import UNSET, UnsetType
from sqlalchemy.exc import IntegrityError

from holdfast import ids
from holdfast.access import store as access_store
from holdfast.access.membership import may_act
from holdfast.accounts import store
from holdfast.accounts.account import UNFINISHED, Account, Owner, Reason, Role, Status, snapshot
from holdfast.accounts.credential import Credential, NoCredential, OAuthCredential, lay_in, method_of
from holdfast.accounts.introspections import is_wanted
from holdfast.accounts.introspections import store as introspection_store
from holdfast.accounts.selection import select_account
from holdfast.accounts.store import idempotency
from holdfast.clock import Clock
from holdfast.connections import Connections, Effective
from holdfast.connections import store as connection_store
from holdfast.errors import Conflict, NotFound, Refused, Unprocessable
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.providers.identity import ProviderIdentity
from holdfast.storage import Connection as Tx
from holdfast.storage import Database
from holdfast.vault import Vault

Intent = Literal["add", "create", "reauthorize", "auto"]
"""add: another account. create: the first, refused if there is one. reauthorize: an existing one. auto: the
compatibility account, made if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connecting:
    """One account about to be connected or reconnected: everything that has been found out before."""

    effective: Effective
    owner: Owner
    credential: Credential | None
    """None = an account without credential, waiting for its owner's authorisation."""
    intent: Intent
    actor: Actor
    account_id: str | None = None
    label: str | None | UnsetType = UNSET
    identifier: str | None | UnsetType = UNSET
    identity: ProviderIdentity | None = None
    switch_identity: bool = False
    established_by: str | None = None
    client_ref: str | None = None
    config: Mapping[str, str] = field(default_factory=dict)
    api_config: Mapping[str, Any] = field(default_factory=dict)
    """Laid over what the account has, as `metadata` is."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    kept: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""
    idempotency: "IdempotentUse | None" = None
    status: Status | None = None
    """A status that the app states itself; None = as the credential tells. PENDING: it waits for its owner."""


@dataclass(frozen=True, slots=True)
class IdempotentUse:
    """A key under which a request may be repeated (24 hours), and a fingerprint of what was asked."""

    key: str
    fingerprint: str


class Accounts:
    def __init__(
        self, database: Database, vault: Vault, clock: Clock, connections: Connections, *, max_per_owner: int
    ) -> None:
        self.database, self.vault, self.clock, self.connections = database, vault, clock, connections
        self._max_per_owner = max_per_owner

    async def connect(self, plan: Connecting) -> Account:
        """Connect or reconnect an account. Raises NotFound, Conflict, Refused or Unprocessable, changing nothing."""
        await self.vault.ready(plan.effective.connection.environment_id)
        try:
            return await self.database.transact(lambda tx: self.connect_in(tx, plan))
        except IntegrityError:  # two first connections at once: the second sees the first now
            return await self.database.transact(lambda tx: self.connect_in(tx, plan))

    async def foresee(self, plan: Connecting) -> Account | None:
        """Return the account that this same request has made before, if it has.

        Raises now what `connect` would raise for the owner's accounts, so that a grant is not used up at the provider
        for a request that will be refused.
        """

        def work(tx: Tx) -> Account | None:
            repeated = self._repeated(tx, plan, plan.idempotency) if plan.idempotency is not None else None
            if repeated is None:
                self._target(tx, plan)
            return repeated

        return await self.database.transact(work)

    def connect_in(self, tx: Tx, plan: Connecting) -> Account:
        """As `connect`, within a transaction of the caller's; the environment's keys must be ready."""
        connection = plan.effective.connection
        if connection.method == "none" and plan.credential is None:
            plan = replace(plan, credential=NoCredential(), status=None)  # nothing to wait for
        # First of all: a repetition that comes while the first request is under way must find what that one makes.
        store.lock_owner(tx, connection.environment_id, connection.id, plan.owner)
        if plan.idempotency is not None:
            repeated = self._repeated(tx, plan, plan.idempotency)
            if repeated is not None:
                return repeated
        self._check_method(plan)
        if connection_store.by_id(tx, connection.environment_id, connection.id, lock="share") is None:
            raise NotFound("the data integration was deleted meanwhile", code="target_deleted")
        self.check_may_act(tx, connection.environment_id, plan.owner, plan.established_by, lock=True)
        before = self._target(tx, plan)
        now = self.clock.now()
        account = self._changed(before or self._blank(tx, plan, now), plan, now)
        if before is None:
            store.add(tx, account)
        else:
            store.save(tx, account)
        unsaid = isinstance(plan.credential, OAuthCredential) and plan.credential.end_unsaid
        if is_wanted(plan.effective.provider, end_unsaid=unsaid):
            introspection_store.add(tx, account, now)
        if plan.idempotency is not None:
            use = plan.idempotency
            idempotency.add(tx, account.environment_id, use.key, use.fingerprint, account.id, now)
        action = {Status.ACTIVE: Action.ACCOUNT_CONNECTED, Status.PENDING: Action.ACCOUNT_CREATED}.get(
            account.status, Action.ACCOUNT_REAUTHORIZATION_NEEDED
        )
        was = before.status if before else None
        self.log(tx, account, plan.effective.connection.name, action, plan.actor, plan.request_id, was=was)
        return account

    def check_may_act(
        self, tx: Tx, environment_id: str, owner: Owner, acting_user: str | None, *, lock: bool = False
    ) -> None:
        """Raise Refused unless the acting user is an active member of the organization concerned.

        Applies to organization-owned accounts and to user-owned ones within an organization, once the environment
        keeps memberships. `lock`: the membership cannot end before this transaction does.
        """
        user = acting_user if owner.kind == "organization" else owner.user_id
        if not owner.organization_id or user is None:
            return
        kept = access_store.memberships_are_kept(tx, environment_id)
        membership = (
            access_store.membership_of(tx, environment_id, owner.organization_id, user, lock=lock) if kept else None
        )
        if not may_act(kept, membership):
            raise Refused(f"user '{user}' is not an active member of organization '{owner.organization_id}'")

    def log(
        self,
        tx: Tx,
        account: Account,
        connection_name: str,
        action: Action,
        actor: Actor,
        request_id: str = "",
        *,
        was: Status | None,
    ) -> None:
        """Append an entry on an account. `was`: its status before, None where it was not there."""
        entry = account_entry(account, connection_name, action, actor, self.clock.now(), request_id)
        log.append(tx, replace(entry, data={**entry.data, "old_status": was.value if was else None}))

    def _check_method(self, plan: Connecting) -> None:
        method = plan.effective.connection.method
        if plan.credential is not None and method_of(plan.credential) != method:
            raise Unprocessable(
                f"accounts of '{plan.effective.connection.name}' connect by {method}",
                code="auth_method_mismatch",
            )

    def _repeated(self, tx: Tx, plan: Connecting, use: IdempotentUse) -> Account | None:
        environment_id = plan.effective.connection.environment_id
        earlier = idempotency.find(tx, environment_id, use.key, self.clock.now())
        if earlier is None:
            return None
        account = store.get(tx, environment_id, earlier.account_id)
        if earlier.fingerprint != use.fingerprint or account is None:
            raise Conflict(
                "this Idempotency-Key was used for another request: use a new one",
                code="idempotency_key_conflict",
            )
        return account

    def _target(self, tx: Tx, plan: Connecting) -> Account | None:
        """Return the account to replace the credential of; None = make one."""
        connection = plan.effective.connection
        mine = store.of_owner(tx, connection.environment_id, connection.id, plan.owner, lock=True)
        if plan.intent == "reauthorize":
            return select_account(mine, account_id=plan.account_id, plural=False)
        first = next((account for account in mine if account.role == "compatibility"), None)
        # One that has never been connected is nobody's to lose, and not shown: the next one to connect takes its place.
        if first is not None and (plan.intent == "auto" or first.status in UNFINISHED):
            return first
        if plan.intent == "create" and mine:
            raise Conflict(
                "this owner has a connected account here already: send connection_intent=add for another one"
            )
        if len(mine) >= self._max_per_owner:
            raise Conflict(
                f"this owner has {len(mine)} connected accounts here, the limit",
                code="connected_account_limit_reached",
            )
        return None

    def _blank(self, tx: Tx, plan: Connecting, now: float) -> Account:
        connection = plan.effective.connection
        mine = store.of_owner(tx, connection.environment_id, connection.id, plan.owner)
        role: Role = "standard" if any(other.role == "compatibility" for other in mine) else "compatibility"
        return Account(
            environment_id=connection.environment_id,
            id=ids.new_id(now),
            connection_id=connection.id,
            owner=plan.owner,
            role=role,
            method=connection.method,
            status=Status.PENDING,
            created_at=now,
            updated_at=now,
        )

    def _changed(self, account: Account, plan: Connecting, now: float) -> Account:
        check_identity(account, plan.identity, switch=plan.switch_identity)
        lifetime = plan.effective.provider.lifetime
        if plan.credential is None and plan.status is Status.PENDING:
            changed = account
        elif plan.credential is None:
            detail = "No credential was given. The account's owner has to connect it."
            changed = replace(
                account, status=Status.EXPIRED, reason=Reason.NO_CREDENTIAL, detail=detail, updated_at=now
            )
        else:
            changed = lay_in(account.authorised(now), plan.credential, self.vault, lifetime, now)
        if plan.status is Status.EXPIRED and changed.status is Status.ACTIVE:
            detail = "The app marked this account as needing a new authorisation."
            changed = changed.to(Status.EXPIRED, now, reason=Reason.SET_BY_APP, detail=detail)
        identity = plan.identity
        return replace(
            changed,
            label=account.label if isinstance(plan.label, UnsetType) else plan.label,
            identifier=(identity.label if identity and identity.label else account.identifier)
            if isinstance(plan.identifier, UnsetType)
            else plan.identifier,
            subject=identity.id if identity else account.subject,
            established_by=plan.established_by or account.established_by,
            client_ref=plan.client_ref or account.client_ref,
            config={**account.config, **plan.config},
            api_config={**account.api_config, **plan.api_config},
            metadata={**account.metadata, **plan.metadata},
            kept={**changed.kept, **plan.kept},
        )


def check_identity(account: Account, identity: ProviderIdentity | None, *, switch: bool) -> None:
    """Refuse to reconnect an account as somebody else at the provider, unless asked to switch."""
    if account.subject is None or identity is None or identity.id == account.subject or switch:
        return
    was, now = account.identifier or account.subject, identity.label or identity.id
    if was == now:  # an address given to somebody else, or an account made anew
        message = f"the provider says that you are another '{now}' than the one this connection belongs to"
    else:
        message = f"this connection belongs to '{was}', and the provider says you are '{now}': sign in there as '{was}'"
    raise Conflict(f"{message}, or add a second connection", code="account_mismatch")


def account_entry(
    account: Account,
    connection_name: str,
    action: Action,
    actor: Actor,
    now: float,
    request_id: str = "",
    *,
    was: Status | None = None,
) -> Entry:
    """Return an entry on an account. `was`: its status before, where this entry tells of a change of it."""
    data = snapshot(account, connection_name)
    return Entry(
        environment_id=account.environment_id,
        id=ids.new_id(now),
        at=now,
        action=action,
        actor=actor,
        account_id=account.id,
        connection_id=account.connection_id,
        user_id=account.owner.user_id,
        organization_id=account.owner.organization_id,
        request_id=request_id,
        data=data if was is None else {**data, "old_status": was.value},
    )
