"""Making, changing, revealing and deleting webhook endpoints."""

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from holdfast import ids
from holdfast.clock import Clock
from holdfast.errors import Conflict, NotFound, Unprocessable
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.secret import Secret
from holdfast.storage import Connection as Tx
from holdfast.storage import Database
from holdfast.vault import Place, Vault
from holdfast.webhooks import store
from holdfast.webhooks.deliveries import store as deliveries
from holdfast.webhooks.endpoint import Dialect, Endpoint, Status

OVERLAP_SECONDS = 24 * 3600.0
"""How long a former secret goes on signing: a day to bring the new one everywhere."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Endpoints:
    def __init__(self, database: Database, vault: Vault, clock: Clock, *, dev: bool) -> None:
        self._database, self._vault, self._clock, self._dev = database, vault, clock, dev

    async def create(
        self, environment_id: str, url: str, events: Sequence[str], actor: Actor, *, dialect: Dialect = "workos"
    ) -> Endpoint:
        """Make an endpoint with a fresh secret. Raises Unprocessable `invalid_url`, Conflict `duplicate_endpoint`."""
        self._check_url(url)
        await self._vault.ready(environment_id)
        now = self._clock.now()
        endpoint_id = ids.new_id(now)
        place = Place(environment_id, endpoint_id, "webhook_secret", 1)
        endpoint = Endpoint(
            environment_id=environment_id,
            id=endpoint_id,
            url=url,
            status="enabled",
            events=tuple(events),
            secret=self._vault.seal(_new_secret(), place),
            dialect=dialect,
            created_at=now,
            updated_at=now,
        )

        def work(tx: Tx) -> Endpoint:
            if store.by_url(tx, environment_id, url) is not None:
                raise Conflict(f"there is a webhook endpoint for {url} already", code="duplicate_endpoint")
            store.save(tx, endpoint)
            log.append(tx, endpoint_entry(endpoint, "created", actor, now))
            return endpoint

        return await self._database.transact(work)

    async def update(
        self,
        environment_id: str,
        endpoint_id: str,
        *,
        url: str | None,
        status: Status | None,
        events: Sequence[str] | None,
        actor: Actor,
    ) -> Endpoint:
        """Change an endpoint; None leaves as it is. Raises NotFound, Unprocessable, Conflict."""
        if url is not None:
            self._check_url(url)

        def work(tx: Tx) -> Endpoint:
            now = self._clock.now()
            before = _found(store.get(tx, environment_id, endpoint_id, lock=True))
            other = store.by_url(tx, environment_id, url) if url is not None else None
            if other is not None and other.id != endpoint_id:
                raise Conflict(f"there is a webhook endpoint for {url} already", code="duplicate_endpoint")
            after = replace(
                before,
                url=url if url is not None else before.url,
                status=status or before.status,
                events=tuple(events) if events is not None else before.events,
                updated_at=now,
                failing_since=None if status == "enabled" else before.failing_since,
                disabled_reason="" if status is not None else before.disabled_reason,
            )
            store.save(tx, after)
            log.append(tx, endpoint_entry(after, "updated", actor, now))
            return after

        return await self._database.transact(work)

    async def delete(self, environment_id: str, endpoint_id: str, actor: Actor) -> None:
        def work(tx: Tx) -> None:
            endpoint = _found(store.get(tx, environment_id, endpoint_id, lock=True))
            store.remove(tx, environment_id, endpoint_id)
            deliveries.forget_endpoint(tx, environment_id, endpoint_id)
            log.append(tx, endpoint_entry(endpoint, "deleted", actor, self._clock.now()))

        await self._database.transact(work)

    async def rotate(
        self, environment_id: str, endpoint_id: str, actor: Actor, *, overlap: float = OVERLAP_SECONDS
    ) -> Endpoint:
        """Give an endpoint a new secret. For `overlap` seconds the former one signs as well. Raises NotFound.

        A second rotation within that time ends the first one's former secret.
        """
        await self._vault.ready(environment_id)

        def work(tx: Tx) -> Endpoint:
            now = self._clock.now()
            before = _found(store.get(tx, environment_id, endpoint_id, lock=True))
            version = before.secret_version + 1
            after = replace(
                before,
                secret=self._vault.seal(_new_secret(), before.place_of(version)),
                secret_version=version,
                former_secret=before.secret,
                former_until=now + overlap,
                updated_at=now,
            )
            store.save(tx, after)
            log.append(tx, endpoint_entry(after, "secret_rotated", actor, now))
            return after

        return await self._database.transact(work)

    async def reveal(self, endpoint: Endpoint) -> Secret:
        """Return the signing secret."""
        return await self._vault.open_fresh(endpoint.secret, endpoint.secret_place())

    async def show(self, environment_id: str, endpoint_id: str, actor: Actor) -> list[Secret]:
        """Return the signing secret, then the former one while it signs too. Who asked is on record. NotFound."""
        now = self._clock.now()

        def work(tx: Tx) -> Endpoint:
            endpoint = _found(store.get(tx, environment_id, endpoint_id))
            log.append(tx, endpoint_entry(endpoint, "secret_shown", actor, now))
            return endpoint

        endpoint = await self._database.transact(work)
        secrets = [await self.reveal(endpoint)]
        if endpoint.former_secret is not None and endpoint.signs_twice(now):
            secrets.append(await self._vault.open_fresh(endpoint.former_secret, endpoint.former_place()))
        return secrets

    def _check_url(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError:
            parts = urlsplit("")
        local = self._dev and parts.hostname in _LOOPBACK
        allowed = parts.scheme == "https" or (local and parts.scheme == "http")
        if not allowed or not parts.hostname or parts.username is not None or any(ord(c) <= 32 for c in url):
            raise Unprocessable("endpoint_url must be an https URL without user name", code="invalid_url")


def _found(endpoint: Endpoint | None) -> Endpoint:
    if endpoint is None:
        raise NotFound("there is no such webhook endpoint")
    return endpoint


def _new_secret() -> Secret:
    """32 letters and digits are base64 of 24 bytes: both wires take it (Standard Webhooks asks for 24 to 64)."""
    return Secret("whsec_" + ids.opaque(32))


def endpoint_entry(endpoint: Endpoint, what: str, actor: Actor, now: float, **more: str) -> Entry:
    return Entry(
        environment_id=endpoint.environment_id,
        id=ids.new_id(now),
        at=now,
        action=Action.WEBHOOK_ENDPOINT_CHANGED,
        actor=actor,
        data={
            "webhook_endpoint_id": endpoint.id,
            "what": what,
            "url": endpoint.url,
            "status": endpoint.status,
            **more,
        },
    )
