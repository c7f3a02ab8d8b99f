"""Checkpoints: signed statements of where a chain ends. Ed25519 (RFC 8032); a key of each environment's own."""

from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from holdfast.clock import iso
from holdfast.vault import Place, Sealed


@dataclass(frozen=True, slots=True)
class SigningKey:
    environment_id: str
    id: str
    public: bytes
    secret: Sealed
    created_at: float

    def place(self) -> Place:
        return Place(self.environment_id, self.id, "checkpoint_key", 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The chain of this environment ended, at that time, with that seal. `at` is whole milliseconds."""

    environment_id: str
    number: int
    at: float
    total: int
    hash: bytes
    key_id: str
    signature: bytes = b""

    def signed(self) -> bytes:
        parts = (self.environment_id, str(self.number), str(self.total), self.hash.hex(), iso(self.at), self.key_id)
        return "\x00".join(("holdfast checkpoint 1", *parts)).encode()

    def is_signed_by(self, public: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(self.signature, self.signed())
        except (InvalidSignature, ValueError):
            return False
        return True
