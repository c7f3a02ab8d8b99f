"""The gate that refreshes pass which nobody waits for: those of the sweep, and those that a read starts.

So many at once in this process, so many at one provider and of one connection's client; and a breaker for each token
endpoint and each client, so that one in trouble is left alone, and asked by one account at a time until it answers. A
caller who needs a token now does not pass here.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeVar
from urllib.parse import urlsplit

from holdfast.accounts import Account
from holdfast.accounts.revocations import lane_name
from holdfast.clock import Clock
from holdfast.connections import Effective
from holdfast.errors import Invalid
from holdfast.providers.templates import resolve_dialect
from holdfast.tokens.outcome import Misconfigured, NeedsReauthorization, Refreshed, RefreshOutcome, Resting, RetryAt
from holdfast.tokens.verdict import MISCONFIGURED_PAUSE

PATIENCE = 5
"""Failures in a row before an endpoint is left alone: one or two happen to everybody."""
FIRST_REST = 15.0
LONGEST_REST = 300.0
"""15 s, 30 s, 1, 2, 4 and then each 5 minutes: the margin of an ordinary token is 5 minutes, so most outages are over
before a token ends, and a provider that comes back is not met by everybody at once."""
AHEAD = 8
"""Times a cap that may wait here for it: enough to keep it busy, few enough to leave room for others."""


@dataclass(frozen=True, slots=True)
class Lane:
    """Where an account is renewed: what its refresh is counted and judged under."""

    provider: str
    endpoint: str
    client: str
    """The connection's client that the account was granted to: what a provider refuses, and what then rests."""
    shared: bool = True
    """Whether all accounts of the connection are renewed at this endpoint, or each names its host."""

    def of_any_client(self) -> "Lane":
        """Return the lane as it is for whichever client: resting and full for its endpoint and provider only."""
        return replace(self, client="")


def lane_of(effective: Effective, account: Account) -> Lane:
    """Return the account's lane. A custom provider is its environment's own."""
    provider, connection = effective.provider, effective.connection
    name = lane_name(provider, connection.environment_id)
    client = f"{connection.id}/{account.client_ref or ''}"
    dialect = provider.oauth2
    url = (dialect.refresh_url or dialect.token_url or dialect.issuer or "") if dialect else ""
    if shared := "{" not in url:
        return Lane(name, urlsplit(url).netloc or name, client, shared)
    try:
        filled = resolve_dialect(provider, {**effective.config, **account.config, **account.kept})
    except Invalid:  # the refresh will say what is missing
        return Lane(name, f"{name}/{account.id}", client, shared)
    return Lane(name, urlsplit(filled.refresh_url or filled.token_url or "").netloc, client, shared)


@dataclass(frozen=True, slots=True)
class Health:
    """How something in trouble does: failures in a row, and until when it is left alone."""

    failures: int = 0
    rests_until: float = 0.0

    @property
    def shaken(self) -> bool:
        """It has rested, or should: one at a time until one succeeds."""
        return self.failures >= PATIENCE

    def failed(self, now: float) -> "Health":
        if now < self.rests_until:  # sent before the rest began: no news
            return self
        failures = self.failures + 1
        if failures < PATIENCE:
            return Health(failures)
        return Health(failures, now + min(LONGEST_REST, FIRST_REST * 2.0 ** min(failures - PATIENCE, 16)))

    def rested(self, until: float) -> "Health":
        return Health(max(self.failures, PATIENCE), max(self.rests_until, until))


_Key = tuple[str, str]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class View:
    """The gate as it stands at one moment, to be looked at from a database's thread."""

    now: float
    closed: bool
    per_provider: int
    per_connection: int
    health: Mapping[_Key, Health]
    waiting: Mapping[_Key, int]
    """How many wait, by provider and by client."""

    def resting(self, lane: Lane) -> Resting | None:
        """Tell whether the lane is left alone, and until when."""
        return Resting(self.now) if self.closed else _resting(self.health, lane, self.now)

    def room(self, lane: Lane, taken: Mapping[_Key, int] = MappingProxyType({})) -> int:
        """Return how many more may sensibly be queued in this lane, beside those `taken` by provider and client."""
        if self.resting(lane) is not None:
            return 0
        shaken = any(self.health[key].shaken for key in _keys(lane) if key in self.health)
        most = {"provider": 1 if shaken else AHEAD * self.per_provider, "client": AHEAD * self.per_connection}
        return max(0, min(most[key[0]] - self.waiting.get(key, 0) - taken.get(key, 0) for key in queues(lane)))


def _resting(health: Mapping[_Key, Health], lane: Lane, now: float) -> Resting | None:
    until = max((health[key].rests_until for key in _keys(lane) if key in health), default=0.0)
    return Resting(until) if now < until else None


