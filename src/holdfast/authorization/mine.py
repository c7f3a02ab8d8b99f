"""What a user sees of their own accounts, and does with them, in a widget session: never more than is theirs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from holdfast.access.widgets import WidgetSession
from holdfast.accounts import Account, Accounts, Owner, Status
from holdfast.accounts import store as account_store
from holdfast.accounts.install import Connecting
from holdfast.accounts.removal import remove_in
from holdfast.authorization.begin import Begin, Beginning, Begun, check_usable
from holdfast.authorization.fill import Fill
from holdfast.connections import Connection, Effective
from holdfast.connections import effective as stands
from holdfast.connections import store as connection_store
from holdfast.errors import Conflict, NotFound, Unprocessable
from holdfast.oauth2.scopes import missing
from holdfast.providers.forms import FormField, form_of
from holdfast.storage import Connection as Tx

State = Literal["connected", "needs_reauthorization", "paused"]
_STATES: dict[Status, State] = {
    Status.ACTIVE: "connected",
    Status.EXPIRED: "needs_reauthorization",
    Status.ERROR: "needs_reauthorization",
    Status.SUSPENDED: "paused",
}
"""Others are none to their owner: not connected yet, or taken back."""
_TYPED = ("api_key", "client_credentials")


@dataclass(frozen=True, slots=True)
class Own:
    """An account as its owner sees it. `absent`: what the app asks for now and does not have; `needed` of it, without
    which the app cannot work."""

    account: Account
    state: State
    absent: tuple[str, ...]
    needed: bool


@dataclass(frozen=True, slots=True)
class Row:
    """A connection as it stands for the user: their accounts there, and what is asked for when connecting."""

    effective: Effective
    accounts: tuple[Own, ...]
    fields: tuple[FormField, ...]

    @property
    def connects(self) -> bool:
        return self.effective.usable and self.effective.connection.method in ("oauth", *_TYPED)


class Mine:
    def __init__(self, accounts: Accounts, begin: Begin, fill: Fill) -> None:
        self._accounts, self._begin, self._fill = accounts, begin, fill

    async def rows(self, session: WidgetSession) -> list[Row]:
        """Return what the user can connect or has connected, oldest connection first. Raises Refused for somebody who
        is no member of the session's organization any more."""

        def work(tx: Tx) -> list[Row]:
            environment_id, owner = session.environment_id, owner_of(session)
            self._accounts.check_may_act(tx, environment_id, owner, session.user_id)
            overrides = connection_store.overrides_of(tx, environment_id, owner.organization_id)
            mine = account_store.all_of_owner(tx, environment_id, owner)
            rows = []
            for connection in connection_store.all_of(tx, environment_id, "user"):
                if not session.concerns(connection.name):
                    continue
                provider = self._accounts.connections.provider(tx, environment_id, connection.provider_slug)
                effective = stands(connection, provider, overrides.get(connection.name))
                row = _row(effective, [account for account in mine if account.connection_id == connection.id])
                if row.connects or row.accounts:
                    rows.append(row)
            return rows

        return await self._accounts.database.transact(work)

    async def row(self, session: WidgetSession, name: str) -> Row:
        """Return one connection. Raises NotFound for what is not there, or not for this session."""
        for row in await self.rows(session):
            if row.effective.connection.name == name:
                return row
        raise NotFound(f"there is nothing called '{name}' to connect here")

    async def shared(self, session: WidgetSession) -> list[tuple[Effective, list[Account]]]:
        """Return what the session's organization has connected for all of its members."""
        if session.organization_id is None:
            return []
        organization = Owner.organization(session.organization_id)

        def work(tx: Tx) -> list[tuple[Effective, list[Account]]]:
            environment_id = session.environment_id
            self._accounts.check_may_act(tx, environment_id, organization, session.user_id)
            held = account_store.all_of_owner(tx, environment_id, organization)
            found = []
            for connection in connection_store.all_of(tx, environment_id, "organization"):
                accounts = [a for a in held if a.connection_id == connection.id and a.status in _STATES]
                if accounts and session.concerns(connection.name):
                    effective = self._accounts.connections.effective(tx, connection, organization.organization_id)
                    found.append((effective, accounts))
            return found

        return await self._accounts.database.transact(work)

    async def authorize(
        self,
        session: WidgetSession,
        name: str,
        *,
        account_id: str | None = None,
        add: bool = False,
        config: Mapping[str, str] | None = None,
        return_to: str | None = None,
        request_id: str = "",
    ) -> Begun:
        """Begin connecting by consent: an account of the user's anew, another one (`add`), or their first.

        Raises NotFound, Conflict, Refused, Invalid, as `Begin` does; Conflict `account_suspended` for a paused account.
        """
        row = await self.row(session, name)
        _check_not_paused(row, account_id, add)
        return await self._begin.begin(
            Beginning(
                environment_id=session.environment_id,
                name=name,
                owner=owner_of(session),
                acting_user=session.user_id,
                actor=session.actor(),
                return_to=return_to,
                intent="reauthorize" if account_id else "add" if add else "auto",
                account_id=account_id,
                config=config or {},
                request_id=request_id,
            )
        )

    async def submit(
        self,
        session: WidgetSession,
        name: str,
        typed: Mapping[str, str],
        *,
        account_id: str | None = None,
        request_id: str = "",
    ) -> Account:
        """Connect an account by what was typed in, tried at the provider first where its entry says how.

        Raises Invalid with `fields` for what is wrong, and stores nothing then; else as `authorize` does.
        """
        row = await self.row(session, name)
        effective = row.effective
        if effective.connection.method not in _TYPED:
            raise Unprocessable(f"'{name}' connects by signing in there", code="auth_method_mismatch")
        check_usable(effective)
        _check_not_paused(row, account_id, add=False)
        credential, config = await self._fill.check(effective, typed)
        return await self._accounts.connect(
            Connecting(
                effective=effective,
                owner=owner_of(session),
                credential=credential,
                intent="reauthorize" if account_id else "auto",
                account_id=account_id,
                actor=session.actor(),
                established_by=session.user_id,
                config=config,
                request_id=request_id,
            )
        )

    async def disconnect(self, session: WidgetSession, account_id: str, request_id: str = "") -> Account:
        """Delete an account of the user's and its credential. Raises NotFound for one that is not theirs."""
        await self._accounts.vault.ready(session.environment_id)

        def work(tx: Tx) -> Account:
            account, connection = self._own(tx, session, account_id, lock=True)
            remove_in(tx, self._accounts, account, connection, session.actor(), request_id)
            return account

        return await self._accounts.database.transact(work)

    async def one(self, session: WidgetSession, account_id: str) -> tuple[Account, Row]:
        """Return an account of the user's and its connection. Raises NotFound for one that is not theirs."""
        account, connection = await self._accounts.database.transact(lambda tx: self._own(tx, session, account_id))
        return account, await self.row(session, connection.name)

    def _own(
        self, tx: Tx, session: WidgetSession, account_id: str, *, lock: bool = False
    ) -> tuple[Account, Connection]:
        account = account_store.get(tx, session.environment_id, account_id, lock=lock)
        unknown = NotFound("you have no such connected account", code="connected_account_not_found")
        if account is None or account.owner != owner_of(session) or account.status not in _STATES:
            raise unknown
        connection = connection_store.by_id(tx, session.environment_id, account.connection_id)
        if connection is None or not session.concerns(connection.name):
            raise unknown
        self._accounts.check_may_act(tx, session.environment_id, account.owner, session.user_id)
        return account, connection


