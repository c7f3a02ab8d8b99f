"""The one function that refreshes, for reads and for everything else.

    single flight in this process > lease and fence > read again > intent committed > ask > outcome committed

No transaction is open while the provider is asked. The late writer of a lost lease changes nothing.
"""

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from contextvars import Context
from dataclasses import replace
from typing import NamedTuple

import structlog

from holdfast import metrics, telemetry
from holdfast.accounts import Account, Reason, Status
from holdfast.accounts import store as account_store
from holdfast.clock import Clock
from holdfast.connections import ClientFactory, Connection, Connections, Effective, ProviderClient
from holdfast.connections import store as connection_store
from holdfast.connections.provider_client import Outcome, Unsent
from holdfast.errors import HoldfastError
from holdfast.events import Actor
from holdfast.ids import opaque
from holdfast.oauth2.replies import TokenGrant, TokenRefusal
from holdfast.providers.entry import Provider
from holdfast.secret import Secret
from holdfast.storage import Connection as Tx
from holdfast.storage import Database
from holdfast.tokens import policy, told
from holdfast.tokens.gate import Gate, Lane, lane_of
from holdfast.tokens.outcome import (
    Gone,
    Misconfigured,
    NeedsReauthorization,
    Refreshed,
    RefreshOutcome,
    Resting,
    RetryAt,
)
from holdfast.tokens.settle import asks_for_end, ended, settle
from holdfast.tokens.turns import Reading, Served, Turns
from holdfast.tokens.verdict import (
    MISCONFIGURED_PAUSE,
    Turn,
    grant_in,
    grant_of,
    judge,
    needs_intent,
    print_of,
)
from holdfast.vault import Vault
from holdfast.vault.sealed import CannotOpen

_log = structlog.get_logger("holdfast.tokens")

POLL_SECONDS = 0.05
"""How often to look whether another process, which holds the lease, has finished."""
UNSENT_RETRY_SECONDS = 0.2
"""A request that never left may simply be sent again; once, so that a caller is not kept waiting."""


_WORDS: dict[type, str] = {
    Refreshed: "refreshed",
    RetryAt: "retry",
    NeedsReauthorization: "needs_reauthorization",
    Misconfigured: "misconfigured",
    Gone: "gone",
}


class _Asked(NamedTuple):
    """What `refresh` was asked for, beside the account."""

    force: bool
    refused: bool
    actor: Actor | None


class _Busy:
    """Another process holds the lease."""


