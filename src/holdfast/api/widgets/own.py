"""What `<holdfast-connections>` asks for: the user's connections, a link to connect, a form's values, an end."""

from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from holdfast import ids
from holdfast.access.widgets.handoff import hand_off
from holdfast.accounts import Account
from holdfast.api.browser import BrowserCall, BrowserDoor, BrowserOperation
from holdfast.api.widgets.parts import WidgetParts
from holdfast.api.workos.faults import render
from holdfast.authorization import Own as OwnAccount
from holdfast.authorization import Row
from holdfast.clock import iso
from holdfast.errors import NotFound
from holdfast.providers.forms import LONGEST_VALUE, FormField

_BASE = "/widgets/api"
Values = dict[Annotated[str, Meta(max_length=128)], Annotated[str, Meta(max_length=LONGEST_VALUE)]]


class ShownScope(msgspec.Struct, frozen=True):
    scope: str
    help: str


class ShownAccount(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    label: str | None
    state: str
    detail: str | None
    """What happened and what to do, in words."""
    missing: list[ShownScope]
    needed: bool
    """Whether the app cannot work without what is missing."""
    last4: str | None
    updated_at: str


class ShownField(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    label: str
    hint: str
    input: str
    required: bool
    secret: bool
    options: list[str]
    example: str


class ShownConnection(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    title: str
    description: str | None
    method: str
    connects: bool
    """False: it was turned off; accounts that exist can only be disconnected."""
    fields: list[ShownField]
    accounts: list[ShownAccount]


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    app: str
    user_id: str
    organization_id: str | None
    connections: list[ShownConnection]


class Handed(msgspec.Struct, frozen=True, omit_defaults=True):
    url: str
    redirect_token: str
    handoff_token: str | UnsetType = UNSET


class AuthorizeAsked(msgspec.Struct, frozen=True):
    account_id: str | None = None
    add: bool = False
    values: Values = {}


class ValuesAsked(msgspec.Struct, frozen=True):
    values: Values
    account_id: str | None = None


class Done(msgspec.Struct, frozen=True):
    id: str


@dataclass(frozen=True)
class Own:
    parts: WidgetParts

    def door(self) -> BrowserDoor:
        one = _BASE + "/connections/{name}"
        table = (
            BrowserOperation(method="GET", path=_BASE + "/connections", handler=self.rows),
            BrowserOperation(method="POST", path=one + "/authorize", handler=self.authorize, body=AuthorizeAsked),
            BrowserOperation(method="PUT", path=one + "/credential", handler=self.submit, body=ValuesAsked),
            BrowserOperation(method="DELETE", path=_BASE + "/accounts/{id}", handler=self.disconnect),
        )
        parts = self.parts
        return BrowserDoor(
            table,
            tokens=parts.tokens,
            origins=parts.origins,
            render_error=render,
            limiter=parts.limiter,
            max_body_bytes=parts.max_body_bytes,
        )

    async def rows(self, call: BrowserCall) -> Listing:
        session = call.session
        return Listing(
            app=await self.parts.shown_name(session.environment_id),
            user_id=session.user_id,
            organization_id=session.organization_id,
            connections=[_connection(row) for row in await self.parts.mine.rows(session)],
        )

    async def authorize(self, call: BrowserCall) -> Handed:
        asked: AuthorizeAsked = call.body
        begun = await self.parts.mine.authorize(
            call.session,
            call.path["name"],
            account_id=_id(asked.account_id),
            add=asked.add,
            config={name: value for name, value in asked.values.items() if value},
            request_id=call.request_id,
        )
        if call.origin is None:
            return Handed(begun.url, "")
        handoff = hand_off(self.parts.tokens, self.parts.base_url, begun.link, call.origin)
        return Handed(handoff.url, handoff.redirect_token, handoff.handoff_token)

    async def submit(self, call: BrowserCall) -> Done:
        asked: ValuesAsked = call.body
        account = await self.parts.mine.submit(
            call.session,
            call.path["name"],
            asked.values,
            account_id=_id(asked.account_id),
            request_id=call.request_id,
        )
        return Done(account.id)

    async def disconnect(self, call: BrowserCall) -> Done:
        account: Account = await self.parts.mine.disconnect(call.session, _id(call.path["id"]) or "", call.request_id)
        return Done(account.id)


def _id(text: str | None) -> str | None:
    if text is not None and not ids.is_id(text):
        raise NotFound("you have no such connected account", code="connected_account_not_found")
    return text


def _connection(row: Row) -> ShownConnection:
    connection, provider = row.effective.connection, row.effective.provider
    return ShownConnection(
        name=connection.name,
        title=provider.name,
        description=connection.description,
        method=connection.method,
        connects=row.connects,
        fields=[_field(item) for item in row.fields],
        accounts=[_account(own, provider.scope_help) for own in row.accounts],
    )


def _account(own: OwnAccount, help_of: "dict[str, str]") -> ShownAccount:
    account = own.account
    return ShownAccount(
        id=account.id,
        label=account.label or account.identifier,
        state=own.state,
        detail=account.detail,
        missing=[ShownScope(scope, help_of.get(scope, "")) for scope in own.absent],
        needed=own.needed,
        last4=account.last4 or None,
        updated_at=iso(account.updated_at),
    )


def _field(item: FormField) -> ShownField:
    return ShownField(
        name=item.name,
        label=item.label,
        hint=item.hint,
        input=item.input,
        required=item.required,
        secret=item.secret,
        options=list(item.options),
        example=item.example,
    )
