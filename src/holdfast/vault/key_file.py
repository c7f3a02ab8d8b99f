"""Key providers hold key-encryption keys and never show them. The default one keeps them in a local file.

The file: one key per line, `holdfast-kek-1 <id> <base64>`; the last line is the current key, the others still unwrap.
It is created once, readable by its owner only, and never overwritten. Whoever has it and the database has everything:
keep a copy away from the database's backups.
"""

import base64
import os
import secrets
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from holdfast.errors import Misconfigured

_MARK = "holdfast-kek-1"


class KeyProvider(Protocol):
    """Wraps and unwraps data keys. `context` is authenticated: a wrapped key opens for its own environment only."""

    current_id: str

    async def wrap(self, data_key: bytes, context: bytes) -> bytes: ...

    async def unwrap(self, wrapped: bytes, key_id: str, context: bytes) -> bytes: ...


class LocalKeyFile:
    def __init__(self, keys: dict[str, AESGCM], current_id: str) -> None:
        self._keys = keys
        self.current_id = current_id

    @classmethod
    def create(cls, path: Path) -> "LocalKeyFile":
        """Make the file with one new key, mode 0600. Raises Misconfigured if it exists or cannot be made."""
        line = f"{_MARK} {secrets.token_hex(4)} {base64.b64encode(secrets.token_bytes(32)).decode()}\n"
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise Misconfigured(f"cannot create the key file {path}: {error.strerror}") from None
        with os.fdopen(handle, "w") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        return cls.load(path)

    @classmethod
    def load(cls, path: Path) -> "LocalKeyFile":
        """Read the file. Raises Misconfigured if it is missing, open to others, or not a key file."""
        try:
            mode = path.stat().st_mode
            lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
        except OSError as error:
            raise Misconfigured(f"cannot read the key file {path}: {error.strerror}") from None
        if mode & 0o077:
            raise Misconfigured(f"the key file {path} can be read by others: run chmod 600 on it")
        keys: dict[str, AESGCM] = {}
        for parts in lines:
            if len(parts) != 3 or parts[0] != _MARK:
                raise Misconfigured(f"{path} is not a Holdfast key file")
            try:
                keys[parts[1]] = AESGCM(base64.b64decode(parts[2], validate=True))
            except ValueError:
                raise Misconfigured(f"the key file {path} holds a damaged key: {parts[1]}") from None
        if not keys:
            raise Misconfigured(f"the key file {path} is empty")
        return cls(keys, lines[-1][1])

    async def wrap(self, data_key: bytes, context: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._keys[self.current_id].encrypt(nonce, data_key, context)

    async def unwrap(self, wrapped: bytes, key_id: str, context: bytes) -> bytes:
        key = self._keys.get(key_id)
        if key is None:
            raise Misconfigured(f"the database was sealed with key {key_id}, which the key file does not hold")
        try:
            return key.decrypt(wrapped[:12], wrapped[12:], context)
        except InvalidTag:
            raise Misconfigured(
                f"key {key_id} does not unwrap this database's data key: wrong or altered key"
            ) from None
