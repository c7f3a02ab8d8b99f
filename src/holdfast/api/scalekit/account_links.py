"""ConnectedAccountService: how owners connect: one-time links, verification, an organization's credential."""

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast import ids
from holdfast.accounts import Given, Owner
from holdfast.api.scalekit.account_writes import given_in, in_no_state
from holdfast.api.scalekit.descriptors import Message
from holdfast.api.scalekit.faults import FailedPrecondition
from holdfast.api.scalekit.finding import SHARED, place_of
from holdfast.api.scalekit.naming import ACCOUNT, CONNECTION, STATUS, bare
from holdfast.api.scalekit.parts import Parts
from holdfast.api.scalekit.rendering import timestamp
from holdfast.api.scalekit.rpc import Call, Group, Handler
from holdfast.authorization import Link, LinkFor
from holdfast.connections import Effective
from holdfast.connections import store as connection_store
from holdfast.errors import Conflict, NotFound
from holdfast.storage import Connection as Tx


@dataclass(frozen=True)
class AccountLinks(Group):
    parts: Parts

    def rpcs(self) -> Mapping[str, Handler]:
        return {
            "ConnectedAccountService.GetMagicLinkForConnectedAccount": self.link,
            "ConnectedAccountService.VerifyConnectedAccountUser": self.verify,
            "ConnectedAccountService.AuthorizeOrgWideCredential": self.authorize_org_wide,
        }

    async def link(self, call: Call) -> Message:
        """Make a one-time link, and the account where there is none. What an active account has, it keeps meanwhile."""
        given = call.given("id")
        if given is not None:
            account_id, name, owner = bare(ACCOUNT, given, "connected account"), "", None
        else:
            owner, effective = await self.parts.database.transact(lambda tx: place_of(tx, self.parts.connections, call))
            account_id, name = None, effective.connection.name
        link = await self._make(
            LinkFor(
                environment_id=call.environment_id,
                actor=call.actor(),
                name=name,
                owner=owner,
                account_id=account_id,
                state=call.request.state,
                user_verify_url=call.given("user_verify_url"),
                request_id=call.request_id,
            )
        )
        return call.reply(link=link.url, expiry=timestamp(link.expires_at))

    async def verify(self, call: Call) -> Message:
        """Say who the user is whose consent waits for it. The id is used up by its first use, right or wrong."""
        asked = call.request
        onward = await self.parts.verify.verify(
            call.environment_id, asked.auth_request_id, asked.identifier, call.actor(), call.request_id
        )
        return call.reply(post_user_verify_redirect_url=onward)

    async def authorize_org_wide(self, call: Call) -> Message:
        """Connect the one credential of a connection that organizations own: at once with what is sent, else by a
        link."""
        asked = call.request

        def look(tx: Tx) -> Effective:
            connection_id = bare(CONNECTION, asked.connection_id, "connection")
            connection = connection_store.by_id(tx, call.environment_id, connection_id)
            if connection is None:
                raise NotFound("there is no such connection", code="connection_not_found")
            if connection.owner_kind != "organization":
                raise FailedPrecondition(f"every user of '{connection.name}' has an account of their own")
            return self.parts.connections.effective(tx, connection, SHARED)

        effective = await self.parts.database.transact(look)
        name, owner, keeping = effective.connection.name, Owner.organization(SHARED), self.parts.keeping
        given = await given_in(self.parts, effective, asked.authorization_details, asked.api_config)
        account, is_made = await keeping.get_or_create(
            call.environment_id, name, owner, given, call.actor(), call.request_id
        )
        try:
            if not is_made and given != Given():
                account = await keeping.update(call.environment_id, account.id, given, call.actor(), call.request_id)
        except Conflict as error:
            raise in_no_state(error) from None
        link = None
        if given.credential is None:
            wanted = LinkFor(
                environment_id=call.environment_id,
                actor=call.actor(),
                account_id=account.id,
                request_id=call.request_id,
            )
            link = await self._make(wanted)
        return call.reply(
            link=link.url if link else None,
            expiry=timestamp(link.expires_at if link else account.expires_at),
            connected_account_id=ids.with_prefix(ACCOUNT, account.id),
            status=STATUS[account.status],
        )

    async def _make(self, ask: LinkFor) -> Link:
        try:
            return await self.parts.links.make(ask)
        except Conflict as error:
            raise in_no_state(error) from None