class Gate:
    def __init__(self, clock: Clock, *, concurrency: int, per_provider: int, per_connection: int | None = None) -> None:
        self._clock, self._concurrency, self._per_provider = clock, concurrency, per_provider
        self._per_connection = per_provider if per_connection is None else per_connection
        self._running: Counter[_Key] = Counter()
        self._total = 0
        self._health: dict[_Key, Health] = {}
        self._waiting: dict[str, deque[tuple[Lane, asyncio.Future[Resting | None]]]] = {}
        self._closed = False

    async def through(self, lane: Lane, work: Callable[[], Awaitable[RefreshOutcome]]) -> RefreshOutcome | Resting:
        """Do the work when there is room for it; or not at all, if its endpoint or connection is left alone."""
        resting = await self._enter(lane)
        if resting is not None:
            return resting
        try:
            outcome = await work()
            self._note(lane, outcome)
            return outcome
        finally:
            self._leave(lane)

    async def past(
        self, lane: Lane, work: Callable[[], Awaitable[_T]], *, troubled: Callable[[_T], bool]
    ) -> _T | Resting:
        """As `through`, for requests that are no refreshes. `troubled`: what came of it speaks against the endpoint."""
        resting = await self._enter(lane)
        if resting is not None:
            return resting
        try:
            came = await work()
            key = ("endpoint", lane.endpoint)
            if troubled(came):
                self._health[key] = self._health.get(key, Health()).failed(self._clock.now())
            else:
                self._health.pop(key, None)
            return came
        finally:
            self._leave(lane)

    def view(self) -> View:
        waiting = Counter(key for line in self._waiting.values() for lane, _ in line for key in queues(lane))
        now, most = self._clock.now(), (self._per_provider, self._per_connection)
        return View(now, self._closed, *most, dict(self._health), waiting)

    def resting_endpoints(self) -> frozenset[str]:
        """Return the hosts that this process leaves alone now, after failures in a row."""
        now = self._clock.now()
        return frozenset(
            name for (kind, name), one in self._health.items() if kind == "endpoint" and now < one.rests_until
        )

    def rest(self, lane: Lane, until: float) -> None:
        """Leave the lane's client alone: it is refused."""
        key = ("client", lane.client)
        self._health[key] = self._health.get(key, Health()).rested(until)

    def close(self) -> None:
        """Let nobody through any more. Who waits goes back; who is through finishes."""
        self._closed = True
        self._wake()

    # Coming and going

    async def _enter(self, lane: Lane) -> Resting | None:
        rest = self._rest(lane)
        if rest is not None:
            return rest
        if lane.provider not in self._waiting and self._fits(lane):
            self._count(lane, 1)
            return None
        place: asyncio.Future[Resting | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(lane.provider, deque()).append((lane, place))
        self._wake()
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.result() is None:
                self._leave(lane)
            raise

    def _leave(self, lane: Lane) -> None:
        self._count(lane, -1)
        self._wake()

    def _wake(self) -> None:
        """Let in whoever fits, one of each provider in turn."""
        moved = True
        while moved and (self._closed or self._total < self._concurrency):
            moved = False
            for provider in list(self._waiting):
                moved = self._admit_one(provider) or moved

    def _admit_one(self, provider: str) -> bool:
        line = self._waiting.pop(provider)
        admitted = False
        for _ in range(len(line)):
            lane, place = line.popleft()
            rest = self._rest(lane)
            if place.done():  # cancelled
                continue
            if rest is not None:
                place.set_result(rest)
            elif not admitted and self._fits(lane):
                self._count(lane, 1)
                place.set_result(None)
                admitted = True
            else:
                line.append((lane, place))
        if line:
            self._waiting[provider] = line  # at the end: the others first
        return admitted

    def _count(self, lane: Lane, by: int) -> None:
        self._total += by
        for key in _keys(lane):
            self._running[key] += by
            if not self._running[key]:
                del self._running[key]

    # Judging

    def _fits(self, lane: Lane) -> bool:
        if self._total >= self._concurrency or self._running[("provider", lane.provider)] >= self._per_provider:
            return False
        if self._running[("client", lane.client)] >= self._per_connection:
            return False
        return not any(self._running[key] and self._health[key].shaken for key in _keys(lane) if key in self._health)

    def _rest(self, lane: Lane) -> Resting | None:
        now = self._clock.now()
        return Resting(now) if self._closed else _resting(self._health, lane, now)

    def _note(self, lane: Lane, outcome: RefreshOutcome) -> None:
        endpoint, client = ("endpoint", lane.endpoint), ("client", lane.client)
        now = self._clock.now()
        match outcome:
            case RetryAt(asked=True):
                self._health[endpoint] = self._health.get(endpoint, Health()).failed(now)
            case Misconfigured():
                self.rest(lane, now + MISCONFIGURED_PAUSE)
            case Refreshed():
                self._health.pop(endpoint, None)
                self._health.pop(client, None)
            case NeedsReauthorization():  # it answered
                self._health.pop(endpoint, None)


def queues(lane: Lane) -> tuple[_Key, ...]:
    """Return what a lane's waiting is counted under. A lane of any client waits for its provider alone."""
    return (("provider", lane.provider), ("client", lane.client)) if lane.client else (("provider", lane.provider),)


def _keys(lane: Lane) -> tuple[_Key, _Key, _Key]:
    return ("provider", lane.provider), ("endpoint", lane.endpoint), ("client", lane.client)
