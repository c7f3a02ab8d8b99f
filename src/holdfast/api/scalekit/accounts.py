"""ConnectedAccountService: reading accounts and their credentials."""

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.accounts import Status
from holdfast.api.scalekit.descriptors import Message
from holdfast.api.scalekit.finding import Found, find
from holdfast.api.scalekit.parts import Parts
from holdfast.api.scalekit.rendering import connected_account
from holdfast.api.scalekit.rpc import Call, Handler
from holdfast.tokens import Ask, Inactive

_VENDED = (Status.ACTIVE, Status.EXPIRED, Status.ERROR)
"""In other states there is nothing to vend, and nothing that a read could find out."""


@dataclass(frozen=True)
class AccountReads:
    parts: Parts

    def rpcs(self) -> Mapping[str, Handler]:
        return {
            "ConnectedAccountService.GetConnectedAccountAuth": self.with_credentials,
            "ConnectedAccountService.GetConnectedAccountDetails": self.without_credentials,
        }

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
