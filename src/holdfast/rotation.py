"""Changing the vault's keys while servers run: a new key-encryption key, new data keys, secrets sealed anew.

    key file: new key is current > data keys are wrapped with it, one by one > the old key can be retired
    new data key, known > `headway` later it seals > what former ones have sealed is sealed anew, batch by batch

Each step leaves a state that servers serve in, and looks for what is left to do: after a kill the same command goes on.
Nothing waits for it: a value is replaced only where it still is, byte for byte, what was read, so that a refresh
under way loses nothing. Former data keys are kept: they open what nobody has seen yet, and cost nothing.

The system is an owner of data keys like each environment. Keyed hashes stay derived from its first one.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from holdfast import ids
from holdfast.access import store as access_store
from holdfast.accounts.revocations import store as revocation_store
from holdfast.accounts.store import table as account_table
from holdfast.approvals import store as approval_store
from holdfast.authorization import store as attempt_store
from holdfast.clock import Clock
from holdfast.connections import store as connection_store
from holdfast.errors import Conflict, NotFound
from holdfast.events import Action, Actor, Entry
from holdfast.events import store as log
from holdfast.events.sealing import store as seal_store
from holdfast.storage import Connection as Tx
from holdfast.storage import Database
from holdfast.vault import LocalKeyFile, Sealed, Vault
from holdfast.vault import store as vault_store
from holdfast.vault.sealed import CannotOpen, version_of
from holdfast.vault.store import Kept, SealedColumn
from holdfast.vault.vault import SYSTEM, Also
from holdfast.webhooks import store as webhook_store

HEADWAY = 30.0
"""Seconds from a new data key's making to its first use: six times as long as a server takes to look for it."""
BATCH = 100
"""Values in a transaction: a few milliseconds of SQLite's one writer."""
PASSES = 8
"""A value that a server changes in the moment is left to the next pass. So is one that a server has read before and
writes back as it was. A pass that meets nothing ends it."""
BETWEEN = 0.5
"""Seconds between two passes: what was under way is over by then."""

SEALED: tuple[SealedColumn, ...] = (
    *account_table.SEALED,
    *revocation_store.SEALED,
    *connection_store.SEALED,
    *webhook_store.SEALED,
    *attempt_store.SEALED,
    *approval_store.SEALED,
    *access_store.SEALED,
    *seal_store.SEALED,
)
"""Every column of the database that holds sealed values."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Which keys there are, and what each is used for."""

    wraps: dict[str, int]
    """Data keys by the key-encryption key that wraps them."""
    current: str
    prepared: str | None
    held: tuple[str, ...]
    """Key-encryption keys in the file, oldest first."""
    seals: dict[tuple[str, int], int]
    """Stored secrets by environment and data key version; 0 where a version seals none."""
    sealing: dict[str, int]
    """The version that seals now, by environment."""
    foreign: int = 0
    """Values that are in no sealed format."""

    @property
    def to_wrap(self) -> int:
        return sum(count for key_id, count in self.wraps.items() if key_id != self.current)

    @property
    def to_seal(self) -> int:
        return sum(count for (name, version), count in self.seals.items() if version != self.sealing.get(name))


@dataclass(slots=True)
class Progress:
    """How far sealing anew has come. `stuck`: places whose value does not open, and is left as it is."""

    resealed: int = 0
    met: int = 0
    """Values that could be sealed anew, whether they were or somebody was first."""
    stuck: set[str] = field(default_factory=set)


