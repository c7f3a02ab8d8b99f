"""The sweep: accounts whose token is due are refreshed though nobody reads them.

It only queues while it looks; refreshing is `Refresher.start`, behind the gate. A look claims what it queues by moving
the accounts' next look into the future, in the transaction that found them: replicas share the work without meeting,
and what a crashed one had claimed comes up again. A claim spares work and guards nothing: that is the lease's part.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import structlog

from holdfast import telemetry
from holdfast.accounts import Account
from holdfast.accounts import store as account_store
from holdfast.clock import Clock
from holdfast.connections import Connections, Effective
from holdfast.connections import store as connection_store
from holdfast.errors import NotFound
from holdfast.storage import Connection as Tx
from holdfast.storage import Database
from holdfast.tokens.gate import Gate, Lane, View, lane_of, queues
from holdfast.tokens.outcome import RefreshOutcome, Resting
from holdfast.tokens.refresh import Refresher
from holdfast.tokens.verdict import MISCONFIGURED_PAUSE

_log = structlog.get_logger("holdfast.tokens")

CLAIM_SECONDS = 180.0
"""Longer than an account waits in a full queue at a slow provider; shorter than what is left of a common margin."""
BATCH = 256
"""Rows a look reads at once: it bounds the rows locked, and what a look costs when all of them must wait."""
MOST_PUT_OFF = 1024
"""Rows in one look whose token was renewed since it was noted when to look: one statement, some 20 us for each."""
AHEAD = 8
"""Times the process's cap that may be queued."""


class Sweep:
    def __init__(
        self,
        database: Database,
        clock: Clock,
        connections: Connections,
        refresher: Refresher,
        gate: Gate,
        *,
        concurrency: int,
    ) -> None:
        self._database, self._clock, self._connections = database, clock, connections
        self._refresher, self._gate, self._most = refresher, gate, concurrency * AHEAD
        self._lanes: dict[str, Lane] = {}
        """The lanes of connections all of whose accounts share one."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._refill = 0
        self._room = asyncio.Event()

    async def look(self) -> bool:
        """Claim and queue what is due and has room. Tell whether there is more: `room` says when to look again."""
        view, room = self._gate.view(), self._most - len(self._tasks)
        full = {name for name, lane in self._lanes.items() if not view.room(lane)}
        more = any(view.resting(self._lanes[name]) is None for name in full)
        look = await self._database.transact(
            lambda tx: _Look(self._connections, view, room, set(full), more=more).claim(tx)
        )
        self._lanes.update(look.lanes)
        for lane, until in look.alerts.items():
            self._gate.rest(lane, until)
        if look.queued:
            with telemetry.span("sweep", queued=len(look.queued)):  # each refresh is a span within this one
                for account, lane in look.queued:
                    task = asyncio.ensure_future(self._one(account, lane))
                    self._tasks.add(task)
                    task.add_done_callback(self._ended)
        self._refill = len(self._tasks) // 2
        if self._tasks:
            self._room.clear()
        else:
            self._room.set()
        return look.more

    async def room(self) -> None:
        """Wait until half of what was queued is done."""
        await self._room.wait()

    async def idle(self) -> None:
        """Wait until nothing is queued."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    def close(self) -> None:
        """Let nothing begin any more; what is queued is handed back."""
        self._gate.close()

    async def stop(self, seconds: float) -> None:
        """Close, and wait for what is under way."""
        self.close()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=seconds)

    async def _one(self, account: Account, lane: Lane) -> None:
        outcome: RefreshOutcome | Resting = await self._refresher.start(account, lane)
        if isinstance(outcome, Resting):
            await self._database.transact(lambda tx: account_store.look_again(tx, [account], outcome.until))

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if len(self._tasks) <= self._refill:
            self._room.set()
        if not task.cancelled() and task.exception() is not None:
            # Its claim lapses by itself.
            _log.warning("swept_account_left", error=type(task.exception()).__name__)


@dataclass(slots=True)
class _Look:
    """One look, within one transaction: what it knows when it begins, and what it has found so far."""

    connections: Connections
    view: View
    room: int
    passed_over: set[str]
    more: bool
    """Something due was left for want of room."""
    queued: list[tuple[Account, Lane]] = field(default_factory=list)
    lanes: dict[str, Lane] = field(default_factory=dict)
    alerts: dict[Lane, float] = field(default_factory=dict)
    _known: dict[tuple[str, str], Effective | None] = field(default_factory=dict)

    def claim(self, tx: Tx) -> "_Look":
        self.more |= account_store.put_off(tx, self.view.now, MOST_PUT_OFF) >= MOST_PUT_OFF
        while self.room > len(self.queued):
            limit = min(BATCH, self.room - len(self.queued))
            found = account_store.due(tx, now=self.view.now, limit=limit, passing_over=self.passed_over)
            self._sort(tx, found)
            if len(found) < limit:
                return self
        self.more = True
        return self

    def _sort(self, tx: Tx, found: list[Account]) -> None:
        """Queue what there is room for, put off what is left alone, and pass the others over in this look.

        Each row is moved on or its connection passed over, so the next batch is another one.
        """
        claimed: list[Account] = []
        put_off: dict[float, list[Account]] = {}
        taken = Counter(key for _, lane in self.queued for key in queues(lane))
        for account in found:
            lane = self._lane(tx, account)
            if lane is None:
                put_off.setdefault(self.view.now + CLAIM_SECONDS, []).append(account)
            elif until := self._rests_until(lane):
                put_off.setdefault(until, []).append(account)
                if lane.shared and self.view.resting(lane.of_any_client()):
                    self.passed_over.add(account.connection_id)
            elif not self.view.room(lane, taken):
                self.passed_over.add(account.connection_id)
                self.more = True
            else:
                taken.update(queues(lane))
                claimed.append(account)
                self.queued.append((account, lane))
        account_store.look_again(tx, claimed, self.view.now + CLAIM_SECONDS)
        for until, accounts in put_off.items():
            account_store.look_again(tx, accounts, until)

    def _rests_until(self, lane: Lane) -> float | None:
        resting = self.view.resting(lane)
        return resting.until if resting else self.alerts.get(lane)

    def _lane(self, tx: Tx, account: Account) -> Lane | None:
        key = (account.connection_id, account.owner.organization_id)
        if key not in self._known:
            self._known[key] = self._effective(tx, account)
        effective = self._known[key]
        if effective is None:
            return None
        lane = lane_of(effective, account)
        if lane.shared:
            self.lanes[account.connection_id] = lane.of_any_client()
        connection = effective.connection
        rests_until = (connection.alert_at or 0.0) + MISCONFIGURED_PAUSE
        if self.view.now < rests_until and connection.alert_client_ref == account.client_ref:
            self.alerts[lane] = rests_until
        return lane

    def _effective(self, tx: Tx, account: Account) -> Effective | None:
        connection = connection_store.by_id(tx, account.environment_id, account.connection_id)
        try:
            if connection is None:
                return None
            return self.connections.effective(tx, connection, account.owner.organization_id)
        except NotFound:  # its provider's definition is gone
            return None