def owner_of(session: WidgetSession) -> Owner:
    return Owner.user(session.user_id, session.organization_id)


def _row(effective: Effective, accounts: list[Account]) -> Row:
    shown = tuple(_own(account, effective) for account in accounts if account.status in _STATES)
    method = effective.connection.method
    asked = form_of(effective.provider, effective.config, method=method) if method in ("oauth", *_TYPED) else ()
    # A sign-in asks only for the settings that it cannot do without.
    return Row(effective, shown, tuple(item for item in asked if method != "oauth" or item.required))


def _own(account: Account, effective: Effective) -> Own:
    state, dialect = _STATES[account.status], effective.provider.oauth2
    absent: tuple[str, ...] = ()
    if account.method == "oauth" and dialect is not None:
        absent = missing(effective.scopes, account.scopes, dialect.scope_implies)
    needed = any(scope in effective.connection.required_scopes for scope in absent)
    if needed and state == "connected":
        state = "needs_reauthorization"
    return Own(account, state, absent, needed)


def _check_not_paused(row: Row, account_id: str | None, add: bool) -> None:
    for own in row.accounts:
        meant = own.account.id == account_id if account_id else not add and own.account.role == "compatibility"
        if meant and own.state == "paused":
            raise Conflict("this account is paused: only whoever runs the app can resume it", code="account_suspended")
