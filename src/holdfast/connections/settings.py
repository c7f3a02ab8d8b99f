"""Making and changing connections, their clients and their overrides. Deleting one is `accounts.removal`: it takes the
accounts along."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from msgspec import UnsetType
from sqlalchemy.exc import IntegrityError

from holdfast import ids
from holdfast.clock import Clock
from holdfast.connections import store
from holdfast.connections.changes import Changes, NewConnection, OverrideChanges
from holdfast.connections.clients import changed_client, new_client
from holdfast.connections.connection import (
    OWNER_KINDS,
    Client,
    Connection,
    Effective,
    Override,
    OwnerKind,
    effective,
)
from holdfast.connections.definitions import define, redefine
from holdfast.connections.entries import alert_ended, connection_entry
from holdfast.connections.oauth_settings import merged
from holdfast.connections.rules import checked
from holdfast.errors import Conflict, Invalid, NotFound
from holdfast.events import Action, Actor
from holdfast.events import store as log
from holdfast.providers import custom
from holdfast.providers import store as provider_store
from holdfast.providers.entry import Provider
from holdfast.providers.loader import Catalog
from holdfast.providers.templates import check_config
from holdfast.storage import Connection as Tx
from holdfast.storage import Database
from holdfast.vault import Vault


class Connections:
    def __init__(
        self,
        database: Database,
        vault: Vault,
        clock: Clock,
        catalog: Catalog,
        *,
        allow_http: bool,
        extra: Mapping[str, Provider] | None = None,
    ) -> None:
        """`extra` are providers that exist in this process only: the lab's."""
        self._database, self._vault, self._clock, self._catalog = database, vault, clock, catalog
        self._allow_http, self._extra = allow_http, dict(extra or {})

    def built_in(self, slug: str) -> Provider | None:
        return self._extra.get(slug) or self._catalog.get(slug)

    def extra(self) -> tuple[Provider, ...]:
        """Return the providers that exist in this process only."""
        return tuple(self._extra.values())

    def provider(self, tx: Tx, environment_id: str, slug: str) -> Provider:
        """Return the provider of that slug, built in or the environment's own. Raises NotFound."""
        found = self.built_in(slug) or provider_store.get(tx, environment_id, slug)
        if found is None:
            raise NotFound(f"there is no provider '{slug}'")
        return found

    def find(self, tx: Tx, environment_id: str, name: str, owner_kind: OwnerKind) -> Connection:
        """Return the connection of that name and owner kind. Raises NotFound."""
        found = store.by_name(tx, environment_id, name, owner_kind)
        if found is None:
            raise NotFound(f"there is no {owner_kind}-owned data integration '{name}'")
        return found

    def effective(self, tx: Tx, connection: Connection, organization_id: str = "") -> Effective:
        """Return the connection as it stands for an owner within an organization (or none)."""
        override = store.override(tx, connection.environment_id, organization_id, connection.name)
        return effective(connection, self.provider(tx, connection.environment_id, connection.provider_slug), override)

    async def create(self, environment_id: str, new: NewConnection, actor: Actor) -> Connection:
        """Make a connection, defining its custom provider if one is given.

        Raises NotFound for an unknown provider, Conflict for one that has such a connection already, Invalid for the
        rest.
        """
        now = self._clock.now()
        await self._vault.ready(environment_id)
        if new.definition is not None:
            custom.check_custom(
                new.definition,
                catalogue_has=lambda slug: self.built_in(slug) is not None,
                allow_http=self._allow_http,
            )
        connection_id = ids.new_id(now)
        client = new_client(self._vault, environment_id, connection_id, "", new.client, now) if new.client else None

        def work(tx: Tx) -> Connection:
            provider = self._provider_for(tx, environment_id, new)
            _check_new(new, provider)
            connection = Connection(
                environment_id=environment_id,
                id=connection_id,
                name=_name_for(tx, environment_id, new),
                owner_kind=new.owner_kind,
                provider_slug=provider.slug,
                method=new.method,
                callback_key=ids.new_id(now),
                client_supply=new.client_supply if new.method == "oauth" else None,
                client_ref=client.id if client else None,
                scopes=None if new.scopes is None else tuple(new.scopes),
                required_scopes=tuple(new.required_scopes),
                callback_by_id=new.callback_by_id,
                enabled=new.enabled,
                description=new.description,
                config=check_config(provider, new.config, scope="integration"),
                proxy_rules=checked(new.proxy_rules),
                approval_rules=checked(new.approval_rules, "approval_rules"),
                created_at=now,
                updated_at=now,
            )
            if store.by_name(tx, environment_id, connection.name, connection.owner_kind) is not None:
                raise _exists(connection)
            if new.definition is not None:
                define(tx, environment_id, new.definition, actor, now)
            store.add(tx, connection)
            if client is not None:
                store.add_client(tx, client)
            log.append(tx, connection_entry(connection, Action.CONNECTION_CREATED, actor, now))
            return connection

        try:
            return await self._database.transact(work)
        except IntegrityError:
            raise Conflict(
                f"there is a {new.owner_kind}-owned data integration '{new.name or new.provider_slug}' already"
            ) from None

    def _provider_for(self, tx: Tx, environment_id: str, new: NewConnection) -> Provider:
        if new.definition is None:
            # Locked, so that nobody deletes it between this look and the connection's row.
            own = None
            if self.built_in(new.provider_slug) is None:
                own = provider_store.custom(tx, environment_id, new.provider_slug, lock=True)
            return own.provider if own is not None else self.provider(tx, environment_id, new.provider_slug)
        if provider_store.get(tx, environment_id, new.provider_slug) is not None:
            raise Conflict(
                f"the custom provider '{new.provider_slug}' exists: leave custom_provider out to add an ownership"
            )
        return new.definition

    async def update(
        self, environment_id: str, name: str, owner_kind: OwnerKind, changes: Changes, actor: Actor
    ) -> Connection:
        """Change a connection. A new secret for the same client id keeps the former one as a fallback; a new client id
        makes a new client, and accounts stay with the one they were granted to."""
        now = self._clock.now()
        await self._vault.ready(environment_id)
        current = await self._database.transact(lambda tx: self._with_client(tx, environment_id, name, owner_kind))
        change = changed_client(self._vault, current[0], "", current[1], changes.client, now)
        if changes.definition is not None:
            custom.check_custom(
                changes.definition, catalogue_has=lambda _: False, allow_http=self._allow_http, exists=True
            )

        def work(tx: Tx) -> Connection:
            found = self.find(tx, environment_id, name, owner_kind)
            before = store.by_id(tx, environment_id, found.id, lock="update")  # the whole row is written back
            if before is None:
                raise NotFound(f"there is no {owner_kind}-owned data integration '{name}'")
            if changes.client is not None and (before.method != "oauth" or before.client_supply != "custom"):
                raise Invalid("credentials can be set on OAuth integrations with credentials of type custom only")
            connection = _changed(before, changes, now)
            provider = self.provider(tx, environment_id, before.provider_slug)
            if changes.oauth_settings:
                settings = merged(before.oauth_settings, changes.oauth_settings, provider)
                connection = replace(connection, oauth_settings=settings)
            if changes.config is not None:
                connection = replace(connection, config=check_config(provider, changes.config, scope="integration"))
            if change is not None:
                change.store(tx)
                connection = replace(
                    connection, client_ref=change.client.id, alert=None, alert_at=None, alert_client_ref=None
                )
            if changes.definition is not None:
                secret_given = changes.client is not None and changes.client.client_secret is not None
                fresh = change.client if change and secret_given else None
                redefine(tx, environment_id, changes.definition, actor, now, keep=fresh.id if fresh else None)
            store.save(tx, connection)
            log.append(tx, connection_entry(connection, Action.CONNECTION_UPDATED, actor, now, before))
            if change is not None and before.alert_client_ref is not None:
                log.append(tx, alert_ended(before, actor, now, client_changed=True))
            return connection

        return await self._database.transact(work)

    async def override(
        self, environment_id: str, organization_id: str, name: str, changes: OverrideChanges, actor: Actor
    ) -> Override:
        """Set what one organization changes. Raises NotFound if no connection has that name."""
        now = self._clock.now()
        await self._vault.ready(environment_id)

        def read(tx: Tx) -> tuple[Connection, Override | None, Client | None]:
            connection = self.any_of_name(tx, environment_id, name)
            before = store.override(tx, environment_id, organization_id, name)
            ref = before.client_ref if before else None
            return connection, before, store.client(tx, environment_id, ref) if ref else None

        connection, _, existing = await self._database.transact(read)
        if connection.client_supply != "organization" and (changes.client or changes.config):
            raise Invalid(
                "client_id, client_secret and config are for integrations where each organization supplies its own"
            )
        change = changed_client(self._vault, connection, organization_id, existing, changes.client, now)

        def work(tx: Tx) -> Override:
            locked = store.by_id(tx, environment_id, connection.id, lock="update")  # one change of overrides at a time
            before = store.override(tx, environment_id, organization_id, name)
            provider = self.provider(tx, environment_id, connection.provider_slug)
            record = before or Override(
                environment_id=environment_id,
                id=ids.new_id(now),
                organization_id=organization_id,
                name=name,
                created_at=now,
                updated_at=now,
            )
            values: dict[str, Any] = {"updated_at": now}
            if changes.enabled is not None:
                values["enabled"] = changes.enabled
            if not isinstance(changes.scopes, UnsetType):
                values["scopes"] = None if changes.scopes is None else tuple(changes.scopes)
            if changes.config is not None:
                values["config"] = check_config(provider, changes.config, scope=None)
            elif changes.context is not None:
                values["config"] = _context(connection, provider, changes.context)
            if change is not None:
                change.store(tx)
                values["client_ref"] = change.client.id
            record = replace(record, **values)
            store.save_override(tx, record)
            overridden = connection_entry(connection, Action.CONNECTION_OVERRIDDEN, actor, now)
            log.append(tx, replace(overridden, organization_id=organization_id))
            ref = before.client_ref if before is not None and change is not None else None
            if locked is not None and ref and store.clear_alert(tx, environment_id, connection.id, ref):
                ended = alert_ended(locked, actor, now, client_changed=True)
                log.append(tx, replace(ended, organization_id=organization_id))
            return record

        return await self._database.transact(work)

    def any_of_name(self, tx: Tx, environment_id: str, name: str) -> Connection:
        """Return the connection that an organization's settings of that name belong to. Raises NotFound.

        Of two, the one whose client each organization supplies, else the user-owned one.
        """
        roots = [store.by_name(tx, environment_id, name, kind) for kind in OWNER_KINDS]
        found = [root for root in roots if root is not None]
        if not found:
            raise NotFound(f"there is no data integration '{name}'")
        return next((root for root in found if root.client_supply == "organization"), found[0])

    def _with_client(
        self, tx: Tx, environment_id: str, name: str, owner_kind: OwnerKind
    ) -> tuple[Connection, Client | None]:
        connection = self.find(tx, environment_id, name, owner_kind)
        ref = connection.client_ref
        return connection, store.client(tx, environment_id, ref) if ref else None


