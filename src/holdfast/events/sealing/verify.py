"""Verifying: walk an environment's chain from its beginning, and name the first thing that is not as it was sealed."""

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.clock import iso
from holdfast.events import store as log
from holdfast.events.gathered import is_marked
from holdfast.events.order import SEALED
from holdfast.events.sealing import store
from holdfast.events.sealing.checkpoint import Checkpoint
from holdfast.events.sealing.seal import Head, Seal, entry_hash, holds
from holdfast.storage import Database

PAGE = 20
"""Seals fetched at once."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The first thing amiss. `entry_id` is empty where a seal or a checkpoint, and no single entry, is to blame."""

    what: str
    seal: int = 0
    entry_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    environment_id: str
    seals: int
    entries: int
    checkpoints: int
    finding: Finding | None


class Verifier:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def verify(self, environment_id: str, kept: Sequence[tuple[Checkpoint, bytes]] = ()) -> Verified:
        """Check every sealed entry, the chain, the stored checkpoints, and those `kept` elsewhere (with their keys)."""
        walk = _Walk()
        # Before the walk: a server that runs beside it goes on sealing.
        cursor = await self._database.transact(lambda tx: log.peek_cursor(tx, SEALED))
        if cursor is not None and cursor.environment_id == environment_id:
            walk.awaited = cursor.entry_id
        checkpoints = await self._database.transact(lambda tx: store.list_checkpoints(tx, environment_id))
        keys = await self._database.transact(lambda tx: store.keys(tx, environment_id))
        publics = {key.id: key.public for key in keys}
        expected: dict[int, list[Checkpoint]] = {}
        for checkpoint in [*checkpoints, *(item for item, _ in kept)]:
            expected.setdefault(checkpoint.number, []).append(checkpoint)
        finding = _signatures(checkpoints, publics) or _kept_signatures(kept, publics)
        # So far and no further: a chain that grows as fast as it is walked would have no end.
        last = await self._database.transact(lambda tx: store.last_sealed(tx, environment_id))
        end = last[0] if last else 0
        while finding is None and walk.head.number < end:
            after = walk.head.number
            seals = await self._database.transact(
                lambda tx, after=after: store.list_seals(tx, environment_id, after=after, limit=PAGE)  # type: ignore[misc]
            )
            for seal in seals:
                if seal.number > end:
                    break
                finding = await self._seal(walk, seal) or _against(seal.head, expected.get(seal.number, []))
                if finding is not None:
                    break
                walk.head = seal.head
                walk.last_entry = seal.entry_ids[-1]
                if walk.awaited in seal.entry_ids:
                    walk.awaited = ""
            if len(seals) < PAGE:
                break
        finding = finding or await self._tail(environment_id, walk, expected)
        return Verified(
            environment_id=environment_id,
            seals=walk.head.number,
            entries=walk.head.total,
            checkpoints=len(checkpoints) + len(kept),
            finding=finding,
        )

    async def _seal(self, walk: "_Walk", seal: Seal) -> Finding | None:
        if seal.number != walk.head.number + 1:
            return Finding(f"seal {walk.head.number + 1} is missing", walk.head.number + 1)
        which = seal.environment_id, seal.entry_ids
        found, marks = await self._database.transact(lambda tx: (log.by_ids(tx, *which), log.marks_beside(tx, *which)))
        # The entries before the seal itself: who changed both is told which entry it is.
        for entry_id, sealed in zip(seal.entry_ids, seal.entry_hashes, strict=False):
            if entry_id not in found:
                return Finding("an entry is missing", seal.number, entry_id)
            position, entry = found[entry_id]
            if entry_hash(entry) != sealed:
                return Finding("an entry was changed", seal.number, entry_id)
            if not is_marked(entry, marks.get(entry_id)):  # no part of the hash, but its reads are found by them
                return Finding("the marks of an entry were changed", seal.number, entry_id)
            if position <= walk.position:
                return Finding("an entry is out of its order", seal.number, entry_id)
            walk.position = position
        if len(seal.entry_ids) != len(seal.entry_hashes) or not seal.entry_ids or not holds(seal, walk.head):
            return Finding(
                "a seal was changed, or does not follow the one before",
                seal.number,
                seal.entry_ids[0] if seal.entry_ids else "",
            )
        return None

    async def _tail(self, environment_id: str, walk: "_Walk", expected: dict[int, list[Checkpoint]]) -> Finding | None:
        """What only the end of the chain shows: a tail that was cut, entries slipped in, a cursor that knew more."""
        beyond = [item for number in sorted(expected) if number > walk.head.number for item in expected[number]]
        if beyond:
            first = beyond[0]
            return Finding(
                f"the log's tail is cut: a checkpoint of {iso(first.at)} knows of {first.total} entries and seal "
                f"{first.number}; there are {walk.head.total} and {walk.head.number}, the last entry being "
                f"{walk.last_entry or 'none'}",
                walk.head.number + 1,
            )
        there = await self._database.transact(lambda tx: log.count_up_to(tx, environment_id, walk.position))
        if there != walk.head.total:
            return await self._slipped_in(environment_id, walk)
        if walk.awaited:
            return Finding(
                f"the log's tail is cut: {walk.awaited} was sealed last, and the chain ends with "
                f"{walk.last_entry or 'nothing'}",
                walk.head.number + 1,
                walk.awaited,
            )
        return None

    async def _slipped_in(self, environment_id: str, walk: "_Walk") -> Finding:
        sealed: set[str] = set()
        after = 0
        while seals := await self._database.transact(
            lambda tx, after=after: store.list_seals(tx, environment_id, after=after, limit=PAGE)  # type: ignore[misc]
        ):
            sealed.update(entry_id for seal in seals for entry_id in seal.entry_ids)
            after = seals[-1].number
        there = await self._database.transact(lambda tx: log.ids_up_to(tx, environment_id, walk.position))
        first = next((entry_id for entry_id in there if entry_id not in sealed), "")
        return Finding("an entry was slipped in behind the seals", 0, first)


@dataclass(slots=True)
class _Walk:
    """How far the walk has come."""

    head: Head = Head()  # noqa: RUF009  (frozen)
    position: int = 0
    last_entry: str = ""
    awaited: str = ""
    """The entry that was sealed last when the walk began, until it is met."""


def _against(head: Head, checkpoints: Sequence[Checkpoint]) -> Finding | None:
    for item in checkpoints:
        if (item.hash, item.total) != (head.hash, head.total):
            return Finding(
                f"the chain was made anew: it is not the one that the checkpoint of {iso(item.at)} was signed for",
                head.number,
            )
    return None


def _signatures(checkpoints: Sequence[Checkpoint], publics: dict[str, bytes]) -> Finding | None:
    for item in checkpoints:
        if not item.is_signed_by(publics.get(item.key_id, b"")):
            return Finding(f"the stored checkpoint of {iso(item.at)} does not carry its key's signature", item.number)
    return None


def _kept_signatures(kept: Sequence[tuple[Checkpoint, bytes]], publics: dict[str, bytes]) -> Finding | None:
    for item, public in kept:
        if not item.is_signed_by(public):
            return Finding(f"the kept checkpoint of {iso(item.at)} was altered: its signature is wrong", item.number)
        if publics.get(item.key_id) != public:
            return Finding(
                f"the kept checkpoint of {iso(item.at)} was signed by a key that this database does not have",
                item.number,
            )
    return None
