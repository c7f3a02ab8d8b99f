"""Tokens that an app brings along: creating an account from them, and replacing some of an account's own.

What the tokens say of the account's state: none, it needs authorisation; an access token alone, it is active and does
not expire; with an expiry a refresh token must come along; a refresh token alone is used at once, and refused if the
provider refuses it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from msgspec import UNSET, UnsetType

from holdfast.accounts import store
from holdfast.accounts.account import Account, Owner, Reason, Status
from holdfast.accounts.credential import OAuthCredential, from_grant, lay_in
from holdfast.accounts.install import Accounts, Connecting, IdempotentUse, Intent
from holdfast.accounts.selection import select_account
from holdfast.connections import ClientFactory, Effective
from holdfast.connections import store as connection_store
from holdfast.errors import Unavailable, Unprocessable
from holdfast.events import Action, Actor
from holdfast.oauth2.replies import TokenGrant, TokenRefusal
from holdfast.secret import Secret
from holdfast.storage import Connection as Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What the app sent. UNSET = not mentioned."""

    access: Secret | UnsetType = UNSET
    refresh: Secret | UnsetType = UNSET
    expires_at: float | None | UnsetType = UNSET
    scopes: Sequence[str] | None | UnsetType = UNSET
    status: Status | None = None
    label: str | None | UnsetType = UNSET
    identifier: str | None | UnsetType = UNSET

    def mentions_tokens(self) -> bool:
        return not (
            isinstance(self.access, UnsetType)
            and isinstance(self.refresh, UnsetType)
            and isinstance(self.expires_at, UnsetType)
        )


class Imports:
    def __init__(self, accounts: Accounts, factory: ClientFactory) -> None:
        self._accounts, self._factory = accounts, factory

    async def create(
        self,
        environment_id: str,
        name: str,
        owner: Owner,
        tokens: Tokens,
        *,
        intent: Intent,
        acting_user: str | None,
        actor: Actor,
        idempotency: IdempotentUse | None,
        request_id: str,
    ) -> Account:
        """Make an account from tokens. Raises Conflict if the owner has one and does not say `add`."""
        effective = await self._effective(environment_id, name, owner, acting_user)
        plan = Connecting(
            effective=effective,
            owner=owner,
            credential=None,
            intent=intent,
            actor=actor,
            label=tokens.label,
            identifier=tokens.identifier,
            established_by=acting_user,
            client_ref=effective.client_ref,
            request_id=request_id,
            idempotency=idempotency,
            status=tokens.status,
        )
        if tokens.mentions_tokens():
            repeated = await self._accounts.foresee(plan)
            if repeated is not None:
                return repeated
            credential = await self.usable(effective, _from_tokens(tokens, None, effective))
            plan = replace(plan, credential=credential)
        return await self._accounts.connect(plan)

    async def update(
        self,
        environment_id: str,
        name: str,
        owner: Owner,
        tokens: Tokens,
        *,
        account_id: str | None,
        acting_user: str | None,
        actor: Actor,
        request_id: str,
    ) -> Account:
        """Replace some of an account's tokens, scopes, labels or its status; what is not mentioned stays."""
        effective = await self._effective(environment_id, name, owner, acting_user)
        exchanged: OAuthCredential | None = None
        if isinstance(tokens.refresh, Secret) and isinstance(tokens.access, UnsetType):
            await self._accounts.database.transact(lambda tx: self._check_target(tx, effective, owner, account_id))
            exchanged = await self.usable(effective, _from_tokens(replace(tokens, expires_at=UNSET), None, effective))
        return await self._accounts.database.transact(
            lambda tx: self._update_in(
                tx, effective, owner, tokens, exchanged, account_id, acting_user, actor, request_id
            )
        )

    def _check_target(self, tx: Tx, effective: Effective, owner: Owner, account_id: str | None) -> None:
        """Refuse before a refresh token is used up at the provider what would be refused afterwards."""
        connection = effective.connection
        mine = store.of_owner(tx, connection.environment_id, connection.id, owner)
        select_account(mine, account_id=account_id, plural=False).authorised(self._accounts.clock.now())

    async def _effective(self, environment_id: str, name: str, owner: Owner, acting_user: str | None) -> Effective:
        accounts = self._accounts
        await accounts.vault.ready(environment_id)

        def work(tx: Tx) -> Effective:
            connection = accounts.connections.find(tx, environment_id, name, owner.kind)
            if connection.method != "oauth":
                raise Unprocessable(
                    f"tokens can be imported for OAuth integrations; '{name}' connects by {connection.method}",
                    code="auth_method_mismatch",
                )
            accounts.check_may_act(tx, environment_id, owner, acting_user)
            return accounts.connections.effective(tx, connection, owner.organization_id)

        return await accounts.database.transact(work)

    async def usable(self, effective: Effective, credential: OAuthCredential) -> OAuthCredential:
        """Return the credential, exchanged first where it is a refresh token alone.

        Raises Unprocessable for one that the provider refuses, Unavailable.
        """
        if credential.access is not None or credential.refresh is None:
            return credential
        if effective.client_ref is None:
            raise Unprocessable(
                "a refresh token can be imported once the integration has client credentials",
                code="client_credentials_not_configured",
            )
        ref, environment_id = effective.client_ref, effective.connection.environment_id
        client = await self._accounts.database.transact(lambda tx: connection_store.client(tx, environment_id, ref))
        provider = await self._factory.client_for(effective, client)
        outcome = await provider.refresh(credential.refresh, None, credential.scopes)
        match outcome:
            case TokenGrant() | TokenRefusal(salvaged=TokenGrant()):
                grant = outcome if isinstance(outcome, TokenGrant) else outcome.salvaged
                assert grant is not None  # noqa: S101  (matched above)
                requested = credential.scopes or effective.scopes
                return from_grant(
                    grant,
                    effective.provider,
                    requested,
                    self._accounts.clock.now(),
                    former=credential.refresh,
                )
            case TokenRefusal(kind="dead_grant" | "refused" | "misconfigured"):
                raise Unprocessable(
                    f"the provider refused the refresh token: {outcome.description or outcome.error}",
                    code="invalid_refresh_token",
                )
            case _:
                raise Unavailable("the provider could not be asked about the refresh token just now: try again")

    def _update_in(
        self,
        tx: Tx,
        effective: Effective,
        owner: Owner,
        tokens: Tokens,
        exchanged: OAuthCredential | None,
        account_id: str | None,
        acting_user: str | None,
        actor: Actor,
        request_id: str,
    ) -> Account:
        accounts, connection = self._accounts, effective.connection
        mine = store.of_owner(tx, connection.environment_id, connection.id, owner, lock=True)
        before = select_account(mine, account_id=account_id, plural=False)
        now = accounts.clock.now()
        changed = replace(before, updated_at=now)
        if tokens.mentions_tokens():
            credential = exchanged or _from_tokens(tokens, self._current(before), effective)
            changed = lay_in(before.authorised(now), credential, accounts.vault, effective.provider.lifetime, now)
            if exchanged is not None or isinstance(tokens.refresh, Secret):
                changed = replace(changed, client_ref=effective.client_ref or before.client_ref)
            else:  # the refresh token stays, with the client it was granted to and whatever is open about it
                changed = replace(changed, intent_at=before.intent_at, intent_print=before.intent_print)
            if credential.access is None and credential.refresh is None:
                changed = changed.to(Status.EXPIRED, now, reason=Reason.NO_CREDENTIAL)
        elif not isinstance(tokens.scopes, UnsetType):
            changed = replace(changed, scopes=tuple(tokens.scopes or ()))
        changed = _stated(changed, tokens.status, now)
        if not isinstance(tokens.label, UnsetType):
            changed = replace(changed, label=tokens.label)
        if not isinstance(tokens.identifier, UnsetType):
            changed = replace(changed, identifier=tokens.identifier)
        if acting_user is not None and tokens.mentions_tokens():
            changed = replace(changed, established_by=acting_user)
        store.save(tx, changed)
        action = _what_happened(before, changed)
        accounts.log(tx, changed, connection.name, action, actor, request_id, was=before.status)
        return changed

    def _current(self, account: Account) -> OAuthCredential:
        vault = self._accounts.vault
        return OAuthCredential(
            access=vault.open(account.access, account.access_place()) if account.access else None,
            refresh=vault.open(account.grant, account.grant_place()) if account.grant else None,
            expires_at=account.expires_at,
            grant_expires_at=account.grant_expires_at,
            scopes=account.scopes,
        )


