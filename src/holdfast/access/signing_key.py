"""The record of a key that signs access tokens, and what follows from it without I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.vault import Place, Sealed

SIGNS_FOR = 30 * 86400.0
"""Seconds a key signs before the next one is made."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An RSA key of an environment. `private` is its PEM, sealed; `public` its JWK (RFC 7517), fit for anybody."""

    environment_id: str
    id: str
    private: Sealed
    public: Mapping[str, Any]
    created_at: float
    signs_until: float

    def place(self) -> Place:
        return signing_place(self.environment_id, self.id)

    def signs_at(self, now: float) -> bool:
        return now < self.signs_until


def signing_place(environment_id: str, key_id: str) -> Place:
    return Place(environment_id, key_id, "signing_key", 1)