def _check_new(new: NewConnection, provider: Provider) -> None:
    methods = provider.connect_methods()
    if new.method not in methods:
        raise Invalid(
            f"'{provider.slug}' connects by {' or '.join(methods)}, not by {new.method}",
            fields=[{"field": "auth_methods", "code": "unsupported_auth_method"}],
        )
    if new.method != "oauth":
        if new.client is not None or new.client_supply is not None:
            raise Invalid(
                "credentials are for OAuth integrations",
                fields=[{"field": "credentials", "code": "unexpected"}],
            )
        return
    if new.client_supply is None:
        raise Invalid("an OAuth integration needs credentials", fields=[{"field": "credentials", "code": "required"}])
    secret_required = provider.oauth2 is None or (
        provider.oauth2.client_secret_required and provider.oauth2.client_auth != "none"
    )
    if new.draft and new.client is None:
        return
    if new.client_supply == "custom" and (new.client is None or (secret_required and not new.client.client_secret)):
        raise Invalid(
            "credentials of type custom need client_id and client_secret",
            fields=[{"field": "credentials.client_secret", "code": "required"}],
        )
    if new.client_supply == "organization" and new.client is not None:
        raise Invalid(
            "credentials of type organization are supplied by each organization: leave client_id and client_secret out",
            fields=[{"field": "credentials.client_id", "code": "unexpected"}],
        )
    if provider.oauth2 is not None and provider.oauth2.scopes_required and not (new.scopes or provider.oauth2.scopes):
        raise Invalid("this provider needs scopes", fields=[{"field": "scopes", "code": "required"}])


