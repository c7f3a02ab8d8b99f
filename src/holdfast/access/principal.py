"""Environments, API keys, and the Principal a valid key stands for."""

from dataclasses import dataclass
from typing import Literal

from holdfast.events import Actor

UserVerification = Literal["none", "custom", "administrators"]
"""custom: after a consent that a link led to, the app says who its user is before the account can be used."""


@dataclass(frozen=True, slots=True)
class CleanUpPolicy:
    """Which accounts go by themselves: days without use, and days in need of their owner. None = never."""

    unused_days: int | None = None
    expired_days: int | None = None


KeyKind = Literal["key", "client"]
"""A key is its own bearer token; a client's secret is exchanged for tokens that end by themselves."""


@dataclass(frozen=True, slots=True)
class Environment:
    id: str
    name: str
    created_at: float
    user_verification: UserVerification = "none"
    clean_up: CleanUpPolicy = CleanUpPolicy()


@dataclass(frozen=True, slots=True)
class ApiKey:
    environment_id: str
    id: str
    name: str
    hash: str
    last4: str
    created_at: float
    revoked_at: float | None = None
    kind: KeyKind = "key"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls, checked: the environment of a key that is valid now."""

    environment_id: str
    key_id: str
    key_name: str

    def actor(self) -> Actor:
        return Actor("api_key", self.key_id)
