"""What the vendor's `<Pipes>` widget calls (@workos-inc/widgets 1.18.0): `/_widgets/*`, in its own mixture of cases.

Every 2xx is JSON, also of a DELETE. An account that was paused is none here: the widget knows no such state, and tells
the user why when they try to connect.
"""

from dataclasses import dataclass
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from holdfast import ids
from holdfast.access import store as access_store
from holdfast.access.widgets.handoff import hand_off
from holdfast.accounts import Account
from holdfast.api.browser import BrowserCall, BrowserDoor, BrowserOperation
from holdfast.api.widgets.parts import WidgetParts
from holdfast.api.workos.faults import render
from holdfast.api.workos.inputs import Config, SecretText, Text
from holdfast.api.workos.naming import ACCOUNT, INTEGRATION, bare
from holdfast.api.workos.rendering import shown_method
from holdfast.authorization import Own, Row
from holdfast.clock import iso
from holdfast.providers.forms import main_field

_BASE = "/_widgets/DataIntegrations"


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    object: Literal["settings"] = "settings"
    authkit_origin: str
    team_name: str


class DataInstallation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    object: str
    id: str
    user_id: str | None
    organization_id: str | None
    scopes: list[str]
    auth_method: str
    api_key_last_4: str | UnsetType = UNSET
    client_id: str | UnsetType = UNSET
    client_secret_last_4: str | UnsetType = UNSET
    config: dict[str, str]
    state: Literal["connected", "needs_reauthorization"]
    created_at: str
    updated_at: str


