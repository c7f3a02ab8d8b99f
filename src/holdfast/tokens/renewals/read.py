"""One read: plainly, or after a refresh. Answers as `TokenReader` does, at a fraction of its cost."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from holdfast.accounts import Account, Owner
from holdfast.accounts import store as account_store
from holdfast.clock import Clock
from holdfast.errors import Unauthenticated
from holdfast.events import Actor
from holdfast.storage import Database
from holdfast.storage.joined import Joined
from holdfast.tokens import policy
from holdfast.tokens.outcome import Refreshed, RefreshOutcome
from holdfast.tokens.plain import Live, PlainAsk, PlainReader
from holdfast.tokens.read import Ask, Inactive, TokenReader
from holdfast.tokens.refresh import Refresher
from holdfast.tokens.renewals.begin import Beginnings, Begun
from holdfast.tokens.renewals.store import Stale
from holdfast.tokens.store import Found
from holdfast.tokens.turns.reading import Reading
from holdfast.vault import Vault

ALWAYS = 4096
MOST_RENEW = ALWAYS // 2
"""What is kept of the share of reads that had to renew: a sixteenth of it is the last read's."""


class RenewingReader:
    """Reads as `PlainReader` does, and renews what has to be."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        clock: Clock,
        plain: PlainReader,
        reader: TokenReader,
        refresher: Refresher,
        *,
        min_ttl: float,
    ) -> None:
        self._database, self._clock, self._plain = database, clock, plain
        self._reader, self._refresher, self._min_ttl = reader, refresher, min_ttl
        self._looking: Joined[PlainAsk, Account] = Joined(self._look)
        self._beginnings = Beginnings(database, vault, clock, refresher, min_ttl=min_ttl)
        self._renewed_lately = 0

    async def read(self, ask: PlainAsk) -> Live | None:
        """Return the token, refreshed first if it is stale, or None if the read is not plain; of that nothing is on
        record but a refresh. Checks the key. Raises as `TokenReader.read`."""
        if self.renews_first:
            begun = await self._begin(ask)
            if begun is not None:
                return await self._awaited(ask, begun)
            found = await self._plain.read(ask)
            self._note(renewed=found is None)
            return await self._looked(ask) if found is None else found
        found = await self._plain.read(ask)
        return await self.renewed(ask) if found is None else found

    @property
    def renews_first(self) -> bool:
        """Whether most reads of late had to renew: then whoever asks is taken to have to, before it is looked up
        plainly. Either order ends alike."""
        return self._renewed_lately > MOST_RENEW

    def begin(self, ask: PlainAsk, answered: Callable[[Found | None], None]) -> bool:
        """As `PlainReader.begin`. False = nothing was begun: by all appearance it has to be renewed first."""
        if self.renews_first:
            return False
        self._plain.begin(ask, answered)
        return True

    def open(self, ask: PlainAsk, found: Found) -> Live | None:
        """As `PlainReader.open`."""
        if self._renewed_lately:
            self._note(renewed=False)
        return self._plain.open(ask, found)

    async def ended(self, ask: PlainAsk, found: Found | None) -> Live | None:
        """End what `begin` began, as `read` ends it."""
        live = None if found is None else await self._plain.opened(ask, found)
        return await self.renewed(ask) if live is None else live

    async def renewed(self, ask: PlainAsk) -> Live | None:
        """As `read`, of what has been found not to be plain."""
        begun = await self._begin(ask)
        return await self._looked(ask) if begun is None else await self._awaited(ask, begun)

    async def _begin(self, ask: PlainAsk) -> Begun | None:
        begun = await self._beginnings.begin(ask)
        if begun is not None:
            self._note(renewed=True)
        return begun

    def _note(self, *, renewed: bool) -> None:
        self._renewed_lately += ((ALWAYS if renewed else 0) - self._renewed_lately) >> 4

    async def _awaited(self, ask: PlainAsk, begun: Begun) -> Live | None:
        outcome = await _landed(begun.flight)
        ends = begun.account.expires_at
        return await self._after(ask, begun.reading, outcome, fallback=ends is not None and ends > self._clock.now())

    async def _looked(self, ask: PlainAsk) -> Live | None:
        """Look the account up and renew it, or join whoever does."""
        account = await self._looking.ask(ask)
        if account is None:
            return None
        self._beginnings.remember(ask.name, account)
        min_ttl = policy.default_ttl(account, self._min_ttl) if ask.min_ttl is None else ask.min_ttl
        decision = policy.decide(account, self._clock.now(), min_ttl)
        if not isinstance(decision, policy.Renew):
            return None
        reading = Reading(ask.key_id, ask.name, ask.request_id, ask.min_ttl, self._min_ttl)
        outcome = await self._refresher.refresh(account, reading=reading)
        return await self._after(ask, reading, outcome, fallback=decision.fallback)

    async def _after(self, ask: PlainAsk, reading: Reading, outcome: RefreshOutcome, *, fallback: bool) -> Live | None:
        if isinstance(outcome, Refreshed) and outcome.served is not None and outcome.served.reading is reading:
            found = self._plain.served(outcome.account, outcome.served)
            if found is not None:
                return found
        found = await self._plain.read(ask) if isinstance(outcome, Refreshed) else None
        if found is not None:
            return found
        # The refresh is done, once: whatever there is now has to do.
        try:
            vended = await self._reader.renewed(_ordinary(ask), outcome, fallback=fallback)
        except Unauthenticated:  # revoked while the provider was asked: left to whoever checks the key anew
            return None
        if isinstance(vended, Inactive):
            return None
        scopes, missing = list(vended.account.scopes), list(vended.missing_scopes)
        return Live(
            vended.secret,
            vended.account.expires_at,
            scopes,
            missing,
            vended.warnings,
            vended.account.id,
            vended.account.connection_id,
            vended.effective.provider,
            vended.account.updated_at,
            not vended.account.api_config,
        )

    async def _look(self, asks: Sequence[PlainAsk]) -> Sequence[Account | None]:
        places = [(ask.environment_id, ask.key_id, ask.name, ask.user_id) for ask in asks]
        rows = await self._database.direct(Stale(places, self._clock.now()))
        return [account_store.from_row(rows[place]) if place in rows else None for place in range(len(asks))]


async def _landed(flight: "asyncio.Task[RefreshOutcome]") -> RefreshOutcome:
    """Return what a flight has come to, as `asyncio.shield` does, which takes three times as long over it."""
    waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    flight.add_done_callback(partial(_tell, waiting))
    await waiting  # a caller who hangs up cancels this future, not the flight
    return flight.result()


def _tell(waiting: "asyncio.Future[None]", _flight: "asyncio.Task[RefreshOutcome]") -> None:
    if not waiting.done():
        waiting.set_result(None)


def _ordinary(ask: PlainAsk) -> Ask:
    return Ask(
        environment_id=ask.environment_id,
        name=ask.name,
        owner=Owner.user(ask.user_id),
        actor=Actor("api_key", ask.key_id),
        acting_user=ask.user_id,
        min_ttl=ask.min_ttl,
        request_id=ask.request_id,
        checks_key=True,
    )
