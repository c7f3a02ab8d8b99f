"""The credential of a call: the frequent case by the plain read, everything else by the ordinary one."""

from collections.abc import Mapping

import msgspec
from msgspec import structs

from holdfast.accounts import Account, Owner
from holdfast.accounts import store as account_store
from holdfast.approvals import Approvals, NeedsApproval
from holdfast.connections import Connection, Connections
from holdfast.connections import store as connection_store
from holdfast.connections.connection import Effective
from holdfast.errors import Conflict, HoldfastError, NotFound
from holdfast.outbound import Blocked, target_of
from holdfast.providers.entry import Method, Provider
from holdfast.proxy import signals
from holdfast.proxy.address import BadAddress
from holdfast.proxy.approving import waiting
from holdfast.proxy.asked import Asked
from holdfast.proxy.errors import AuthorizationRequired
from holdfast.proxy.outlet import Destination, Outlet, destination, destination_of, is_plain, outlet_of
from holdfast.proxy.permission import NotAllowed, check
from holdfast.proxy.sites import Sites, lacks_site, named_site
from holdfast.secret import Secret
from holdfast.storage import Connection as Tx
from holdfast.storage import Database
from holdfast.tokens import Ask, Inactive, Live, PlainAsk, PlainReader, Refreshed, Refresher, TokenReader
from holdfast.tokens.plain import Answered
from holdfast.tokens.store import Found
from holdfast.vault import Vault

_ALL: tuple[Method, ...] = ("oauth", "api_key", "client_credentials", "none")
_MOST_INTRICATE = 10_000


class Held(msgspec.Struct, frozen=True):
    """A credential whose read is on record, and where it may go."""

    secret: Secret | None
    """None where the account's method is `none`: nothing is attached."""
    outlet: Outlet
    owner: Owner
    account_id: str
    connection: str
    connection_id: str = ""
    approval: str = ""
    """The approval that was taken for the call; "" for one that needed none."""


