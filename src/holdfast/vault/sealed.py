"""Sealed: a ciphertext and nothing else: format (1 byte), data key version (4), nonce (12), AES-256-GCM text and tag.

NIST SP 800-38D: nonces are 96 random bits, so one key seals fewer than 2^32 values; `SEAL_LIMIT` stops well before.
"""

import os
import struct
from collections.abc import Mapping

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from holdfast.errors import HoldfastError

FORMAT = 1
_HEADER = struct.Struct(">BI")
_NONCE = 12
_NONCE_START, _NONCE_END = _HEADER.size, _HEADER.size + _NONCE
_LEAST = _NONCE_END + 16
SEAL_LIMIT = 1 << 31


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a secret belongs. All of it is authenticated with the ciphertext."""

    environment_id: str
    record: str
    field: str
    version: int

    def associated_data(self) -> bytes:
        return f"holdfast\0{self.environment_id}\0{self.record}\0{self.field}\0{self.version}".encode()


class Sealed(msgspec.Struct, frozen=True, gc=False):
    """A sealed secret. Opening it takes the vault and the place it was sealed for."""

    data: bytes

    @property
    def key_version(self) -> int:
        """Return which of its environment's data keys sealed it. Raises CannotOpen for anything that is not ours."""
        data = self.data
        if len(data) < _LEAST or data[0] != FORMAT:
            raise CannotOpen("a stored secret is not in the sealed format: it is refused, never read as plain text")
        version: int = _HEADER.unpack_from(data)[1]
        return version

    def __repr__(self) -> str:
        return "<sealed>"


class CannotOpen(HoldfastError):
    """A ciphertext was altered, moved to another place, or its key is gone."""

    default_code = "cannot_open"


def header(key_version: int) -> bytes:
    """Return what begins each value that a data key of this version has sealed."""
    return _HEADER.pack(FORMAT, key_version)


def version_of(head: bytes) -> int | None:
    """Return the data key version that a header names; None if it is no header of ours."""
    if len(head) != _HEADER.size or head[0] != FORMAT:
        return None
    version: int = _HEADER.unpack(head)[1]
    return version


def seal_with(key: AESGCM, key_version: int, text: str, place: Place) -> Sealed:
    nonce = os.urandom(_NONCE)
    sealed = key.encrypt(nonce, text.encode(), place.associated_data())
    return Sealed(_HEADER.pack(FORMAT, key_version) + nonce + sealed)


def open_with(keys: Mapping[int, AESGCM], sealed: Sealed, place: Place) -> str:
    """Open with the data key that sealed it. Raises CannotOpen, also where that key is not among these."""
    data, version = sealed.data, sealed.key_version
    key = keys.get(version)
    if key is None:
        raise CannotOpen(f"data key {version} of this environment is not loaded")
    try:
        text = key.decrypt(data[_NONCE_START:_NONCE_END], data[_NONCE_END:], place.associated_data())
    except InvalidTag:
        raise CannotOpen(
            f"the stored {place.field} of {place.record} does not open: it was altered, moved or rolled back"
        ) from None
    return text.decode()
