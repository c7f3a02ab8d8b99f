"""Reads of credentials that were made durable together: one entry tells of all of them.

An entry of its own costs a read more than all else that the database does for it, its hash and its place in the counts
included. So reads of one batch by one key through one connection stand in one entry: what they share in its columns,
what they do not in `data`: `count`, and under `reads` of each its account's id, its own, its user's and its request's,
which is empty where it is made of its own (`request_of`). Whoever shows the log shows each of them (`each`).

`marks` are kept beside such an entry, to find the reads of one user among many: they say of most entries that it has
none (a Bloom filter: three bits of 1024 to a user). They are no part of what is hashed.
"""

import zlib
from collections.abc import Iterable
from operator import itemgetter
from typing import Any

from holdfast.events.entry import Entry
from holdfast.events.names import Action

MARKS = 1024
"""Bits. Of 128 users' marks, three in a hundred other users seem to be among them; of 32 users', one in a thousand."""
MOST_BYTES = 3600
"""What an entry tells of its reads, at most: so its row is less than half a page of PostgreSQL's."""


def marks_of(user_ids: Iterable[str]) -> bytes:
    """Return the marks of these users, all together."""
    found = bytearray(MARKS // 8)
    for user_id in user_ids:
        for bit in bits_of(user_id):
            found[bit >> 3] |= 1 << (bit & 7)
    return bytes(found)


def most_gathered(count: int, size: int) -> int:
    """Return into how many reads each of a batch's so many, which take so many bytes to tell of, are gathered."""
    return -(-count // max(1, -(-size // MOST_BYTES)))


def bits_of(user_id: str) -> tuple[int, int, int]:
    """Return which bits are set in the marks of an entry that tells of this user, as `get_bit` counts them."""
    said = zlib.crc32(user_id.encode())
    return said % MARKS, (said >> 10) % MARKS, (said >> 20) % MARKS


def request_of(entry_id: str) -> str:
    """Return the id of a request that is known by its read's."""
    return "req_" + entry_id


def is_marked(entry: Entry, marks: bytes | None) -> bool:
    """Tell whether the marks beside an entry are such that its reads are found by them; an ordinary one has none."""
    if not is_gathered(entry):
        return marks is None
    own = marks_of(user_id for _, _, user_id, _ in entry.data["reads"])
    return marks is not None and len(marks) == len(own) and all(a & b == b for a, b in zip(marks, own, strict=True))


def is_gathered(entry: Entry) -> bool:
    return entry.action is Action.CREDENTIAL_READ and not entry.account_id and "reads" in entry.data


def each(entry: Entry) -> list[Entry]:
    """Return an entry for each read that this one tells of, by id; itself, if it is an ordinary one."""
    if not is_gathered(entry):
        return [entry]
    data: dict[str, Any] = {key: value for key, value in entry.data.items() if key not in ("count", "reads")}
    return [
        Entry(
            environment_id=entry.environment_id,
            id=id_,
            at=entry.at,
            action=entry.action,
            actor=entry.actor,
            account_id=account_id,
            connection_id=entry.connection_id,
            user_id=user_id,
            request_id=request_id or request_of(id_),
            data=data,
        )
        for account_id, id_, user_id, request_id in sorted(entry.data["reads"], key=itemgetter(1))
    ]
