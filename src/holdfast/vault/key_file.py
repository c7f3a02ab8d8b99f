"""Key providers hold key-encryption keys and never show them. The default one keeps them in a local file.

The file: one key per line, `holdfast-kek-1 <id> <base64>`, oldest first; the last one is the current key, the others
still unwrap. A key whose line ends in `prepared` only unwraps so far: it is on its way to every machine. Whoever has
the file and the database has everything: keep a copy away from the database's backups.

It is readable by its owner only, and a change replaces it whole: written beside it, flushed, renamed. Who holds the
file open or reads it meanwhile sees the former one or the new one.
"""

import base64
import contextlib
import os
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from holdfast.errors import Misconfigured

_MARK = "holdfast-kek-1"
_PREPARED = "prepared"


class KeyProvider(Protocol):
    """Wraps and unwraps data keys. `context` is authenticated: a wrapped key opens for its own environment only."""

    @property
    def current_id(self) -> str: ...

    async def wrap(self, data_key: bytes, context: bytes) -> bytes: ...

    async def unwrap(self, wrapped: bytes, key_id: str, context: bytes) -> bytes: ...

    def check_use(self, key_id: str, in_use: Collection[str]) -> bool:
        """Tell whether a key may still be used, given those that wrap the system's data key. Asked in the transaction
        that is to write what the key has wrapped; blocks. Raises Misconfigured if this holder is behind the others."""
        ...


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A line of the file."""

    id: str
    key: bytes = field(repr=False)
    prepared: bool = False

    @classmethod
    def new(cls, *, prepared: bool = False) -> "HeldKey":
        return cls(secrets.token_hex(4), secrets.token_bytes(32), prepared)

    def line(self) -> str:
        return " ".join((_MARK, self.id, base64.b64encode(self.key).decode(), *((_PREPARED,) * self.prepared))) + "\n"


class LocalKeyFile:
    """The keys of a file. One that is changed while the server runs is read again when that matters."""

    def __init__(self, path: Path, held: Sequence[HeldKey], seen: tuple[int, int]) -> None:
        self._path = path
        self._take(held, seen)

    def _take(self, held: Sequence[HeldKey], seen: tuple[int, int]) -> None:
        self.held, self._seen = tuple(held), seen
        self._keys = {one.id: AESGCM(one.key) for one in held}
        self._prepared = {one.id for one in held if one.prepared}
        self._current = [one.id for one in held if not one.prepared][-1]

    @property
    def current_id(self) -> str:
        return self._current

    @property
    def prepared_id(self) -> str | None:
        return next((one.id for one in self.held if one.prepared), None)

    @classmethod
    def create(cls, path: Path) -> "LocalKeyFile":
        """Make the file with one new key, mode 0600. Raises Misconfigured if it exists or cannot be made."""
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise Misconfigured(f"cannot create the key file {path}: {error.strerror}") from None
        _write(handle, [HeldKey.new()])
        _flush_folder(path)  # a key that seals must not be lost with the name of its file
        return cls.load(path)

    @staticmethod
    def is_missing(path: Path) -> bool:
        """Tell whether there is no such file. Raises Misconfigured where that cannot be told."""
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError as error:
            raise Misconfigured(f"cannot read the key file {path}: {error.strerror}") from None
        return False

    @classmethod
    def load(cls, path: Path) -> "LocalKeyFile":
        """Read the file. Raises Misconfigured if it is missing, open to others, or not a key file."""
        return cls(path, *_read(path))

    # Changes, made while nobody else makes one (see `vault.rotation`)

    def add(self, *, prepared: bool) -> str:
        """Add a new key, which is the current one unless it is only prepared. Returns its id. Raises Misconfigured."""
        new = HeldKey.new(prepared=prepared)
        self._replace((*self.held, new))
        return new.id

    def promote(self) -> str:
        """Make the prepared key the current one and return its id. Raises Misconfigured."""
        ready = next(one for one in self.held if one.prepared)
        self._replace((*(one for one in self.held if one is not ready), replace(ready, prepared=False)))
        return ready.id

    def remove(self, key_id: str) -> None:
        """Take a key out of the file. Raises Misconfigured."""
        self._replace(tuple(one for one in self.held if one.id != key_id))

    def reread(self) -> None:
        """Read the file again if it is another one by now. Raises Misconfigured as `load` does."""
        with contextlib.suppress(OSError):  # told by the reading
            if _stamp(self._path) == self._seen:
                return
        self._take(*_read(self._path))

    def _replace(self, held: Sequence[HeldKey]) -> None:
        place = self._path.resolve()  # of a link, what it leads to
        beside = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
        try:
            former = place.stat()
            handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                if (former.st_uid, former.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(handle, former.st_uid, former.st_gid)  # the server must be able to read it
            except OSError:
                os.close(handle)
                raise
            _write(handle, held)
            beside.replace(place)
            _flush_folder(place)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise Misconfigured(f"cannot change the key file {self._path}: {error.strerror}") from None
        self._take(*_read(self._path))

    # What a vault asks

    async def wrap(self, data_key: bytes, context: bytes) -> bytes:
        self.reread()
        nonce = os.urandom(12)
        return nonce + self._keys[self._current].encrypt(nonce, data_key, context)

    async def unwrap(self, wrapped: bytes, key_id: str, context: bytes) -> bytes:
        if key_id not in self._keys:
            self.reread()
        key = self._keys.get(key_id)
        if key is None:
            raise Misconfigured(
                f"the database was sealed with key {key_id}, which the key file does not hold: "
                "it is an older copy, or another installation's"
            )
        try:
            return key.decrypt(wrapped[:12], wrapped[12:], context)
        except InvalidTag:
            raise Misconfigured(
                f"key {key_id} does not unwrap this database's data key: wrong or altered key"
            ) from None

    def check_use(self, key_id: str, in_use: Collection[str]) -> bool:
        self.reread()
        if any(one not in self._keys or one in self._prepared for one in in_use):
            raise Misconfigured(
                f"the key file {self._path} is an older copy: bring the one that `holdfast vault rotate` has changed"
            )
        return key_id in self._keys and key_id not in self._prepared


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns


def _flush_folder(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _write(handle: int, held: Sequence[HeldKey]) -> None:
    with os.fdopen(handle, "w") as file:
        file.writelines(one.line() for one in held)
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> tuple[list[HeldKey], tuple[int, int]]:
    try:
        seen, mode = _stamp(path), path.stat().st_mode
        lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
    except OSError as error:
        raise Misconfigured(f"cannot read the key file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Misconfigured(f"{path} is not a Holdfast key file") from None
    if mode & 0o077:
        raise Misconfigured(f"the key file {path} can be read by others: run chmod 600 on it")
    held: list[HeldKey] = []
    for parts in lines:
        if len(parts) not in (3, 4) or parts[0] != _MARK or parts[3:] not in ([], [_PREPARED]):
            raise Misconfigured(f"{path} is not a Holdfast key file")
        try:
            one = HeldKey(parts[1], base64.b64decode(parts[2], validate=True), len(parts) == 4)
            AESGCM(one.key)
        except ValueError:
            raise Misconfigured(f"the key file {path} holds a damaged key: {parts[1]}") from None
        held.append(one)
    if not any(not one.prepared for one in held):
        raise Misconfigured(f"the key file {path} is empty")
    return held, seen
