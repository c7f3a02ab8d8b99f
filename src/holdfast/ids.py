"""Identifiers: ULIDs inside, a prefix added by each door; and random values that nobody can guess.

A ULID made here sorts after every ULID this process made before it (monotonic within a millisecond), so a log read in
id order is read in the order it was written.
"""

import os
import re
import secrets
import string
import threading
import time

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(first + second for first in _CROCKFORD for second in _CROCKFORD)
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_ALPHANUMERIC = string.ascii_letters + string.digits

_BLOCK = 1024
"""Ids that share one draw of random bits, within a millisecond: a system call for each would be most of its cost."""

_lock = threading.Lock()
_stamp, _block, _head, _next = 0, 0, "", _BLOCK


def new_id(at: float | None = None) -> str:
    """Return a new ULID (26 Crockford characters). `at` in seconds stamps it with another time than now.

    Not a secret: the ids of one millisecond follow one another, after 70 random bits.
    """
    global _stamp, _block, _head, _next
    stamp = int((time.time() if at is None else at) * 1000)
    with _lock:
        # A clock that was set back a little must not break the order; set back far, order begins anew from there.
        behind = _stamp - 10_000 < stamp <= _stamp
        if not behind or _next == _BLOCK:
            _block = _block + 1 if behind else stamp << 70 | secrets.randbits(70)
            _stamp, _head, _next = _block >> 70, encode(_block << 10)[:-2], 0
        number, _next = _next, _next + 1
        return _head + _PAIRS[number]


def new_ids(count: int, at: float | None = None) -> list[str]:
    """Return that many new ULIDs, each after the one before: what `new_id` returns, called so often, for less."""
    if count <= 0:
        return []
    found = [new_id(at)]
    global _next
    with _lock:  # what is left of the block of ids; another thread may have begun a new one, which is as good
        first, _next = _next, min(_BLOCK, _next + count - 1)
        found += [_head + pair for pair in _PAIRS[first:_next]]
    return found + new_ids(count - len(found), at)


def _forget() -> None:
    """Begin anew in a forked process: two must not go on with one block."""
    global _stamp, _next
    _stamp, _next = 0, _BLOCK


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def encode(value: int) -> str:
    """Write a 128-bit number as a ULID."""
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(120, -10, -10)])


def decode(ulid: str) -> int:
    """Return the 128-bit number of a ULID. Raises ValueError for a character that none has."""
    value = 0
    for character in ulid:
        value = value << 5 | _CROCKFORD.index(character)
    return value


def millisecond_of(ulid: str) -> str:
    """Return the part of a ULID that says its millisecond: the same in all that were made in it."""
    return ulid[:10]


def time_of(ulid: str) -> float:
    """Return when a ULID was made, in seconds."""
    return (decode(ulid) >> 80) / 1000


def first_at(at: float) -> str:
    """Return the lowest ULID of that moment's millisecond: all that were made earlier sort before it."""
    return encode(min(max(int(at * 1000), 0), 2**48 - 1) << 80)


def is_id(text: str) -> bool:
    """Tell whether `text` is a ULID in canonical (upper) case."""
    return _ULID.fullmatch(text) is not None


def with_prefix(prefix: str, ulid: str) -> str:
    return f"{prefix}_{ulid}"


def without_prefix(prefix: str, text: str) -> str | None:
    """Return the ULID of a prefixed id, or None if it is not one."""
    head, _, tail = text.rpartition("_")
    return tail if head == prefix and is_id(tail) else None


def opaque(length: int = 43) -> str:
    """Return `length` random letters and digits: 5.95 bits each, so 43 hold 256 bits and 24 hold 142."""
    return "".join(secrets.choice(_ALPHANUMERIC) for _ in range(length))