class ConfigField(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    key: str
    label: str
    required: bool
    scope: str
    description: str | UnsetType = UNSET
    example: str | UnsetType = UNSET
    pattern: str | UnsetType = UNSET
    secret: bool | UnsetType = UNSET
    default: str | UnsetType = UNSET


class Integration(msgspec.Struct, frozen=True, kw_only=True):
    object: Literal["data_integration"] = "data_integration"
    id: str
    name: str
    description: str | None
    slug: str
    integration_type: str = msgspec.field(name="integrationType")
    ownership: Literal["userland_user"] = "userland_user"
    credentials_type: str = msgspec.field(name="credentialsType")
    scopes: list[str] | None
    created_at: str = msgspec.field(name="createdAt")
    updated_at: str = msgspec.field(name="updatedAt")
    installation: DataInstallation | None
    config_fields: list[ConfigField] = msgspec.field(name="configFields")
    config: dict[str, str]
    auth_methods: list[str] = msgspec.field(name="authMethods")
    connected_accounts: list[DataInstallation]


class Integrations(msgspec.Struct, frozen=True):
    data: list[Integration]


class SharedAccount(msgspec.Struct, frozen=True, kw_only=True):
    object: Literal["connected_account"] = "connected_account"
    id: str
    state: str
    availability: Literal["available", "needs_admin_attention"]
    created_at: str
    updated_at: str


class SharedConnection(msgspec.Struct, frozen=True, kw_only=True):
    object: Literal["data_integration"] = "data_integration"
    id: str
    name: str
    description: str | None
    slug: str
    ownership: Literal["organization"] = "organization"
    connected_accounts: list[SharedAccount]


class SharedConnections(msgspec.Struct, frozen=True):
    data: list[SharedConnection]


class SessionOrganization(msgspec.Struct, frozen=True):
    id: str
    name: str
    current: bool


class SessionOrganizations(msgspec.Struct, frozen=True):
    data: list[SessionOrganization]


class Authorization(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    url: str
    redirect_token: str
    handoff_token: str | UnsetType = UNSET


class Success(msgspec.Struct, frozen=True):
    success: bool


class AuthorizeAsked(msgspec.Struct, frozen=True):
    config: Config | None = None


class ApiKeyAsked(msgspec.Struct, frozen=True):
    secret: SecretText


class ClientAsked(msgspec.Struct, frozen=True):
    client_id: Text
    client_secret: SecretText
    config: Config | None = None


@dataclass(frozen=True)
class Pipes:
    parts: WidgetParts

    def door(self) -> BrowserDoor:
        one = _BASE + "/{slug}"
        table: tuple[BrowserOperation, ...] = (
            BrowserOperation(method="GET", path="/_widgets/settings", handler=self.settings),
            BrowserOperation(method="GET", path=_BASE + "/mine", handler=self.mine),
            BrowserOperation(method="GET", path=_BASE + "/shared-connections", handler=self.shared),
            BrowserOperation(method="GET", path="/_widgets/UserManagement/organizations", handler=self.organizations),
            BrowserOperation(method="POST", path=one + "/authorize", handler=self.authorize, body=AuthorizeAsked),
            BrowserOperation(method="PUT", path=one + "/api-key", handler=self.api_key, body=ApiKeyAsked),
            BrowserOperation(method="PUT", path=one + "/client-credentials", handler=self.client, body=ClientAsked),
            BrowserOperation(method="DELETE", path=_BASE + "/installations/{id}", handler=self.disconnect),
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

    async def settings(self, call: BrowserCall) -> Settings:
        name = await self.parts.shown_name(call.session.environment_id)
        return Settings(authkit_origin=self.parts.base_url, team_name=name)

    async def mine(self, call: BrowserCall) -> Integrations:
        return Integrations([_integration(row) for row in await self.parts.mine.rows(call.session)])

    async def shared(self, call: BrowserCall) -> SharedConnections:
        return SharedConnections(
            [
                SharedConnection(
                    id=ids.with_prefix(INTEGRATION, effective.connection.id),
                    name=effective.provider.name,
                    description=effective.connection.description,
                    slug=effective.connection.name,
                    connected_accounts=[_shared(account) for account in accounts],
                )
                for effective, accounts in await self.parts.mine.shared(call.session)
            ]
        )

    async def organizations(self, call: BrowserCall) -> SessionOrganizations:
        organization_id = call.session.organization_id
        if organization_id is None:
            return SessionOrganizations([])
        found = await self.parts.database.transact(
            lambda tx: access_store.organization(tx, call.session.environment_id, organization_id=organization_id)
        )
        name = found.display_name if found is not None else organization_id
        return SessionOrganizations([SessionOrganization(organization_id, name, True)])

    async def authorize(self, call: BrowserCall) -> Authorization:
        row = await self.parts.mine.row(call.session, call.path["slug"])
        shown = _installed(row)
        begun = await self.parts.mine.authorize(
            call.session,
            call.path["slug"],
            account_id=None if shown is None else shown.account.id,
            config=call.body.config,
            request_id=call.request_id,
        )
        if call.origin is None:  # no page to hand anything off: the link's own page asks whose account it is
            return Authorization(begun.url, "")
        handoff = hand_off(self.parts.tokens, self.parts.base_url, begun.link, call.origin)
        return Authorization(handoff.url, handoff.redirect_token, handoff.handoff_token)

    async def api_key(self, call: BrowserCall) -> DataInstallation:
        row = await self.parts.mine.row(call.session, call.path["slug"])
        return await self._submit(call, row, {main_field(row.effective.provider): call.body.secret})

    async def client(self, call: BrowserCall) -> DataInstallation:
        row = await self.parts.mine.row(call.session, call.path["slug"])
        asked: ClientAsked = call.body
        typed = {"client_id": asked.client_id, "client_secret": asked.client_secret}
        shown = _installed(row)
        kept = dict(shown.account.config) if shown is not None else {}
        return await self._submit(call, row, {**kept, **(asked.config or {}), **typed})

    async def _submit(self, call: BrowserCall, row: Row, typed: dict[str, str]) -> DataInstallation:
        shown = _installed(row)
        account = await self.parts.mine.submit(
            call.session,
            row.effective.connection.name,
            typed,
            account_id=None if shown is None else shown.account.id,
            request_id=call.request_id,
        )
        return _installation(account, "connected", "data_installation")

    async def disconnect(self, call: BrowserCall) -> Success:
        account_id = bare(ACCOUNT, call.path["id"], "connected account")
        await self.parts.mine.disconnect(call.session, account_id, call.request_id)
        return Success(True)


def _installed(row: Row) -> Own | None:
    """Return the account that stands for the connection: the first one ever made, else any. A paused one is none."""
    usable = [own for own in row.accounts if own.state != "paused"]
    return next((own for own in usable if own.account.role == "compatibility"), usable[0] if usable else None)


def _integration(row: Row) -> Integration:
    effective, shown = row.effective, _installed(row)
    connection, provider = effective.connection, effective.provider
    secret = {name for name, item in provider.config.items() if item.secret}
    return Integration(
        id=ids.with_prefix(INTEGRATION, connection.id),
        name=provider.name,
        description=connection.description,
        slug=connection.name,
        integration_type=connection.provider_slug,
        credentials_type=connection.client_supply or "custom",
        scopes=None if connection.scopes is None else list(connection.scopes),
        created_at=iso(connection.created_at),
        updated_at=iso(connection.updated_at),
        installation=None if shown is None else _of(shown, "data_installation"),
        config_fields=[
            ConfigField(
                key=name,
                label=item.label or name,
                required=item.required and item.default is None,
                scope=item.scope,
                description=item.description or UNSET,
                example=item.example or UNSET,
                pattern=item.pattern or UNSET,
                secret=item.secret or UNSET,
                default=item.default or UNSET,
            )
            for name, item in provider.config.items()
            if item.source == "user"
        ],
        config={name: value for name, value in effective.config.items() if name not in secret},
        auth_methods=[shown_method(connection.method)],
        connected_accounts=[_of(own, "connected_account") for own in row.accounts if own.state != "paused"],
    )


def _of(own: Own, kind: str) -> DataInstallation:
    return _installation(own.account, "connected" if own.state == "connected" else "needs_reauthorization", kind)


def _installation(
    account: Account, state: Literal["connected", "needs_reauthorization"], kind: str
) -> DataInstallation:
    client = account.method == "client_credentials"
    return DataInstallation(
        object=kind,
        id=ids.with_prefix(ACCOUNT, account.id),
        user_id=account.owner.user_id or None,
        organization_id=account.owner.organization_id or None,
        scopes=list(account.scopes),
        auth_method=shown_method(account.method),
        api_key_last_4=account.last4 or UNSET if account.method == "api_key" else UNSET,
        client_id=account.oauth_client_id or UNSET if client else UNSET,
        client_secret_last_4=account.last4 or UNSET if client else UNSET,
        config=dict(account.config),
        state=state,
        created_at=iso(account.created_at),
        updated_at=iso(account.updated_at),
    )


def _shared(account: Account) -> SharedAccount:
    active = account.status == "active"
    return SharedAccount(
        id=ids.with_prefix(ACCOUNT, account.id),
        state="connected" if active else "needs_reauthorization",
        availability="available" if active else "needs_admin_attention",
        created_at=iso(account.created_at),
        updated_at=iso(account.updated_at),
    )
