"""ConnectedAccountService: one account read, with its credential or without."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from holdfast.accounts import Account, Status, details_of
from holdfast.accounts import store as account_store
from holdfast.api.scalekit.descriptors import Message
from holdfast.api.scalekit.finding import Found, by_id, find
from holdfast.api.scalekit.parts import Parts
from holdfast.api.scalekit.portal import no_portal
from holdfast.api.scalekit.rendering import connected_account, live_account
from holdfast.api.scalekit.rpc import Call, Group, Handler, Swift
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
            "ConnectedAccountService.GetConnectedAccount": self.by_id,
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
        now = self.parts.clock.now()
        used = now - now % 60
        if live.provider.config or not live.bare:  # an account shows these, and a plain read does not know them
            return call.reply(connected_account=connected_account(await self._find(call), live.secret, last_used=used))
        return call.reply(connected_account=live_account(asked.connector, asked.identifier, live, used))

    async def with_credentials(self, call: Call) -> Message:
        """Hand out a live credential, refreshed first if it is due. An account that has none is shown without."""
        found = await self._find(call)
        account = found.account
        if account.status is Status.ACTIVE and account.method in ("delegated", "trusted_idp", "none"):
            return call.reply(connected_account=connected_account(found, principal=True))
        if account.status not in _VENDED:
            return call.reply(connected_account=connected_account(found))
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
        read, now = Found(vended.account, vended.effective), self.parts.clock.now()
        if vended.account.method == "api_key":
            typed = await details_of(vended.account, self.parts.vault, vended.effective.provider)
            return call.reply(connected_account=connected_account(read, typed=typed, last_used=now - now % 60))
        return call.reply(connected_account=connected_account(read, vended.secret, last_used=now - now % 60))

    async def without_credentials(self, call: Call) -> Message:
        return await self._shown(call, lambda tx: find(tx, self.parts.connections, call))

    async def by_id(self, call: Call) -> Message:
        """Return an account by its own id. `this` is the account of a portal session, and there are none here."""
        given = call.given("id")
        if given is None or given == "this":
            raise no_portal("name the account by its id")
        return await self._shown(call, lambda tx: by_id(tx, self.parts.connections, call.environment_id, given))

    async def _shown(self, call: Call, look: Callable[[Tx], Found]) -> Message:
        def work(tx: Tx) -> tuple[Found, float | None]:
            found = look(tx)
            return found, last_use(tx, found.account)

        found, used = await self.parts.database.transact(work)
        return call.reply(connected_account=connected_account(found, last_used=used))

    async def _find(self, call: Call) -> Found:
        return await self.parts.database.transact(lambda tx: find(tx, self.parts.connections, call))


def last_use(tx: Tx, account: Account) -> float | None:
    """Return when the account was last used, to the minute."""
    return account_store.last_uses(tx, account.environment_id, [account.id]).get(account.id)
