"""Seal and open. Data keys are unwrapped once and kept in memory; a read costs one AES-GCM and no I/O."""

import hmac
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy.exc import IntegrityError

from holdfast.clock import Clock
from holdfast.secret import Secret
from holdfast.storage import Connection, Database
from holdfast.vault import store
from holdfast.vault.key_file import KeyProvider
from holdfast.vault.sealed import SEAL_LIMIT, CannotOpen, Place, Sealed, open_with, seal_with

SYSTEM = "system"
"""The environment-like owner of the key that lookup hashes are made with. Its first
version is what they are made with for ever: hashes must stay equal. What is sealed for it goes over to new ones."""

Also = Callable[[Connection], object]
"""What is written in the same transaction, such as the entry that tells of it."""


def _nothing(_tx: Connection) -> None:
    return None


@dataclass
class _Ring:
    """One environment's data keys. `sealed` counts what the current one has sealed since it was loaded. `next` seals
    from its time on: until then every server has it, and can open what others seal with it."""

    keys: dict[int, AESGCM]
    current: int
    sealed: int = 0
    next: tuple[float, int] | None = None


class Vault:
    def __init__(self, database: Database, key_provider: KeyProvider, clock: Clock) -> None:
        self._database, self._provider, self._clock = database, key_provider, clock
        self._rings: dict[str, _Ring] = {}
        self._lookup_key = b""

    async def start(self) -> None:
        """Unwrap every data key, making the system key on first use. Raises Misconfigured if the key does not fit."""
        await self._load(None)
        if SYSTEM not in self._rings:
            await self.add_environment(SYSTEM)

    async def add_environment(self, environment_id: str) -> None:
        """Give an environment its first data key. Does nothing if it has one."""
        await self._add_key(environment_id, 1)

    async def rotate(self, environment_id: str, *, headway: float = 0.0, also: Also = _nothing) -> int:
        """Make a new data key and return its version; `headway` seconds from now it is the one that seals. What the
        former ones sealed still opens. `also` is done in the same transaction."""
        await self.ready(environment_id)  # another process may have made it since this one has looked
        version = max(self._ring(environment_id).keys) + 1
        await self._add_key(environment_id, version, headway, also)
        return version

    async def look(self) -> None:
        """Take over the data keys that other processes have made. For a loop in each server."""
        await self._load(None)

    async def rewrap(self, environment_id: str, version: int, wrapped: bytes, wrapped_by: str, also: Also) -> bool:
        """Wrap a data key with the current key-encryption key, if it is wrapped as told. `also` as in `rotate`.

        Raises Misconfigured if the key file is behind the others'."""
        context = _context(environment_id, version)
        data_key = await self._provider.unwrap(wrapped, wrapped_by, context)
        while True:
            anew = await self._provider.wrap(data_key, context)
            by = self._provider.current_id

            def work(tx: Connection, anew: bytes = anew, by: str = by) -> bool:
                in_use = store.wrapping(tx, SYSTEM)
                done = store.rewrap(tx, environment_id, version, was=wrapped, wrapped=anew, wrapped_by=by)
                if done:
                    self._check_use(by, in_use)
                    also(tx)
                return done

            try:
                return await self._database.transact(work)
            except _Retired:
                continue

    def current_version(self, environment_id: str) -> int:
        """Return the data key that seals now."""
        ring = self._ring(environment_id)
        self._turn(ring)
        return ring.current

    async def ready(self, environment_id: str) -> None:
        """Make sure the environment's keys are in memory. Free when they are."""
        if environment_id not in self._rings:
            await self._load(environment_id)

    async def check(self) -> None:
        """Have the key provider wrap and unwrap something. Raises what it raises; keys in memory serve on."""
        context, key = b"holdfast readiness", secrets.token_bytes(32)
        await self._provider.unwrap(await self._provider.wrap(key, context), self._provider.current_id, context)

    def seal(self, secret: Secret, place: Place) -> Sealed:
        """Seal for exactly this place. Raises CannotOpen if the environment has no key or its key is worn out."""
        ring = self._ring(place.environment_id)
        if ring.next is not None:
            self._turn(ring)
        if ring.sealed >= SEAL_LIMIT:
            raise CannotOpen("this environment's data key has sealed its limit: rotate it")
        ring.sealed += 1
        return seal_with(ring.keys[ring.current], ring.current, secret.reveal(), place)

    def open(self, sealed: Sealed, place: Place) -> Secret:
        """Open what was sealed for this place. Raises CannotOpen if it was altered, moved or rolled back."""
        return Secret(open_with(self._ring(place.environment_id).keys, sealed, place))

    async def open_fresh(self, sealed: Sealed, place: Place) -> Secret:
        """As `open`, after fetching the environment's keys again if another process has rotated them meanwhile."""
        await self.ready(place.environment_id)
        if sealed.key_version not in self._ring(place.environment_id).keys:
            await self._load(place.environment_id)
        return self.open(sealed, place)

    def lookup_hash(self, purpose: str, text: str) -> str:
        """Return a keyed hash (HMAC-SHA256, hex) to find a high-entropy value by, without keeping the value."""
        return hmac.digest(self._lookup_key, f"{purpose}\x00{text}".encode(), "sha256").hex()

    def _ring(self, environment_id: str) -> _Ring:
        ring = self._rings.get(environment_id)
        if ring is None:
            raise CannotOpen("this environment has no data key: it was destroyed, or never made")
        return ring

    def _turn(self, ring: _Ring) -> None:
        """Go over to the next key if its time has come."""
        if ring.next is not None and self._clock.now() >= ring.next[0]:
            ring.current, ring.sealed, ring.next = ring.next[1], 0, None

    async def _add_key(self, environment_id: str, version: int, headway: float = 0.0, also: Also = _nothing) -> None:
        while True:
            wrapped = await self._provider.wrap(secrets.token_bytes(32), _context(environment_id, version))
            by, at = self._provider.current_id, self._clock.now()

            def work(tx: Connection, wrapped: bytes = wrapped, by: str = by, at: float = at) -> bool:
                in_use = store.wrapping(tx, SYSTEM)
                store.add(tx, environment_id, version, wrapped, by, at, seals_at=at + headway if headway else 0.0)
                self._check_use(by, in_use)
                also(tx)
                return True

            try:
                await self._database.transact(work)
                break
            except _Retired:
                continue
            except IntegrityError:  # another process was first, and its key is the one
                break
        await self._load(environment_id)

    def _check_use(self, key_id: str, in_use: Collection[str]) -> None:
        """Raise _Retired for a key that is out of use, Misconfigured if our key file is behind. To be asked after what
        it has wrapped is written, which waits for a retirement under way: see `store.lock`."""
        if not self._provider.check_use(key_id, in_use):
            raise _Retired

    async def _load(self, environment_id: str | None) -> None:
        for owner, version, wrapped, wrapped_by, seals_at in await self._database.transact(
            lambda tx: store.load(tx, environment_id)
        ):
            known = self._rings.get(owner)
            if known is None or version not in known.keys:
                data_key = await self._provider.unwrap(wrapped, wrapped_by, _context(owner, version))
                # Only now: a ring that others can see has a key in it.
                ring = self._rings.setdefault(owner, _Ring({}, 0))
                ring.keys[version] = AESGCM(data_key)
                if owner == SYSTEM and version == 1:
                    self._lookup_key = _derive(data_key, b"lookup")
                if version > ring.current:
                    if ring.current and seals_at > self._clock.now():
                        ring.next = (seals_at, version)
                    else:
                        ring.current, ring.sealed, ring.next = version, 0, None


class _Retired(Exception):
    """The key-encryption key was taken out of use while something was wrapped with it."""


def _context(environment_id: str, version: int) -> bytes:
    return f"holdfast data key\x00{environment_id}\x00{version}".encode()


def _derive(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"holdfast " + purpose).derive(key)
