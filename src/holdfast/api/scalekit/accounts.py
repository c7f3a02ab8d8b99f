"""ConnectedAccountService: accounts read, with their credentials or without, and made."""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import UNSET

from holdfast.accounts import Account, Connecting, OAuthCredential, Owner, Status
from holdfast.accounts import store as account_store
from holdfast.accounts.imports import Tokens
from holdfast.api.scalekit.descriptors import Message
from holdfast.api.scalekit.faults import Exists, FailedPrecondition
from holdfast.api.scalekit.finding import Found, connection_of, find, owner_of
from holdfast.api.scalekit.inputs import config_in, credential_in, vended_part
from holdfast.api.scalekit.parts import Parts
from holdfast.api.scalekit.rendering import connected_account, live_account
from holdfast.api.scalekit.rpc import Call, Group, Handler, Swift
from holdfast.connections import Effective
from holdfast.storage import Connection as Tx
from holdfast.tokens import Ask, Inactive, PlainAsk

_VENDED = (Status.ACTIVE, Status.EXPIRED, Status.ERROR)
"""In other states there is nothing to vend, and nothing that a read could find out."""


@dataclass(frozen=True)
class AccountReads(Group):
    parts: Parts

    def rpcs(self) -> Mapping[str, Handler]:
        return {
            "ConnectedAccountService.GetConnectedAccountAuth": self.with_credentials,
            "ConnectedAccountService.GetConnectedAccountDetails": self.without_credentials,
        }

    def swift(self) -> Mapping[str, Swift]:
        return {"ConnectedAccountService.GetConnectedAccountAuth": self.plain}

    async def plain(self, call: Call) -> Message | None:
        """Answer as `with_credentials` does for a user's own account that is alive and not due; None for the rest."""
        asked = call.request
        if asked.id or asked.user_id or asked.organization_id or not asked.connector or not asked.identifier:
            return None
        key = call.principal
        live = await self.parts.plain.read(
            PlainAsk(key.environment_id, key.key_id, asked.connector, asked.identifier, None, call.request_id)
        )
        if live is None:
            return None
        if live.provider.config:  # an account shows its values, and a plain read does not know them
            return call.reply(connected_account=connected_account(await self._find(call), live.secret))
        return call.reply(connected_account=live_account(asked.connector, asked.identifier, live))

    async def with_credentials(self, call: Call) -> Message:
        """Hand out a live credential, refreshed first if it is due. An account that has none is shown without."""
        found = await self._find(call)
        if found.account.status not in _VENDED:
            return call.reply(connected_account=connected_account(found))
        account = found.account
        vended = await self.parts.reader.read(
            Ask(
                environment_id=call.environment_id,
                name=found.connector,
                owner=account.owner,
                actor=call.actor(),
                account_id=account.id,
                methods=("oauth", "api_key", "client_credentials"),
                request_id=call.request_id,
            )
        )
        if isinstance(vended, Inactive):
            return call.reply(connected_account=connected_account(await self._find(call)))
        return call.reply(connected_account=connected_account(Found(vended.account, found.effective), vended.secret))

    async def without_credentials(self, call: Call) -> Message:
        return call.reply(connected_account=connected_account(await self._find(call)))

    async def _find(self, call: Call) -> Found:
        return await self.parts.database.transact(lambda tx: find(tx, self.parts.connections, call))


@dataclass(frozen=True)
class AccountWrites(Group):
    parts: Parts

    def rpcs(self) -> Mapping[str, Handler]:
        return {"ConnectedAccountService.CreateConnectedAccount": self.create}

    async def create(self, call: Call) -> Message:
        """Make the account of an identifier; with credentials it is active at once, else it waits for its owner."""
        owner, asked = owner_of(call), call.request.connected_account
        credential = credential_in(asked.authorization_details)

        def look(tx: Tx) -> Effective:
            effective = connection_of(tx, self.parts.connections, call, owner)
            if not effective.enabled:
                raise FailedPrecondition(f"the connection '{effective.connection.name}' is not enabled")
            if account_store.of_owner(tx, call.environment_id, effective.connection.id, owner):
                raise Exists("there is a connected account of this identifier at this connector already")
            return effective

        effective = await self.parts.database.transact(look)
        if isinstance(credential, OAuthCredential) and effective.connection.method == "oauth":
            account = await self._bring(call, owner, effective, credential)
        else:
            account = await self.parts.accounts.connect(
                Connecting(
                    effective=effective,
                    owner=owner,
                    credential=credential,
                    intent="create",
                    actor=call.actor(),
                    client_ref=effective.client_ref,
                    config=config_in(asked.api_config, effective),
                    status=Status.PENDING if credential is None else None,
                    request_id=call.request_id,
                )
            )
        shown = None if credential is None else vended_part(credential)
        return call.reply(connected_account=connected_account(Found(account, effective), shown))

    async def _bring(self, call: Call, owner: Owner, effective: Effective, given: OAuthCredential) -> Account:
        """Make an account from tokens that the app got elsewhere; a refresh token alone is used at once."""
        return await self.parts.imports.create(
            call.environment_id,
            effective.connection.name,
            owner,
            Tokens(
                access=UNSET if given.access is None else given.access,
                refresh=UNSET if given.refresh is None else given.refresh,
                scopes=given.scopes or UNSET,
            ),
            intent="create",
            acting_user=None,
            actor=call.actor(),
            idempotency=None,
            request_id=call.request_id,
        )