class Rotation:
    def __init__(self, database: Database, vault: Vault, keys: LocalKeyFile, clock: Clock, actor: Actor) -> None:
        self._database, self._vault, self._keys, self._clock, self._actor = database, vault, keys, clock, actor

    async def standing(self) -> Standing:
        def read(tx: Tx) -> tuple[list[vault_store.Row], Counter[tuple[str, bytes]]]:
            found: Counter[tuple[str, bytes]] = Counter()
            for one in SEALED:
                found.update(vault_store.count_by_version(tx, one))
            return vault_store.load(tx), found

        self._keys.reread()
        rows, found = await self._database.transact(read)
        seals = {(name, version): 0 for name, version, *_ in rows}
        foreign = 0
        for (name, head), count in found.items():
            version = version_of(head)
            if version is None:
                foreign += count
            else:
                seals[name, version] = seals.get((name, version), 0) + count
        now = self._clock.now()
        return Standing(
            wraps=dict(Counter(wrapped_by for *_, wrapped_by, _ in rows)),
            current=self._keys.current_id,
            prepared=self._keys.prepared_id,
            held=tuple(one.id for one in self._keys.held),
            seals=seals,
            sealing={name: version for name, version, *_, seals_at in rows if seals_at <= now},
            foreign=foreign,
        )

    # The key-encryption key

    async def prepare(self) -> str:
        """Add a key to the file that only unwraps so far, for the file to be brought to every machine; return its id.
        Returns the one that is prepared already. Raises Misconfigured if the file cannot be changed."""
        return await self._changing_file(lambda: self._keys.prepared_id or self._keys.add(prepared=True))

    async def replace(self) -> str:
        """Make a new key, or the prepared one, the current key of the file; return its id. Raises Misconfigured."""

        def change() -> str:
            return self._keys.promote() if self._keys.prepared_id else self._keys.add(prepared=False)

        return await self._changing_file(change)

    async def rewrap(self) -> int:
        """Wrap with the current key every data key that is not; return how many were.

        The system's is the first: by it a server whose key file is an older copy sees that it is.
        """
        count = 0
        rows = await self._database.transact(vault_store.load)
        for name, version, wrapped, wrapped_by, _ in sorted(rows, key=lambda row: row[0] != SYSTEM):
            if wrapped_by != self._keys.current_id:
                data = {"version": version, "key_id": self._keys.current_id, "former_key_id": wrapped_by}
                also = self._telling(name, Action.VAULT_KEY_REWRAPPED, data)
                count += await self._vault.rewrap(name, version, wrapped, wrapped_by, also)
        return count

    async def retire(self, key_id: str) -> None:
        """Take a key out of the file.

        Raises NotFound if it is not there, Conflict while it is the current one or wraps a data key: then nothing has
        happened. The transaction keeps a data key from being wrapped with it meanwhile.
        """

        def work(tx: Tx) -> None:
            vault_store.lock(tx)
            self._keys.reread()
            if key_id not in {one.id for one in self._keys.held}:
                raise NotFound(f"the key file holds no key {key_id}")
            if key_id == self._keys.current_id:
                raise Conflict(f"key {key_id} is the current one: `holdfast vault rotate` first")
            uses = vault_store.wrapping(tx).get(key_id, 0)
            if uses:
                raise Conflict(f"key {key_id} still wraps {uses} data keys: `holdfast vault resume` first")
            for name in sorted({row[0] for row in vault_store.load(tx)}):
                self._telling(name, Action.VAULT_KEY_RETIRED, {"key_id": key_id})(tx)
            self._keys.remove(key_id)

        await self._database.transact(work)

    async def _changing_file(self, change: Callable[[], str]) -> str:
        def work(tx: Tx) -> str:
            vault_store.lock(tx)
            self._keys.reread()
            return change()

        return await self._database.transact(work)

    # Data keys

    async def add_data_keys(self, headway: float = HEADWAY) -> float:
        """Give every environment a new data key; return when (by the clock) they seal.

        An environment whose newest key seals nothing yet has been given it by a run that was killed, and keeps it.
        """
        standing = await self.standing()
        rows = await self._database.transact(vault_store.load)
        newest = {name: (version, seals_at) for name, version, *_, seals_at in rows}
        for name, (version, seals_at) in newest.items():
            if version == 1 or standing.seals.get((name, version)) or seals_at + 86400 < self._clock.now():
                data = {"version": version + 1}
                also = self._telling(name, Action.VAULT_KEY_ADDED, data)
                await self._vault.rotate(name, headway=headway, also=also)
        return await self.seals_at()

    async def seals_at(self) -> float:
        """Return when (by the clock) the newest data key of all seals; 0 if none was ever added."""
        return max((seals_at for *_, seals_at in await self._database.transact(vault_store.load)), default=0.0)

    async def reseal(self) -> AsyncIterator[Progress]:
        """Seal anew what another data key than the current one has sealed, a batch at a time, half of the time idle."""
        await self._vault.look()
        progress = Progress()
        for name in sorted({row[0] for row in await self._database.transact(vault_store.load)}):
            began = progress.resealed
            for number in range(PASSES):
                await asyncio.sleep(BETWEEN if number else 0)
                before = progress.met
                for kept_in in SEALED:
                    async for _ in self._reseal(name, kept_in, progress):
                        yield progress
                if progress.met == before:
                    break
            if progress.resealed > began:
                version = self._vault.current_version(name)
                data = {"version": version, "count": progress.resealed - began}
                await self._database.transact(self._telling(name, Action.VAULT_RESEALED, data))
        yield progress

    async def _reseal(self, name: str, kept_in: SealedColumn, progress: Progress) -> AsyncIterator[None]:
        after, version = "", self._vault.current_version(name)
        while True:
            began = time.monotonic()
            found = await self._database.transact(
                lambda tx, after=after: vault_store.not_under(  # type: ignore[misc]
                    tx, kept_in, name, version, after=after, limit=BATCH
                )
            )
            anew = {kept.id: pair for kept in found if (pair := self._anew(kept, progress)) is not None}
            progress.met += len(anew)
            progress.resealed += await self._database.transact(
                lambda tx, anew=anew: vault_store.replace_sealed(tx, kept_in, name, anew)  # type: ignore[misc]
            )
            if found:
                yield
            if len(found) < BATCH:
                return
            after = found[-1].id
            await asyncio.sleep(time.monotonic() - began)

    def _anew(self, kept: Kept, progress: Progress) -> tuple[bytes, bytes] | None:
        try:
            secret = self._vault.open(Sealed(kept.data), kept.place)
        except CannotOpen:
            progress.stuck.add(f"{kept.place.field} of {kept.place.record}")
            return None
        return kept.data, self._vault.seal(secret, kept.place).data

    def _telling(self, environment_id: str, action: Action, data: Mapping[str, object]) -> Also:
        """Return what writes the entry into the log of whose key it is."""

        def write(tx: Tx) -> None:
            now = self._clock.now()
            log.append(
                tx,
                Entry(
                    environment_id=environment_id,
                    id=ids.new_id(now),
                    at=now,
                    action=action,
                    actor=self._actor,
                    data=data,
                ),
            )

        return write
