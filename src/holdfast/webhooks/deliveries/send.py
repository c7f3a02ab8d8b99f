"""Sending: what is due goes out, signed, as many at once as the caps allow; what comes of it is written down."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import structlog
from sqlalchemy.exc import SQLAlchemyError

from holdfast import metrics, telemetry
from holdfast.clock import Clock
from holdfast.errors import HoldfastError
from holdfast.events import Actor, Entry
from holdfast.events import store as log
from holdfast.http import Request
from holdfast.outbound import NotSent, Outbound, ReplyLost
from holdfast.secret import Secret, scrub
from holdfast.storage import Connection as Tx
from holdfast.storage import Database
from holdfast.vault import Vault
from holdfast.webhooks import store as endpoint_store
from holdfast.webhooks.deliveries import store
from holdfast.webhooks.deliveries.delivery import (
    DELAYS,
    DISABLE_AFTER,
    SHOWN,
    Delivered,
    Delivery,
    Failed,
    Outcome,
    Renderer,
    next_attempt,
)
from holdfast.webhooks.deliveries.signing import headers
from holdfast.webhooks.endpoint import Dialect, Endpoint
from holdfast.webhooks.endpoints import endpoint_entry

_log = structlog.get_logger("holdfast.webhooks")

CLAIM_MARGIN = 5.0
"""A claim lasts two time-outs and this, for writing down. What a killed process had claimed is sent again after it."""

GATHER_SECONDS = 0.005
"""After one delivery has ended, for others to end: what is free is filled by one transaction."""


class Sender:
    def __init__(
        self,
        database: Database,
        vault: Vault,
        clock: Clock,
        outbound: Outbound,
        renderers: Mapping[Dialect, Renderer],
        *,
        concurrency: int,
        per_endpoint: int,
        timeout: float,
        delays: Sequence[float] = DELAYS,
    ) -> None:
        self._database, self._vault, self._clock, self._outbound = database, vault, clock, outbound
        self._renderers, self._delays, self._timeout = renderers, delays, timeout
        self._concurrency, self._per_endpoint = concurrency, per_endpoint
        self._running: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._outcomes: list[tuple[Delivery, Outcome]] = []
        self._writing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Claim and send until nothing is due. Returns with sendings under way; `idle` waits for them."""
        while not self._closed:
            room = self._concurrency - len(self._tasks)
            full = {name for name, count in self._running.items() if count >= self._per_endpoint}
            taken = await self._claim(room, full) if room > 0 else []
            for claimed in taken:
                delivery = claimed.delivery
                self._running[delivery.endpoint_id] += 1
                task = asyncio.ensure_future(self._one(claimed))
                self._tasks.add(task)
                task.add_done_callback(lambda task, name=delivery.endpoint_id: self._ended(task, name))  # type: ignore[misc]
            if not taken and not self._tasks:
                return
            if self._tasks:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED, timeout=1.0)
                await asyncio.sleep(GATHER_SECONDS)

    async def idle(self) -> None:
        """Wait for what is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def close(self) -> None:
        """Claim nothing any more."""
        self._closed = True

    async def stop(self, seconds: float) -> None:
        """Close, and wait for what is under way; what is cut off is sent again."""
        self.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def _claim(self, room: int, full: set[str]) -> list["_Claimed"]:
        now = self._clock.now()

        def work(tx: Tx) -> list[_Claimed]:
            taken: list[Delivery] = []
            over = set(full)
            while len(taken) < room:
                have = Counter(delivery.endpoint_id for delivery in taken)
                claimed, crowded, more = store.claim(
                    tx,
                    now=now,
                    until=now + 2 * self._timeout + CLAIM_MARGIN,
                    limit=room - len(taken),
                    room=lambda name: self._per_endpoint - self._running[name] - have[name],  # noqa: B023  (used at once)
                    passing_over=over,
                )
                taken += claimed
                over |= crowded
                if not more:
                    break
            return _with_contents(tx, taken)

        return await self._database.transact(work)

    def _ended(self, task: "asyncio.Task[None]", endpoint_id: str) -> None:
        self._tasks.discard(task)
        self._running[endpoint_id] -= 1
        if self._running[endpoint_id] <= 0:
            del self._running[endpoint_id]

    async def _one(self, claimed: "_Claimed") -> None:
        delivery = claimed.delivery
        try:
            with telemetry.span("delivery", delivery=delivery.id) as note:
                await self._deliver(claimed, note)
        except (SQLAlchemyError, HoldfastError, OSError) as error:  # its claim lapses by itself
            _log.warning("delivery_left", delivery=delivery.id, error=type(error).__name__)

    async def _deliver(self, claimed: "_Claimed", note: telemetry.Note) -> None:
        endpoint, entry = claimed.endpoint, claimed.entry
        if endpoint is None:
            return  # deleted, and its deliveries with it
        outcome: Outcome
        if endpoint.status != "enabled":
            outcome = Failed(None, "The endpoint is disabled.", final=True)
        elif entry is None:
            outcome = Failed(None, "The entry is not in the log any more.", final=True)
        else:
            outcome = await self._send(endpoint, entry)
        note.set(status=outcome.status, outcome="delivered" if isinstance(outcome, Delivered) else "failed")
        await self._write_down(claimed.delivery, outcome)

    async def _write_down(self, delivery: Delivery, outcome: Outcome) -> None:
        """Settle together with what else has come in meanwhile; there is one such transaction at a time."""
        metrics.DELIVERIES.add("delivered" if isinstance(outcome, Delivered) else "failed")
        self._outcomes.append((delivery, outcome))
        if self._writing is None:
            self._writing = asyncio.ensure_future(self._write())
        await asyncio.shield(self._writing)

    async def _write(self) -> None:
        try:
            while self._outcomes:
                batch, self._outcomes = self._outcomes, []
                batch.sort(key=lambda pair: pair[0].endpoint_id)  # all lock endpoints in one order
                await self._database.transact(lambda tx, batch=batch: self._settle_all(tx, batch))  # type: ignore[misc]
        finally:
            self._writing = None

    async def _send(self, endpoint: Endpoint, entry: Entry) -> Outcome:
        secrets = await self._secrets(endpoint)
        outcome = await self._post(endpoint, entry, secrets)
        refused = isinstance(outcome, Failed) and outcome.status in (400, 401, 403, 422)
        if refused and len(secrets) > 1 and endpoint.dialect != "scalekit":
            # That wire's header holds one signature: a receiver that does not know the new secret yet gets the other.
            outcome = await self._post(endpoint, entry, secrets[::-1])
        return outcome

    async def _secrets(self, endpoint: Endpoint) -> list[Secret]:
        secrets = [await self._vault.open_fresh(endpoint.secret, endpoint.secret_place())]
        if endpoint.former_secret is not None and endpoint.signs_twice(self._clock.now()):
            secrets.append(await self._vault.open_fresh(endpoint.former_secret, endpoint.former_place()))
        return secrets

    async def _post(self, endpoint: Endpoint, entry: Entry, secrets: Sequence[Secret]) -> Outcome:
        event_id, body = self._renderers[endpoint.dialect].render(entry)
        signed = headers(endpoint.dialect, secrets, event_id, body, self._clock.now())
        try:
            reply = await self._outbound.send(Request("POST", endpoint.url, signed, body), timeout=self._timeout)
        except (NotSent, ReplyLost) as error:
            return Failed(None, error.message)
        text = scrub(reply.body.decode("utf-8", "replace").replace("\x00", "\ufffd"), *secrets, limit=SHOWN)
        if 200 <= reply.status < 300:
            return Delivered(reply.status, text)
        return Failed(reply.status, text, retry_after=reply.retry_seconds, gone=reply.status == 410)

    def _settle_all(self, tx: Tx, batch: Sequence[tuple[Delivery, Outcome]]) -> None:
        for delivery, outcome in batch:
            self._settle(tx, delivery, outcome)

    def _settle(self, tx: Tx, delivery: Delivery, outcome: Outcome) -> None:
        endpoint = endpoint_store.get(tx, delivery.environment_id, delivery.endpoint_id, lock=True)
        if endpoint is None:
            return
        now = self._clock.now()
        said = {"last_at": now, "response_status": outcome.status, "response_text": outcome.text}
        if isinstance(outcome, Delivered):
            if store.settle(tx, delivery, status="delivered", due_at=None, **said):
                store.promote(tx, delivery, now)
                endpoint_store.count(tx, endpoint, delivered=1)
                if endpoint.failing_since is not None:
                    endpoint_store.save(tx, replace(endpoint, failing_since=None))
            return
        wait = next_attempt(delivery.attempts, outcome, self._delays)
        ends = {"status": "dead", "due_at": None} if wait is None else {"due_at": now + wait}
        if not store.settle(tx, delivery, **ends, **said):
            return
        if wait is None:
            store.promote(tx, delivery, now)
            _log.warning("delivery_dead", delivery=delivery.id, endpoint=endpoint.id, status=outcome.status)
        endpoint_store.count(tx, endpoint, failed=1, dead=0 if wait is not None else 1)
        self._judge(tx, endpoint, outcome, now)

    def _judge(self, tx: Tx, endpoint: Endpoint, outcome: Failed, now: float) -> None:
        """Disable an endpoint that says it is gone, or that nothing has reached for long; and put that on record."""
        if endpoint.status != "enabled":
            return
        since = endpoint.failing_since if endpoint.failing_since is not None else now
        if not outcome.gone and now - since < DISABLE_AFTER:
            if endpoint.failing_since is None:
                endpoint_store.save(tx, replace(endpoint, failing_since=since))
            return
        reason = "gone" if outcome.gone else "failing"
        off = replace(endpoint, status="disabled", disabled_reason=reason, failing_since=since, updated_at=now)
        endpoint_store.save(tx, off)
        log.append(tx, endpoint_entry(off, "disabled", Actor.system(), now, reason=reason))


@dataclass(frozen=True, slots=True)
class _Claimed:
    """A delivery that is ours to make; whom it is for and what it tells of, if they are still there."""

    delivery: Delivery
    endpoint: Endpoint | None
    entry: Entry | None


def _with_contents(tx: Tx, taken: Sequence[Delivery]) -> list[_Claimed]:
    wanted: dict[str, set[str]] = {}
    for one in taken:
        wanted.setdefault(one.environment_id, set()).add(one.entry_id)
    entries = {env: log.by_ids(tx, env, ids) for env, ids in wanted.items()}
    keys = {(one.environment_id, one.endpoint_id) for one in taken}
    endpoints = {key: endpoint_store.get(tx, *key) for key in keys}
    return [
        _Claimed(
            one,
            endpoints[one.environment_id, one.endpoint_id],
            entries[one.environment_id].get(one.entry_id, (0, None))[1],
        )
        for one in taken
    ]