class Refresher:
    def __init__(
        self,
        database: Database,
        vault: Vault,
        clock: Clock,
        connections: Connections,
        factory: ClientFactory,
        gate: Gate,
        *,
        lease_seconds: float,
        refusal_spacing: float,
    ) -> None:
        self._database, self._vault, self._clock = database, vault, clock
        self._connections, self._factory, self._gate = connections, factory, gate
        self._lease_seconds, self._refusal_spacing = lease_seconds, refusal_spacing
        self._name = opaque(22)
        self.turns = Turns(database, vault, clock, connections, owner=self._name, lease_seconds=lease_seconds)
        self._flights: dict[tuple[str, str], asyncio.Task[RefreshOutcome]] = {}
        self._lanes: dict[str, Lane] = {}
        """Of connections that have one: in an outage each read of a due token gets here, and must cost nothing."""
        self._queued: dict[tuple[str, str], asyncio.Task[RefreshOutcome | Resting]] = {}

    async def refresh(
        self,
        account: Account,
        *,
        force: bool = False,
        refused: bool = False,
        reading: Reading | None = None,
        actor: Actor | None = None,
    ) -> RefreshOutcome:
        """Renew the account's token, or join whoever is renewing it.

        `account` is what the caller has seen: if its credential has changed since, that change is the answer. `force`
        disregards a pending retry time, and that the provider does not renew a token so early; `refused` (its API has
        just refused the token) the latter alone. The entry of `reading` is written with the new token where that can
        be: then the outcome says so. `actor`: who asked for a refresh, to be named in its entry; whoever joins one that
        is under way is not. Never raises for what a provider does.
        """
        # A caller who hangs up must not take the flight down: others wait for it, and a rotated token hangs on it.
        return await asyncio.shield(self._flight(account, _Asked(force, refused, actor), reading))

    def start(self, account: Account, lane: Lane | None = None) -> "asyncio.Task[RefreshOutcome | Resting]":
        """Renew in the background, within the caps; a second start joins the first. `drain` knows of it at once.

        A caller who needs the token meanwhile does not queue behind it: `refresh` goes ahead.
        """
        key = (account.environment_id, account.id)
        queued = self._queued.get(key)
        if queued is None:
            queued = asyncio.ensure_future(self._in_turn(account, lane))
            self._queued[key] = queued
            queued.add_done_callback(lambda _: self._queued.pop(key, None))
            queued.add_done_callback(_report)
        return queued

    async def _in_turn(self, account: Account, lane: Lane | None) -> RefreshOutcome | Resting:
        lane = lane or self._lanes.get(account.connection_id)
        lane = lane or await self._database.transact(lambda tx: self._lane(tx, account))
        if lane is None:
            return Gone()
        if lane.shared:
            self._lanes[account.connection_id] = lane
        return await self._gate.through(lane, lambda: self.refresh(account))

    def _lane(self, tx: Tx, account: Account) -> Lane | None:
        connection = connection_store.by_id(tx, account.environment_id, account.connection_id)
        if connection is None:
            return None
        return lane_of(self._connections.effective(tx, connection, account.owner.organization_id), account)

    def _flight(self, account: Account, asked: _Asked, reading: Reading | None) -> "asyncio.Task[RefreshOutcome]":
        key = (account.environment_id, account.id)
        flight = self._flights.get(key)
        return self._take_off(account, self._fly(account, asked, reading)) if flight is None else flight

    def _take_off(
        self, account: Account, work: "Coroutine[None, None, RefreshOutcome]", context: Context | None = None
    ) -> "asyncio.Task[RefreshOutcome]":
        key = (account.environment_id, account.id)
        flight = self._flights[key] = asyncio.get_running_loop().create_task(work, context=context)
        flight.add_done_callback(lambda done: self._landed(key, done))
        return flight

    def _landed(self, key: tuple[str, str], flight: "asyncio.Task[RefreshOutcome]") -> None:
        if self._flights.get(key) is flight:  # else it waits for one that has taken the turn before it
            del self._flights[key]

    def fly(
        self, turn: Turn, began: float, reading: Reading | None, context: Context
    ) -> "asyncio.Task[RefreshOutcome]":
        """Go on, in the context of whom it is for, with a turn that has just been taken for this process, asked for at
        `began` (monotonic). Whoever refreshes the account meanwhile joins; a caller shields the task, which is to be
        finished in any case."""
        return self._take_off(turn.account, self._counted(turn, began, reading), context)

    async def drain(self, seconds: float) -> None:
        """Wait for what is queued and under way, so that no obtained token is lost at shutdown."""
        if self._queued or self._flights:
            await asyncio.wait([*self._queued.values(), *self._flights.values()], timeout=seconds)

    async def _fly(self, seen: Account, asked: _Asked, reading: Reading | None) -> RefreshOutcome:
        await self._vault.ready(seen.environment_id)
        began = time.monotonic()
        plain = None if asked.force or asked.actor is not None else await self.turns.take(seen)
        if plain is not None:
            return await self._counted(plain, began, reading)
        waited = 0.0
        while True:
            began = time.monotonic()
            turn = await self._database.transact(lambda tx: self._take(tx, seen, asked))
            if isinstance(turn, Turn):
                turn = turn if asked.actor is None else replace(turn, actor=asked.actor)
                return await self._counted(turn, began, reading)
            if not isinstance(turn, _Busy):
                return turn
            if waited > self._lease_seconds * 1.5:
                return RetryAt(self._clock.now() + 1, "another process is refreshing this account", asked=False)
            await asyncio.sleep(POLL_SECONDS)
            waited += POLL_SECONDS

    async def _counted(self, turn: Turn, began: float, reading: Reading | None) -> RefreshOutcome:
        provider, asked = turn.effective.provider.slug, time.monotonic()
        with telemetry.span("refresh", account=turn.account.id, provider=provider) as note:
            outcome = await self._ask(turn, began)
            metrics.REFRESH_SECONDS.note(time.monotonic() - asked)
            result = await self._settle(turn, outcome, reading)
            note.set(outcome=_WORDS[type(result)])
        metrics.REFRESHES.add(_WORDS[type(result)])
        return result

    # Taking the turn

    def _take(self, tx: Tx, seen: Account, asked: _Asked) -> "Turn | _Busy | RefreshOutcome":
        """Take the lease, read again under it, and write down the intent. All or nothing, in one transaction."""
        now, environment_id = self._clock.now(), seen.environment_id
        fence = account_store.take_lease(tx, environment_id, seen.id, owner=self._name, seconds=self._lease_seconds)
        account = account_store.get(tx, environment_id, seen.id)
        if account is None:
            return Gone()
        effective: Effective | None = None
        settled = _settled_meanwhile(account, seen, now, asked.force)
        if settled is None:
            if fence is None:
                return _Busy()
            connection = connection_store.by_id(tx, environment_id, account.connection_id)
            if connection is None:
                settled = Gone()
            elif _resting(connection, account, now) and not asked.force:
                settled = Misconfigured(connection.alert or "")
            else:
                effective = self._connections.effective(tx, connection, account.owner.organization_id)
                settled = _too_early(account, effective.provider, now, asked)
        if settled is not None or effective is None or fence is None:
            if fence is not None:
                account_store.give_up_lease(tx, environment_id, account.id, fence=fence)
            return settled or Gone()
        client = connection_store.client(tx, environment_id, account.client_ref) if account.client_ref else None
        opened = grant_of(account, self._vault)  # raises: nothing is begun with what does not open
        intent = policy.judge_intent(account, effective.provider.lifetime, now)
        if needs_intent(account, effective.provider.lifetime):
            # An intent that is still open keeps its time: a second crash must not stretch the grace window.
            began = account.intent_at if isinstance(intent, policy.Resolve) and account.intent_at else now
            account_store.open_intent(tx, account, fence=fence, fingerprint=print_of(account), at=began)
        return Turn(account, fence, effective, client, intent, opened)

    # Asking the provider

    async def _ask(self, turn: Turn, began: float) -> Outcome:
        """Ask the provider, unless so much time has passed since the turn was taken that it may be another's by now:
        a process that was stopped in between must not show a refresh token that somebody has used meanwhile."""
        account = turn.account
        try:
            provider, grant, access = await self._prepared(turn)
            if self._is_late(began) and not await self._hold(turn):
                return Unsent("another process has taken this refresh over")
            outcome = await self._send(turn, provider, grant, access)
            if isinstance(outcome, Unsent):
                await asyncio.sleep(UNSENT_RETRY_SECONDS)
                if await self._hold(turn):
                    outcome = await self._send(turn, provider, grant, access)
            if _refuses_grant(outcome) and isinstance(turn.intent, policy.Normal):
                outcome = await self._ask_again(turn, provider, grant, access, outcome)
            return outcome
        except (HoldfastError, ValueError) as error:  # our side cannot make the request: settings, a damaged secret
            code = error.code if isinstance(error, HoldfastError) else "request_not_possible"
            _log.warning("refresh_not_possible", account=account.id, code=code)
            return Unsent(str(error), damaged=isinstance(error, CannotOpen))

    async def _prepared(self, turn: Turn) -> tuple[ProviderClient, Secret | None, Secret | None]:
        account = turn.account
        values = {**account.config, **account.kept}
        grant = turn.grant(self._vault)
        if account.method == "client_credentials":
            client_id = account.oauth_client_id or ""
            return self._factory.client_of_account(turn.effective, client_id, grant, values), None, None
        dialect = turn.effective.provider.oauth2
        shown = dialect is not None and dialect.refresh_with_access_token is not None
        access = self._vault.open(account.access, account.access_place()) if shown and account.access else None
        return await self._factory.client_for(turn.effective, turn.client, values), grant, access

    async def _send(self, turn: Turn, provider: ProviderClient, grant: Secret | None, access: Secret | None) -> Outcome:
        if turn.account.method == "client_credentials":
            return await provider.mint()
        return await provider.refresh(grant, access, turn.account.scopes)

    async def _ask_again(
        self,
        turn: Turn,
        provider: ProviderClient,
        grant: Secret | None,
        access: Secret | None,
        first: Outcome,
    ) -> Outcome:
        """A grant is declared dead on its second refusal, after a pause, if nobody has replaced it meanwhile."""
        await asyncio.sleep(self._refusal_spacing)
        account = turn.account
        current = await self._database.transact(lambda tx: account_store.get(tx, account.environment_id, account.id))
        if current is None or current.credential_version != account.credential_version:
            return first
        return await self._send(turn, provider, grant, access) if await self._hold(turn) else first

    async def _hold(self, turn: Turn) -> bool:
        """Keep the lease for another request: what is sent must not outlive it. False if it has passed on."""
        account, began = turn.account, time.monotonic()
        held = await self._database.transact(
            lambda tx: account_store.extend_lease(
                tx, account.environment_id, account.id, fence=turn.fence, seconds=self._lease_seconds
            )
        )
        return held and not self._is_late(began)

    def _is_late(self, began: float) -> bool:
        """Tell whether a lease asked for at `began` (monotonic) may end before a request that is sent now."""
        return time.monotonic() - began > self._lease_seconds / 2

    # Settling

    async def _settle(self, turn: Turn, outcome: Outcome, reading: Reading | None) -> RefreshOutcome:
        """Commit what came of it. A new pair that cannot be written yet is kept and written again until it is."""
        if isinstance(outcome, TokenGrant) and not asks_for_end(turn, outcome):
            with contextlib.suppress(HoldfastError):  # it cannot be sealed: said below
                now = self._clock.now()
                verdict = judge(turn, outcome, self._vault, now)
                written = await self.turns.settle(turn, verdict, now, reading)
                if written is not None:
                    if reading is None or written.provider_slug is None:
                        return verdict.result
                    served = Served(reading, outcome.access_token, written.provider_slug, written.asked)
                    return Refreshed(verdict.account, served)
        pause = 0.1
        while True:
            try:
                result = await self._database.transact(
                    lambda tx: settle(tx, turn, outcome, self._vault, self._clock.now())
                )
                break
            except Exception as error:
                _log.error("refresh_not_committed", account=turn.account.id, error=type(error).__name__)
                if grant_in(outcome) is None:
                    return RetryAt(self._clock.now() + pause, "the result of a refresh could not be stored", False)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)
        return result