def _name_for(tx: Tx, environment_id: str, new: NewConnection) -> str:
    """Return the name asked for, else the provider's slug, else the spare one."""
    if new.name is not None or new.spare_name is None:
        return new.name or new.provider_slug
    taken = any(store.by_name(tx, environment_id, new.provider_slug, kind) for kind in OWNER_KINDS)
    return new.spare_name if taken else new.provider_slug


def _context(connection: Connection, provider: Provider, given: Mapping[str, str]) -> dict[str, str]:
    """Return an organization's values, checked. Not what the connection fixes for everybody: with its client, other
    values could send that client's secret elsewhere. None is required: accounts are asked for those left out."""
    if connection.client_supply == "organization":
        return check_config(provider, given, scope=None)
    left_out = {name: "" for name in provider.config if name not in given}
    return check_config(provider, given, scope="installation", pinned={**left_out, **connection.config})


def _changed(before: Connection, changes: Changes, now: float) -> Connection:
    values: dict[str, Any] = {"updated_at": now}
    if not isinstance(changes.description, UnsetType):
        values["description"] = changes.description
    if changes.enabled is not None:
        values["enabled"] = changes.enabled
    if not isinstance(changes.scopes, UnsetType):
        values["scopes"] = None if changes.scopes is None else tuple(changes.scopes)
    if changes.required_scopes is not None:
        values["required_scopes"] = tuple(changes.required_scopes)
    if changes.callback_by_id is not None:
        values["callback_by_id"] = changes.callback_by_id
    if changes.revokes is not None:
        values["revokes"] = changes.revokes
    if changes.proxy_rules is not None:
        values["proxy_rules"] = checked(changes.proxy_rules)
    if changes.approval_rules is not None:
        values["approval_rules"] = checked(changes.approval_rules, "approval_rules")
    return replace(before, **values)


def _exists(connection: Connection) -> Conflict:
    return Conflict(f"there is a {connection.owner_kind}-owned data integration '{connection.name}' already")
