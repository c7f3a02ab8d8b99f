"""The call that waits, what is kept of it, and what may come of it. Pure."""

import base64
import hashlib
from dataclasses import dataclass, field, replace
from enum import StrEnum

import msgspec

from holdfast.errors import Conflict, HoldfastError, Refused
from holdfast.events import Actor
from holdfast.vault import Sealed
from holdfast.vault.sealed import Place

PENDING_SECONDS = 86400.0
"""A request waits for a person's working day, wherever on earth that is."""
APPROVED_SECONDS = 600.0
"""Long enough for an agent that looks once in a while; short enough that what was approved is still what was meant."""
MOST_PENDING = 100
"""Of one connection: more than a person looks through. Beyond it callers are told to wait."""
MOST_SHOWN = 16_384
"""Bytes of a body that are kept for whoever decides. The digest is of all of them."""


class State(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    TAKEN = "taken"
    """The call was made: a repeat asks anew."""


class ApprovalRequired(Refused):
    """Somebody has to approve the call first. The caller repeats it, unchanged, when that is done."""

    default_code = "approval_required"

    def __init__(self, message: str, approval_id: str) -> None:
        super().__init__(message, fields=[{"approval_id": approval_id}])


class ApprovalDenied(ApprovalRequired):
    """Somebody has looked at the call, and it is not to be made."""

    default_code = "approval_denied"


class Seen(msgspec.Struct, frozen=True):
    """What a person decides on. Sealed where it is kept."""

    target: str
    """Path and query, as they go out."""
    headers: list[tuple[str, str]]
    body: str
    """The first MOST_SHOWN bytes, in base64."""

    def __repr__(self) -> str:
        return "<sealed>"

    def beginning(self) -> bytes:
        return base64.b64decode(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call as it would go out, without the credential."""

    environment_id: str
    connection_id: str
    connection: str
    account_id: str
    user_id: str
    organization_id: str
    actor: Actor
    request_id: str
    method: str
    host: str
    origin: str
    """Scheme, host and port."""
    path: str = field(repr=False)
    query: str = field(repr=False)
    shown_path: str
    """As the log may keep it."""
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    """Those that go along and may change what the call does, by name."""
    body: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    @property
    def content_type(self) -> str:
        return dict(self.headers).get("content-type", "")

    @property
    def fingerprint(self) -> str:
        """Equal for calls that are the same in all that counts, whoever's they are: 64 hexadecimal digits."""
        parts = [
            self.environment_id,
            self.connection_id,
            self.account_id,
            self.actor.kind,
            self.actor.id,
            self.method,
            self.origin,
            self.path,
            self.query,
            self.headers,
            len(self.body),
            self.digest,
        ]
        return hashlib.sha256(b"call 1\0" + msgspec.json.encode(parts)).hexdigest()

    def seen(self) -> Seen:
        target = f"{self.path}?{self.query}" if self.query else self.path
        return Seen(target, list(self.headers), base64.b64encode(self.body[:MOST_SHOWN]).decode())


class NeedsApproval(HoldfastError):
    """Inside only: no approval was there to take. The call is asked for, and the caller told, outside the transaction
    that found out."""

    default_code = "approval_required"

    def __init__(self, call: Call) -> None:
        super().__init__("the call needs a person's approval")
        self.call = call


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    environment_id: str
    id: str
    connection_id: str
    connection: str
    account_id: str
    user_id: str
    organization_id: str
    asked_by: Actor
    request_id: str
    fingerprint: str
    method: str
    host: str
    shown_path: str
    content_type: str
    body_sha256: str
    body_length: int
    seen: Sealed
    created_at: float
    expires_at: float
    """When it ends as what it is: pending and denied after a day from the first, approved ten minutes after that."""
    state: State = State.PENDING
    decided_by: Actor | None = None
    decided_at: float | None = None

    @property
    def place(self) -> Place:
        return self.place_of(self.environment_id, self.id)

    @staticmethod
    def place_of(environment_id: str, approval_id: str) -> Place:
        return Place(environment_id, approval_id, "seen", 1)

    def is_live(self, now: float) -> bool:
        return self.state is not State.TAKEN and self.expires_at > now

    def approved(self, by: Actor, now: float) -> "Approval":
        """Raises Refused for whoever is no person here, Conflict where there is nothing left to approve."""
        self._check(by, now)
        if self.state is State.APPROVED:
            raise Conflict("this call is approved already", code="approval_decided")
        return replace(self, state=State.APPROVED, decided_by=by, decided_at=now, expires_at=now + APPROVED_SECONDS)

    def denied(self, by: Actor, now: float) -> "Approval":
        """As `approved`. An approval that was not taken yet is taken back by it."""
        self._check(by, now)
        if self.state is State.DENIED:
            raise Conflict("this call is denied already", code="approval_decided")
        ends = max(now, self.created_at + PENDING_SECONDS)
        return replace(self, state=State.DENIED, decided_by=by, decided_at=now, expires_at=ends)

    def _check(self, by: Actor, now: float) -> None:
        if by.kind not in ("administrator", "operator"):
            raise Refused("a call is approved or denied by an administrator or an operator, nobody else")
        if self.state is State.TAKEN:
            raise Conflict("this call was made already", code="approval_taken")
        if self.expires_at <= now:
            raise Conflict("this request has ended: the call has to be asked for anew", code="approval_expired")


def legible(text: str) -> str:
    """Return text in which nothing is hidden: what has no shape of its own, or turns what is around it about, is
    written as its number.

    >>> legible("a\\u202eb\\x1b[2J")
    'a\\\\u202eb\\\\x1b[2J'
    """
    return "".join(
        one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode("ascii") for one in text
    )
