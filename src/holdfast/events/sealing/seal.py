"""The Seal record, and what is hashed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from holdfast.events.entry import Entry, Line

FORMAT = 1
"""Of what is hashed. Another one gets another number, so that old seals keep their meaning."""
BEGINNING = bytes(32)
"""Stands where the first seal names the one before."""

# Sorted members and shortest numbers: the same bytes for the same entry, whichever engine has kept it.
_canonical = msgspec.json.Encoder(order="deterministic")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The end of a chain: its last seal's number and hash, and how many entries the chain covers."""

    number: int = 0
    total: int = 0
    hash: bytes = BEGINNING


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """`total` counts the environment's entries up to and with this seal's."""

    environment_id: str
    number: int
    at: float
    total: int
    entry_ids: tuple[str, ...]
    entry_hashes: tuple[bytes, ...]
    previous: bytes
    hash: bytes

    @property
    def head(self) -> Head:
        return Head(number=self.number, total=self.total, hash=self.hash)


class Hashed(NamedTuple):
    """An entry as a seal sees it."""

    environment_id: str
    id: str
    position: int
    hash: bytes


class Run(NamedTuple):
    """New entries of one environment, in the log's order."""

    environment_id: str
    ids: Sequence[str]
    hashes: Sequence[bytes]
    positions: Sequence[int]


def joined(runs: Sequence[Run], others: Sequence[Hashed]) -> list[Run]:
    """Return the runs, one to an environment, with the other entries in their places."""
    found = {run.environment_id: run for run in runs}
    by_environment: dict[str, list[Hashed]] = {}
    for entry in others:
        by_environment.setdefault(entry.environment_id, []).append(entry)
    for environment_id, entries in by_environment.items():
        rows = [(entry.position, entry.id, entry.hash) for entry in entries]
        if environment_id in found:
            run = found[environment_id]
            rows += zip(run.positions, run.ids, run.hashes, strict=True)
        positions, ids, hashes = zip(*sorted(rows), strict=True)
        found[environment_id] = Run(environment_id, ids, hashes, positions)
    return list(found.values())


def entry_hash(entry: Entry) -> bytes:
    """Return the SHA-256 of all that an entry says."""
    return hash_of(*msgspec.structs.astuple(Line.of(entry)))


def canonical(said: object) -> msgspec.Raw:
    """Return what `hash_of` makes of a part, to be given to it in the part's place."""
    return msgspec.Raw(_canonical.encode(said))


def hash_of(*said: object) -> bytes:
    return hashlib.sha256(_canonical.encode((FORMAT, *said))).digest()


def seal_on(head: Head, run: Run, at: float) -> Seal:
    """Return the seal of these entries, in this order, behind the chain's end."""
    environment_id, ids, hashes = run.environment_id, tuple(run.ids), tuple(run.hashes)
    number, total = head.number + 1, head.total + len(ids)
    return Seal(
        environment_id=environment_id,
        number=number,
        at=at,
        total=total,
        entry_ids=ids,
        entry_hashes=hashes,
        previous=head.hash,
        hash=_chained(environment_id, number, at, total, ids, hashes, head.hash),
    )


def holds(seal: Seal, head: Head) -> bool:
    """Tell whether a stored seal is unaltered, and follows the one that `head` is of."""
    said = _chained(seal.environment_id, seal.number, seal.at, seal.total, seal.entry_ids, seal.entry_hashes, head.hash)
    return (seal.number, seal.total, seal.previous, seal.hash) == (
        head.number + 1,
        head.total + len(seal.entry_ids),
        head.hash,
        said,
    )


def _chained(
    environment_id: str,
    number: int,
    at: float,
    total: int,
    ids: Sequence[str],
    hashes: Sequence[bytes],
    previous: bytes,
) -> bytes:
    head = _canonical.encode((FORMAT, "seal", environment_id, number, at, total, ids, previous.hex()))
    return hashlib.sha256(head + b"\n" + b"".join(hashes)).digest()