def _from_tokens(tokens: Tokens, current: OAuthCredential | None, effective: Effective) -> OAuthCredential:
    """Merge what was sent over what there is. A new access token without expiry does not expire."""
    current = current or OAuthCredential(None, None, scopes=effective.scopes)
    new_access = isinstance(tokens.access, Secret)
    if isinstance(tokens.expires_at, float) and not new_access and current.access is None:
        raise Unprocessable("expires_at needs an access_token", code="invalid_token_combination")
    merged = replace(
        current,
        access=tokens.access if isinstance(tokens.access, Secret) else current.access,
        refresh=tokens.refresh if isinstance(tokens.refresh, Secret) else current.refresh,
        grant_expires_at=None if isinstance(tokens.refresh, Secret) else current.grant_expires_at,
    )
    if not isinstance(tokens.expires_at, UnsetType):
        merged = replace(merged, expires_at=tokens.expires_at)
    elif new_access:
        merged = replace(merged, expires_at=None)
    if not isinstance(tokens.scopes, UnsetType):
        merged = replace(merged, scopes=tuple(tokens.scopes or ()))
    if merged.access is not None and merged.expires_at is not None and merged.refresh is None:
        raise Unprocessable(
            "an access_token that expires needs a refresh_token; leave expires_at out if it does not expire",
            code="invalid_token_combination",
        )
    return merged


def _stated(account: Account, status: Status | None, now: float) -> Account:
    if status is Status.EXPIRED and account.status is Status.ACTIVE:
        detail = "The app marked this account as needing a new authorisation."
        return account.to(Status.EXPIRED, now, reason=Reason.SET_BY_APP, detail=detail)
    if status is Status.ACTIVE and account.status in (Status.EXPIRED, Status.ERROR):
        if account.access is None and account.grant is None:
            raise Unprocessable("an account without tokens cannot be connected", code="invalid_data_integration_state")
        return account.to(Status.ACTIVE, now)
    return account


def _what_happened(before: Account, after: Account) -> Action:
    if before.status is not Status.ACTIVE and after.status is Status.ACTIVE:
        return Action.ACCOUNT_CONNECTED
    if before.status is Status.ACTIVE and after.status is not Status.ACTIVE:
        return Action.ACCOUNT_REAUTHORIZATION_NEEDED
    replaced = before.credential_version != after.credential_version
    return Action.CREDENTIAL_REPLACED if replaced else Action.ACCOUNT_UPDATED