class Credentials:
    def __init__(
        self,
        database: Database,
        vault: Vault,
        connections: Connections,
        reader: TokenReader,
        plain: PlainReader,
        refresher: Refresher,
        sites: Sites,
        approvals: Approvals,
        *,
        allow_private: bool,
    ) -> None:
        self._database, self._vault, self._connections = database, vault, connections
        self._reader, self._plain, self._refresher = reader, plain, refresher
        self._sites, self._approvals, self._allow_private = sites, approvals, allow_private
        self._outlets: dict[str, tuple[Provider, Outlet | None]] = {}
        self._intricate: set[tuple[str, str]] = set()
        """Connections whose calls need more than the plain read tells. A wrong guess costs time, nothing else."""

    async def hold(self, asked: Asked) -> Held:
        """Return the credential of the account that was asked for. Raises as `Proxy.call` does."""
        if asked.confirm is not None:
            held = await self._plainly(asked)
            if held is not None:
                return held
            asked = structs.replace(asked, principal=await asked.confirm(), confirm=None)
        try:
            return await self._read(asked)
        except NeedsApproval as needed:
            raise await self._approvals.ask(needed.call) from None

    async def renewed(self, asked: Asked, held: Held) -> Held | None:
        """Renew a credential that the provider does not take any more. None if that is not possible.

        Raises NotAllowed where the connection has got rules meanwhile that hold the call back. One that was approved
        goes on under its approval: the provider has said that it did not make it."""
        environment_id = asked.principal.environment_id
        await self._vault.ready(environment_id)
        account = await self._database.transact(lambda tx: account_store.get(tx, environment_id, held.account_id))
        if account is None or account.grant is None or account.access is None:
            return None
        known = await self._vault.open_fresh(account.access, account.access_place())
        if known == held.secret:
            outcome = await self._refresher.refresh(account, refused=True)
            if not isinstance(outcome, Refreshed):
                return None
        try:
            again = structs.replace(asked, account_id=held.account_id, owner=held.owner, approval=held.approval)
            return await self._read(again)
        except NotAllowed:
            raise
        except HoldfastError:
            return None

    async def check_again(self, asked: Asked, held: Held) -> None:
        """Judge a call that was held back for a while by the rules as they are now. Raises NotAllowed, ApprovalRequired
        where it was begun without approval and needs it now."""
        environment_id = asked.principal.environment_id
        asked = structs.replace(asked, approval=held.approval)
        outlet, there = held.outlet, self.destination(held.outlet, asked)

        def work(tx: Tx) -> None:
            connection = self._connections.find(tx, environment_id, held.connection, held.owner.kind)
            effective = self._connections.effective(tx, connection, held.owner.organization_id)
            account = account_store.get(tx, environment_id, held.account_id)
            if account is None:
                raise NotFound("there is no such connected account", code="connected_account_not_found")
            check(effective.connection, account, asked, there)
            self._take(tx, effective.connection, account, asked, outlet, there)

        try:
            await self._database.transact(work)
        except NeedsApproval as needed:
            raise await self._approvals.ask(needed.call) from None

    def destination(self, outlet: Outlet, asked: Asked) -> Destination:
        """Return where the call goes. Raises BadAddress, HostNotAllowed."""
        if asked.url is None:
            return destination(outlet, asked.path, asked.query)
        return destination_of(outlet, asked.url, allow_private=self._allow_private)

    def plain_ask(self, asked: Asked) -> PlainAsk | None:
        """Return the plain read of the credential, if it may be one."""
        name, owner = asked.connection, asked.owner
        if name is None or asked.account_id is not None or owner.kind != "user" or owner.organization_id:
            return None
        principal = asked.principal
        if asked.confirm is None or (principal.environment_id, name) in self._intricate:
            return None
        return PlainAsk(principal.environment_id, principal.key_id, name, owner.user_id, None, asked.request_id, True)

    def begin(self, ask: PlainAsk, answered: Answered) -> None:
        """Read, for whoever does not wait: see `PlainReader.begin`, and `held_of` for what comes of it."""
        self._plain.begin(ask, answered)

    def held_of(self, asked: Asked, ask: PlainAsk, found: Found) -> Held | None:
        """Return the credential that was found, opened with the keys in memory; None if its calls need more than that.

        Raises CannotOpen, after which `opened_of` may do better."""
        return self._held(asked, self._plain.open(ask, found))

    async def opened_of(self, asked: Asked, ask: PlainAsk, found: Found) -> Held | None:
        """As `held_of`, with keys that another process has made, too. Raises CannotOpen."""
        return self._held(asked, await self._plain.opened(ask, found))

    async def _plainly(self, asked: Asked) -> Held | None:
        ask = self.plain_ask(asked)
        return None if ask is None else self._held(asked, await self._plain.read(ask))

    def _held(self, asked: Asked, live: Live | None) -> Held | None:
        if live is None or asked.connection is None:
            return None
        outlet = self._shared_outlet(live.provider)
        if outlet is None:
            if len(self._intricate) >= _MOST_INTRICATE:
                self._intricate.clear()
            self._intricate.add((asked.principal.environment_id, asked.connection))
            return None
        return Held(live.secret, outlet, asked.owner, live.account_id, asked.connection, live.connection_id)

    def _shared_outlet(self, provider: Provider) -> Outlet | None:
        known = self._outlets.get(provider.slug)
        if known is None or known[0] is not provider:
            outlet = self._outlet(provider, {}) if is_plain(provider) else None
            known = self._outlets[provider.slug] = (provider, outlet)
        return known[1]

    async def _read(self, asked: Asked) -> Held:
        environment_id = asked.principal.environment_id
        name, owner = await self._database.transact(lambda tx: self._which(tx, asked))
        approval = ""

        def spend(tx: Tx, effective: Effective, account: Account) -> None:
            nonlocal approval
            known = self._there(asked, effective, account) if effective.connection.approval_rules else None
            approval = "" if known is None else self._take(tx, effective.connection, account, asked, *known)

        found = await self._reader.read(
            Ask(
                environment_id=environment_id,
                name=name,
                owner=owner,
                actor=asked.principal.actor(),
                acting_user=owner.user_id or asked.owner.user_id or None,
                account_id=asked.account_id,
                methods=_ALL,
                request_id=asked.request_id,
                permit=lambda effective, account: self._permit(asked, effective, account),
                spend=spend,
            )
        )
        if isinstance(found, Inactive):
            raise AuthorizationRequired(name, owner, found.why, found.reason, found.detail)
        effective, account = found.effective, found.account
        connection, values = effective.connection, _values(effective, account)
        secret = None if account.method == "none" else found.secret
        is_judged = not lacks_site(effective.provider, values)
        if secret is not None and not is_judged:
            values |= await self._sites.find(effective, account, secret)
        outlet = self._outlet(effective.provider, values)
        if connection.proxy_rules:
            check(connection, account, asked, self.destination(outlet, asked))
        if connection.approval_rules and not is_judged:
            known = outlet, self.destination(outlet, asked)
            approval = await self._database.transact(lambda tx: self._take(tx, connection, account, asked, *known))
        return Held(secret, outlet, owner, account.id, name, account.connection_id, approval)

    def _permit(self, asked: Asked, effective: Effective, account: Account) -> None:
        """Raise NotAllowed before the credential is read. Where it takes the credential to find out at which site the
        account works, and so the path, what was found is judged, before anything is sent of the call."""
        if not effective.connection.proxy_rules:
            return
        known = self._there(asked, effective, account)
        if known is not None:
            check(effective.connection, account, asked, known[1])

    def _there(self, asked: Asked, effective: Effective, account: Account) -> tuple[Outlet, Destination] | None:
        """Return where the call goes; None where the account's site has to be found out first."""
        values = _values(effective, account)
        if lacks_site(effective.provider, values):
            return None
        outlet = self._outlet(effective.provider, values)
        return outlet, self.destination(outlet, asked)

    def _take(
        self, tx: Tx, connection: Connection, account: Account, asked: Asked, outlet: Outlet, there: Destination
    ) -> str:
        """Take the call's approval and return it; "" for a call that needs none. Raises NeedsApproval, NotAllowed."""
        call = waiting(connection, account, asked, outlet, there)
        return "" if call is None else self._approvals.take(tx, call, asked.approval)

    def _which(self, tx: Tx, asked: Asked) -> tuple[str, Owner]:
        """Return the connection's name and the owner, and make sure that calls go through it before its credential
        is read."""
        environment_id, owner, name = asked.principal.environment_id, asked.owner, asked.connection
        if asked.account_id is not None:
            account = account_store.get(tx, environment_id, asked.account_id)
            connection = connection_store.by_id(tx, environment_id, account.connection_id) if account else None
            if account is None or connection is None or not _fits(owner, account.owner):
                raise NotFound("there is no such connected account", code="connected_account_not_found")
            if name is not None and name != connection.name:
                raise NotFound("there is no such connected account here", code="connected_account_not_found")
            owner, name = account.owner, connection.name
        if name is None:
            name = self._by_host(tx, asked).connection.name
        try:
            connection = self._connections.find(tx, environment_id, name, owner.kind)
        except NotFound:
            if not owner.organization_id or owner.kind == "organization":
                raise
            owner = Owner.organization(owner.organization_id)
            connection = self._connections.find(tx, environment_id, name, owner.kind)
        effective = self._connections.effective(tx, connection, owner.organization_id)
        if effective.provider.api is None:
            self._outlet(effective.provider, {})  # raises: a read would be recorded of a credential that goes nowhere
        return name, owner

    def _by_host(self, tx: Tx, asked: Asked) -> Effective:
        """Return the one connection whose provider's hosts the address names. Never the first of several."""
        try:
            target = target_of(asked.url or "", allow_private=self._allow_private)
        except Blocked as error:
            raise BadAddress(error.message, code="invalid_url") from None
        fitting = []
        for connection in connection_store.all_of(tx, asked.principal.environment_id, asked.owner.kind):
            effective = self._connections.effective(tx, connection, asked.owner.organization_id)
            try:
                outlet = self._outlet(effective.provider, effective.config)
            except HoldfastError:
                continue
            if outlet.leads_to(target):
                fitting.append(effective)
        if not fitting:
            raise NotFound(f"no connection leads to {target.host}", code="provider_not_found")
        if len(fitting) > 1:
            names = ", ".join(sorted(one.connection.name for one in fitting))
            raise Conflict(f"several connections lead to {target.host}: say which ({names})", code="provider_ambiguous")
        return fitting[0]

    def _outlet(self, provider: Provider, values: Mapping[str, str]) -> Outlet:
        inside = signals.reads_bodies(provider)
        return outlet_of(provider, values, allow_private=self._allow_private, looks_inside=inside)


def _values(effective: Effective, account: Account) -> dict[str, str]:
    return {**effective.config, **account.config, **account.kept, **named_site(effective.provider, account)}


def _fits(asked: Owner, found: Owner) -> bool:
    """Tell whether the account is the one of whom the caller spoke; of nobody fits anybody of the environment."""
    if asked.user_id and asked.user_id != found.user_id:
        return False
    return not asked.organization_id or asked.organization_id == found.organization_id