def _settled_meanwhile(account: Account, seen: Account, now: float, force: bool) -> RefreshOutcome | None:
    if account.credential_version != seen.credential_version and account.status is Status.ACTIVE:
        return Refreshed(account)
    if account.status is not Status.ACTIVE:
        return ended(account)
    if account.grant is None:
        return NeedsReauthorization(Reason.NO_REFRESH_TOKEN, "there is no refresh token")
    if account.retry_at is not None and account.retry_at > now and not force:
        return RetryAt(account.retry_at, account.warning or "the last refresh failed", asked=False)
    return None


def _too_early(account: Account, provider: Provider, now: float, asked: _Asked) -> RetryAt | None:
    begins = None if asked.force or asked.refused else policy.too_early(account, provider.lifetime, now)
    if begins is None:
        return None
    return RetryAt(begins, told.renewed_late(provider.name, provider.lifetime.refresh_not_before or 0), asked=False)


def _resting(connection: Connection, account: Account, now: float) -> bool:
    """Tell whether the provider has just refused this account's client: it is not asked again for a while."""
    if connection.alert_at is None or connection.alert_client_ref != account.client_ref:
        return False
    return now - connection.alert_at < MISCONFIGURED_PAUSE


def _refuses_grant(outcome: Outcome) -> bool:
    return isinstance(outcome, TokenRefusal) and outcome.kind == "dead_grant"


def _report(task: "asyncio.Task[RefreshOutcome | Resting]") -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.error("background_refresh_failed", error=type(task.exception()).__name__)
