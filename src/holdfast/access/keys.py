"""Making, checking and revoking API keys; making an environment."""

import secrets
from collections import OrderedDict
from hashlib import blake2b

from sqlalchemy.exc import IntegrityError

from holdfast import ids
from holdfast.access import store
from holdfast.access.principal import ApiKey, Environment, Principal
from holdfast.clock import Clock
from holdfast.errors import Unauthenticated
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.secret import Secret
from holdfast.storage import Connection, Database
from holdfast.vault import Vault

KEY_PREFIX = "sk_"
_KEY_LENGTH = 43
"""Letters and digits: 256 bits, so that a key cannot be guessed and its keyed hash can be looked up directly."""

LONGEST_TOKEN = 200
MOST_MET = 10_000
"""Keys remembered by their hash. The one met first goes first, and is looked up again when it comes back."""


_OPERATOR = Actor("operator")


class Keys:
    """Makes, checks and revokes API keys."""

    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._database, self._vault, self._clock = database, vault, clock
        self._met: OrderedDict[bytes, Principal] = OrderedDict()
        self._print_key = secrets.token_bytes(32)

    def recall(self, token: str) -> Principal | None:
        """Return whom this key stood for when it was last checked, without asking the database.

        The key may have been revoked since: only for what checks `key_id` itself, in the transaction it acts in.
        """
        return self.recall_print(self.print_of(token)) if len(token) <= LONGEST_TOKEN else None

    def recall_print(self, printed: bytes) -> Principal | None:
        """As `recall`, of a key by what `print_of` returned for it."""
        return self._met.get(printed)

    def print_of(self, token: str) -> bytes:
        """Return a keyed hash to remember a key by in this process: its own, as the stored one takes four times as long
        and this is needed at every read."""
        return blake2b(token.encode(), digest_size=32, key=self._print_key).digest()

    async def authenticate(self, token: str) -> Principal:
        """Return the principal of a key. Raises Unauthenticated for an unknown or revoked one."""
        if not token.startswith(KEY_PREFIX) or len(token) > LONGEST_TOKEN:
            raise Unauthenticated("the API key is not valid: send `Authorization: Bearer sk_...`")
        hashed = self._vault.lookup_hash("api_key", token)
        key = await self._database.transact(lambda tx: store.key_by_hash(tx, hashed))
        if key is None or key.revoked_at is not None:
            self._met.pop(self.print_of(token), None)
            raise Unauthenticated("the API key is not valid: it is unknown or was revoked")
        await self._vault.ready(key.environment_id)
        principal = self._met[self.print_of(token)] = Principal(key.environment_id, key.id, key.name)
        if len(self._met) > MOST_MET:
            self._met.popitem(last=False)
        return principal

    async def create(self, environment_id: str, name: str, actor: Actor) -> tuple[ApiKey, Secret]:
        """Make a key. Its text is returned this once and kept nowhere."""
        text = KEY_PREFIX + ids.opaque(_KEY_LENGTH)
        now = self._clock.now()
        key = ApiKey(environment_id, ids.new_id(now), name, self._vault.lookup_hash("api_key", text), text[-4:], now)

        def work(tx: Connection) -> None:
            store.add_key(tx, key)
            log.append(tx, _key_entry(key, Action.API_KEY_CREATED, actor, now))

        await self._database.transact(work)
        return key, Secret(text)

    async def revoke(self, environment_id: str, key_id: str, actor: Actor) -> bool:
        """Revoke a key now. False if there is no such key in force."""
        now = self._clock.now()

        def work(tx: Connection) -> bool:
            key = store.revoke_key(tx, environment_id, key_id, now)
            if key is not None:
                log.append(tx, _key_entry(key, Action.API_KEY_REVOKED, actor, now))
            return key is not None

        return await self._database.transact(work)


def _key_entry(key: ApiKey, action: Action, actor: Actor, now: float) -> Entry:
    return Entry(
        environment_id=key.environment_id,
        id=ids.new_id(now),
        at=now,
        action=action,
        actor=actor,
        data={"api_key_id": key.id, "name": key.name, "last4": key.last4},
    )


async def ensure_environment(
    database: Database, vault: Vault, clock: Clock, name: str, actor: Actor = _OPERATOR
) -> tuple[Environment, bool]:
    """Return the environment of that name, made with its data key if there was none; and whether it is new."""
    found = await database.transact(lambda tx: store.environment_by_name(tx, name))
    if found is not None:
        return found, False
    now = clock.now()
    environment = Environment(ids.new_id(now), name, now)
    # The key first: an environment without one could accept nothing; a key without an environment harms nobody.
    await vault.add_environment(environment.id)

    def work(tx: Connection) -> Environment:
        first = store.environment_by_name(tx, name)
        if first is not None:
            return first
        store.add_environment(tx, environment)
        created = Entry(
            environment_id=environment.id,
            id=ids.new_id(now),
            at=now,
            action=Action.ENVIRONMENT_CREATED,
            actor=actor,
            data={"name": name},
        )
        log.append(tx, created)
        return environment

    try:
        made = await database.transact(work)
    except IntegrityError:  # another process made it at the same moment
        made = await database.transact(work)
    return made, made.id == environment.id
