"""One read: plainly, or after a refresh. Answers as `TokenReader` does, at a fraction of its cost."""

from collections.abc import Callable, Sequence

from holdfast.accounts import Account, Owner
from holdfast.accounts import store as account_store
from holdfast.clock import Clock
from holdfast.errors import Unauthenticated
from holdfast.events import Actor
from holdfast.storage import Database
from holdfast.storage.joined import Joined
from holdfast.tokens import policy
from holdfast.tokens.outcome import Refreshed
from holdfast.tokens.plain import Live, PlainAsk, PlainReader
from holdfast.tokens.read import Ask, Inactive, TokenReader
from holdfast.tokens.refresh import Refresher
from holdfast.tokens.renewals.store import Stale
from holdfast.tokens.store import Found
from holdfast.tokens.turns.reading import Reading


class RenewingReader:
    """Reads as `PlainReader` does, and renews what has to be."""

    def __init__(
        self,
        database: Database,
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

    async def read(self, ask: PlainAsk) -> Live | None:
        """Return the token, refreshed first if it is stale, or None if the read is not plain; of that nothing is on
        record but a refresh. Checks the key. Raises as `TokenReader.read`."""
        found = await self._plain.read(ask)
        return await self.renewed(ask) if found is None else found

    def begin(self, ask: PlainAsk, answered: Callable[[Found | None], None]) -> None:
        """As `PlainReader.begin`."""
        self._plain.begin(ask, answered)

    def open(self, ask: PlainAsk, found: Found) -> Live | None:
        """As `PlainReader.open`."""
        return self._plain.open(ask, found)

    async def ended(self, ask: PlainAsk, found: Found | None) -> Live | None:
        """End what `begin` began, as `read` ends it."""
        live = None if found is None else await self._plain.opened(ask, found)
        return await self.renewed(ask) if live is None else live

    async def renewed(self, ask: PlainAsk) -> Live | None:
        """As `read`, of what has been found not to be plain."""
        account = await self._looking.ask(ask)
        if account is None:
            return None
        min_ttl = policy.default_ttl(account, self._min_ttl) if ask.min_ttl is None else ask.min_ttl
        decision = policy.decide(account, self._clock.now(), min_ttl)
        if not isinstance(decision, policy.Renew):
            return None
        reading = Reading(ask.key_id, ask.name, ask.request_id, ask.min_ttl, self._min_ttl)
        outcome = await self._refresher.refresh(account, reading=reading)
        if isinstance(outcome, Refreshed) and outcome.served is not None and outcome.served.reading is reading:
            found = self._plain.served(outcome.account, outcome.served)
            if found is not None:
                return found
        found = await self._plain.read(ask) if isinstance(outcome, Refreshed) else None
        if found is not None:
            return found
        # The refresh is done, once: whatever there is now has to do.
        try:
            vended = await self._reader.renewed(_ordinary(ask), outcome, fallback=decision.fallback)
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
