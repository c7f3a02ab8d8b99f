"""Clients: an id and a secret that SDKs sign in with (RFC 6749 section 4.4), beside API keys and kept like them."""

import hmac

from holdfast import ids
from holdfast.access import store
from holdfast.access.principal import ApiKey
from holdfast.access.tokens import CLIENT_PREFIX
from holdfast.clock import Clock
from holdfast.errors import Unauthenticated
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.secret import Secret
from holdfast.storage import Connection, Database
from holdfast.vault import Vault

SECRET_PREFIX = "scs_"  # noqa: S105  (a prefix)
_SECRET_LENGTH = 43
"""Letters and digits: 256 bits, so that a secret cannot be guessed and its keyed hash can be looked up directly."""
_LONGEST = 200


def client_id(client: ApiKey) -> str:
    return ids.with_prefix(CLIENT_PREFIX, client.id)


class Clients:
    """Makes, checks and revokes clients."""

    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._database, self._vault, self._clock = database, vault, clock

    async def create(self, environment_id: str, name: str, actor: Actor) -> tuple[ApiKey, Secret]:
        """Make a client. Its secret is returned this once and kept nowhere."""
        text = SECRET_PREFIX + ids.opaque(_SECRET_LENGTH)
        now = self._clock.now()
        client = ApiKey(environment_id, ids.new_id(now), name, self._hash(text), text[-4:], now, kind="client")

        def work(tx: Connection) -> None:
            store.add_key(tx, client)
            log.append(tx, _client_entry(client, Action.CLIENT_CREATED, actor, now))

        await self._database.transact(work)
        return client, Secret(text)

    async def authenticate(self, given_id: str, secret: Secret) -> ApiKey:
        """Return the client of an id and its secret. Raises Unauthenticated `invalid_client`, the same for all ways
        of being wrong."""
        text = secret.reveal()
        hashed = self._hash(text) if len(text) <= _LONGEST else ""
        found = await self._database.transact(lambda tx: store.key_by_hash(tx, hashed))
        if (
            found is None
            or found.kind != "client"
            or found.revoked_at is not None
            or not hmac.compare_digest(client_id(found).encode(), given_id.encode())
        ):
            raise Unauthenticated("the client id or its secret is not valid", code="invalid_client")
        return found

    async def revoke(self, environment_id: str, key_id: str, actor: Actor) -> bool:
        """Revoke a client and every token it has, now. False if there is no such client in force."""
        now = self._clock.now()

        def work(tx: Connection) -> bool:
            client = store.revoke_key(tx, environment_id, key_id, now, "client")
            if client is not None:
                log.append(tx, _client_entry(client, Action.CLIENT_REVOKED, actor, now))
            return client is not None

        return await self._database.transact(work)

    def _hash(self, text: str) -> str:
        return self._vault.lookup_hash("client_secret", text)


def _client_entry(client: ApiKey, action: Action, actor: Actor, now: float) -> Entry:
    return Entry(
        environment_id=client.environment_id,
        id=ids.new_id(now),
        at=now,
        action=action,
        actor=actor,
        data={"client_id": client_id(client), "name": client.name, "last4": client.last4},
    )
