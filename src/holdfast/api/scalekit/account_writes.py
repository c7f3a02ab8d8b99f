"""ConnectedAccountService: accounts made, changed, disconnected and deleted by their app."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from holdfast.accounts import (
    Account,
    Credential,
    Given,
    NoCredential,
    OAuthCredential,
    Owner,
    Status,
    brought,
    details_of,
)
from holdfast.accounts import store as account_store
from holdfast.api.scalekit.descriptors import Message
from holdfast.api.scalekit.faults import Exists, FailedPrecondition
from holdfast.api.scalekit.finding import Found, by_id, find, place_of
from holdfast.api.scalekit.inputs import api_config_in, check_settings, credential_in, settings_in
from holdfast.api.scalekit.parts import Parts
from holdfast.api.scalekit.portal import no_portal
from holdfast.api.scalekit.rendering import connected_account
from holdfast.api.scalekit.rpc import Call, Group, Handler
from holdfast.connections import Effective
from holdfast.errors import Conflict
from holdfast.storage import Connection as Tx


@dataclass(frozen=True)
class AccountWrites(Group):
    parts: Parts

    def rpcs(self) -> Mapping[str, Handler]:
        return {
            "ConnectedAccountService.CreateConnectedAccount": self.create,
            "ConnectedAccountService.UpdateConnectedAccount": self.update,
            "ConnectedAccountService.DeleteConnectedAccount": self.delete,
            "ConnectedAccountService.DisconnectConnectedAccount": self.disconnect,
        }

    async def create(self, call: Call) -> Message:
        """Make the account of an identifier; with credentials it is active at once, else it waits for its owner."""

        def look(tx: Tx) -> tuple[Owner, Effective]:
            owner, effective = place_of(tx, self.parts.connections, call)
            if not effective.enabled:
                raise FailedPrecondition(f"the connection '{effective.connection.name}' is not enabled")
            if account_store.of_owner(tx, call.environment_id, effective.connection.id, owner):
                raise _exists()
            return owner, effective

        owner, effective = await self.parts.database.transact(look)
        asked = call.request.connected_account
        given = await given_in(self.parts, effective, asked.authorization_details, asked.api_config)
        account, is_made = await self.parts.keeping.get_or_create(
            call.environment_id, effective.connection.name, owner, given, call.actor(), call.request_id
        )
        if not is_made:
            raise _exists()
        return call.reply(connected_account=await echoed(self.parts, Found(account, effective), given.credential))

    async def update(self, call: Call) -> Message:
        """Change what is sent. api_config is merged; a credential takes the place of the one there is, and makes the
        account active. Scopes are no part of it: they are the connection's, and granted by consent."""
        chosen = call.request.scope_selection
        if chosen.scopes or chosen.optional_scopes:
            raise FailedPrecondition(
                "an account's scopes are what its owner granted: change the connection's, then send a new link"
            )
        found = await self._find(call)
        account, asked = found.account, call.request.connected_account
        details = asked.authorization_details
        try:
            given = await given_in(self.parts, found.effective, details, asked.api_config, before=account)
            if given == Given():
                return call.reply(connected_account=connected_account(found))
            changed = await self.parts.keeping.update(
                call.environment_id, account.id, given, call.actor(), call.request_id
            )
        except Conflict as error:
            raise in_no_state(error) from None
        return call.reply(connected_account=await echoed(self.parts, Found(changed, found.effective), given.credential))

    async def delete(self, call: Call) -> Message:
        found = await self._find(call)
        await self.parts.keeping.delete(call.environment_id, found.account.id, call.actor(), call.request_id)
        return call.reply()

    async def disconnect(self, call: Call) -> Message:
        """Forget the credential and keep the record, whose owner can connect it again."""
        given = call.given("id")
        if given is None or given in ("-", "this"):
            raise no_portal("name the account by its id")

        def look(tx: Tx) -> Found:
            return by_id(tx, self.parts.connections, call.environment_id, given)

        found = await self.parts.database.transact(look)
        try:
            account = await self.parts.keeping.revoke(
                call.environment_id, found.account.id, call.actor(), request_id=call.request_id
            )
        except Conflict as error:
            raise in_no_state(error) from None
        return call.reply(connected_account=connected_account(Found(account, found.effective)))

    async def _find(self, call: Call) -> Found:
        return await self.parts.database.transact(lambda tx: find(tx, self.parts.connections, call))


async def given_in(
    parts: Parts, effective: Effective, details: Message, api_config: Message, before: Account | None = None
) -> Given:
    """Return what an app gives with an account. Tokens are judged as they are; a refresh token alone is used at once.

    Raises Unprocessable for what the provider or the connection does not take, Conflict for a paused account.
    """
    settings, now = settings_in(api_config, effective), parts.clock.now()
    known = {**(before.config if before is not None else {}), **settings}
    sent = credential_in(details, effective, known)
    credential = sent.credential
    if effective.connection.method == "none" and credential is None:
        # Made active by what it is; only one that was disconnected has to be connected again.
        again = before is not None and before.status is Status.REVOKED
        credential = NoCredential() if before is None or again else None
    check_settings({**settings, **sent.config}, effective, known=known, complete=credential is not None)
    if isinstance(credential, OAuthCredential) and effective.connection.method == "oauth":
        if before is not None:
            before.authorised(now)  # raises before a refresh token is used up for nothing
            credential = replace(credential, scopes=credential.scopes or before.scopes)
        if credential.access is None:
            credential = await parts.imports.usable(effective, credential)
        else:
            scopes = credential.scopes or effective.scopes
            credential = brought(credential.access, credential.refresh, scopes, effective.provider, now)
    return Given(
        credential=credential,
        config={**settings, **sent.config},
        api_config=api_config_in(api_config, effective),
    )


async def echoed(parts: Parts, found: Found, credential: Credential | None) -> Message:
    """Render an account with the credential that its app has just given, and with no other."""
    if credential is None:
        return connected_account(found)
    if isinstance(credential, OAuthCredential):
        return connected_account(found, credential.access)
    typed = await details_of(found.account, parts.vault, found.effective.provider)
    return connected_account(found, typed=typed or None, principal=True)


def in_no_state(error: Conflict) -> FailedPrecondition:
    """Nothing competes here, and nothing is gained by trying again: the account has to change first."""
    return FailedPrecondition(error.message, code=error.code)


def _exists() -> Exists:
    return Exists("there is a connected account of this identifier at this connector already")
