"""A call that was made with an account's credential, as its entry tells it. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from holdfast.events import Action, Entry

CALLS = (Action.PROXY_CALLED,)
_BY_PROVIDER = frozenset({"provider_unreachable", "provider_reply_lost", "provider_reply_too_large"})
"""Our codes for trouble that is the provider's."""


class End(StrEnum):
    SUCCESS = "success"
    PROVIDER_ERROR = "provider_error"
    PLATFORM_ERROR = "platform_error"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a call ended; `code` is empty for a success: `HTTP_404`, or our code in capitals."""

    end: End
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """`at` is when it ended, in seconds; `ms` how long it took."""

    id: str
    environment_id: str
    at: float
    ms: float
    source: str
    name: str
    """What was called: method and path, ids in it left out."""
    account_id: str
    connection_id: str
    connection: str
    user_id: str
    organization_id: str
    request_id: str
    ended: Ended

    @property
    def began_at(self) -> float:
        return self.at - self.ms / 1000


def ended(status: int | None, outcome: str | None) -> Ended:
    """Judge a call by the provider's status (None or 0 = there was no reply) and our own word for trouble.

    An answer that the caller did not wait for to its end is judged by its status.
    """
    if status and status >= 400:
        return Ended(End.PROVIDER_ERROR, f"HTTP_{status}")
    if not outcome or (outcome == "cancelled" and status):
        return Ended(End.SUCCESS)
    return Ended(End.PROVIDER_ERROR if outcome in _BY_PROVIDER else End.PLATFORM_ERROR, outcome.upper())


def call_of(entry: Entry) -> Call:
    """Read an entry whose action is one of CALLS."""
    data = entry.data
    return Call(
        id=entry.id,
        environment_id=entry.environment_id,
        at=entry.at,
        ms=float(data.get("ms") or 0.0),
        source="PROXY",
        name=f"{data.get('method', '')} {data.get('path', '')}".strip(),
        account_id=entry.account_id,
        connection_id=entry.connection_id,
        connection=str(data.get("connection", "")),
        user_id=entry.user_id,
        organization_id=entry.organization_id,
        request_id=entry.request_id,
        ended=ended(data.get("status"), data.get("outcome")),
    )
