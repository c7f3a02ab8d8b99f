"""The plain token read, many at once: what arrives while one batch is in the database forms the next, and a crowd
goes in two, so that one is in the database while the other is answered.

A batch is one transaction: keys checked, accounts found and judged, entries written, one commit; no credential leaves
before that. There is no timer: a read that comes alone goes alone. What is not plain, or fails, is answered None and
read by `TokenReader`, which explains itself.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from holdfast import ids, metrics
from holdfast.accounts import Account
from holdfast.clock import Clock
from holdfast.connections import Connections
from holdfast.oauth2.scopes import missing
from holdfast.providers.entry import Provider
from holdfast.secret import Secret
from holdfast.storage import Database
from holdfast.storage.engine import is_unavailable
from holdfast.tokens.store import Door, Found, PlainReads
from holdfast.tokens.turns.reading import Served
from holdfast.vault import Place, Sealed, Vault
from holdfast.vault.sealed import CannotOpen

MOST_READS = 128
"""In one batch: enough to share its cost among, few enough that nobody waits long behind it."""
MOST_IN_FLIGHT = {"postgresql": 2, "sqlite": 1}
"""Batches in the database at once: on PostgreSQL one is prepared while the other is there; SQLite has one thread."""
FEW_READS = 16
"""Not shared out among batches: so few are dearer in two halves than they gain by one being read meanwhile."""
LENIENCE = 0.9
"""Of a batch's fair share, what is enough to go beside another: some of a crowd always come a little later."""
TURNS_TO_LEAVE = 3
"""Of the event loop, some 10 us each: one until a batch begins, one in which what has arrived on other sockets comes
along, and one after which its statement is on its way."""
MOST_SCOPES = 4096
"""Sets of scopes kept parsed. A deployment has as many as it has ways to consent: a handful per connection."""


class PlainAsk(msgspec.Struct, frozen=True, gc=False):
    """A user's read of the account that everybody sees, by a key that is believed: the read itself checks it."""

    environment_id: str
    key_id: str
    name: str
    user_id: str
    min_ttl: float | None
    request_id: str
    """Empty for `begin` only: then the request is known by its read's entry (`events.gathered.request_of`)."""
    proxied: bool = False
    """Whether it is for a call through the proxy: then a connection that has rules for these has no plain read."""


class Live(msgspec.Struct, frozen=True, gc=False):
    """A token that was good when it left; the entry of its read is durable."""

    secret: Secret
    expires_at: float | None
    scopes: list[str]
    missing_scopes: list[str]
    warnings: tuple[str, ...]
    account_id: str
    connection_id: str
    provider: Provider
    """Of the connection that was read: where this token may go."""
    updated_at: float
    bare: bool = True
    """Whether the app keeps no `api_config` with the account."""


Answered = Callable[[Found | None], None]
_Scopes = tuple[Provider, list[str], list[str]]
"""A provider, and of an account there the scopes that were granted and those that are missing."""


class PlainReader:
    def __init__(
        self, database: Database, vault: Vault, clock: Clock, connections: Connections, *, min_ttl: float
    ) -> None:
        self._database, self._vault, self._clock, self._connections = database, vault, clock, connections
        self._min_ttl = min_ttl
        self._waiting: list[tuple[PlainAsk, Answered]] = []
        self._batches: set[asyncio.Task[None] | None] = set()
        self._under_way = self._crowd = 0
        self._most_batches = MOST_IN_FLIGHT[database.dialect]
        self._scopes: dict[tuple[str, str | None, str], _Scopes] = {}

    async def read(self, ask: PlainAsk) -> Live | None:
        """Return the token, or None if the read is not plain and nothing is on record of it.

        Checks the key. Raises CannotOpen for a stored token that was altered or moved.
        """
        answer: asyncio.Future[Found | None] = asyncio.get_running_loop().create_future()
        self.begin(ask, partial(_settle, answer))
        found = await answer  # a caller who hangs up cancels this future, not the batch
        return None if found is None else await self.opened(ask, found)

    def begin(self, ask: PlainAsk, answered: Answered) -> None:
        """As `read`, for whoever does not wait: `answered` is called with what was found, sealed, or with None. It must
        neither raise nor take long: the others of its batch come after it."""
        self._waiting.append((ask, answered))
        self._begin_batch()

    async def opened(self, ask: PlainAsk, found: Found) -> Live | None:
        """Return the token of what `begin` found. Raises CannotOpen for one that was altered or moved."""
        try:
            return self.open(ask, found)
        except CannotOpen:  # with a key, perhaps, that another process has made meanwhile
            place = Place(ask.environment_id, found.account_id, "access", found.credential_version)
            await self._vault.open_fresh(Sealed(found.access), place)
            return self.open(ask, found)

    def open(self, ask: PlainAsk, found: Found) -> Live | None:
        """As `opened`, with the keys that are in memory. Raises CannotOpen, after which `opened` may do better."""
        scopes = self._scopes_of(found.provider_slug, found.asked, found.granted)
        if scopes is None:
            return None
        provider, granted, absent = scopes
        place = Place(ask.environment_id, found.account_id, "access", found.credential_version)
        return Live(
            self._vault.open(Sealed(found.access), place),
            found.expires_at,
            granted,
            absent,
            (found.warning,) if found.warning else (),
            found.account_id,
            found.connection_id,
            provider,
            found.updated_at,
            found.bare,
        )

    def served(self, account: Account, served: Served) -> Live | None:
        """Return the token of a read whose entry was committed with it, as `read` would; None without its provider."""
        stored = msgspec.json.encode(account.scopes).decode()
        scopes = self._scopes_of(served.provider_slug, served.asked, stored)
        if scopes is None:
            return None
        provider, granted, absent = scopes
        return Live(
            served.access,
            account.expires_at,
            granted,
            absent,
            (account.warning,) if account.warning else (),
            account.id,
            account.connection_id,
            provider,
            account.updated_at,
            not account.api_config,
        )

    def _begin_batch(self) -> bool:
        """Begin one if it is worth it now. It leaves when whoever else arrives in this turn of the loop and the next
        waits as well.

        Beside a batch that is under way, only with a fair share of all who read: callers come back in the crowds they
        were answered in, and a batch of one beside a batch of the rest serves nobody. Who waits for more goes at the
        latest when that batch comes back."""
        if self._batches:
            share = min(MOST_READS, self._crowd / self._most_batches)
            if len(self._batches) >= self._most_batches or len(self._waiting) < share * LENIENCE:
                return False
        self._batches.add(asyncio.ensure_future(self._run()))
        return True

    def _next(self) -> list[tuple[PlainAsk, Answered]]:
        """Take who goes now: no more than a fair share, so that the others' batch is in the database while these are
        answered. A batch of all would come back to callers who all wait, and the database would wait for them."""
        # As many as read at once of late; fewer are believed slowly, as most may be between two reads.
        self._crowd = max(self._under_way + len(self._waiting), self._crowd * 15 // 16)
        most = min(MOST_READS, max(FEW_READS, -(-self._crowd // self._most_batches)))
        batch, self._waiting = self._waiting[:most], self._waiting[most:]
        self._under_way += len(batch)
        return batch

    async def _run(self) -> None:
        await asyncio.sleep(0)  # what arrives in this turn comes along
        batch = self._next()
        try:
            try:
                answers = await self._look([ask for ask, _ in batch]) if batch else []
            finally:  # at once, not when the task is done: who arrives between the two would wait for nobody
                self._batches.discard(asyncio.current_task())
            if self._waiting and self._begin_batch():
                for _ in range(TURNS_TO_LEAVE):  # before these are answered, so that the database works meanwhile
                    await asyncio.sleep(0)
        finally:
            self._under_way -= len(batch)
        metrics.READS.add("ok", by=len(answers) - answers.count(None))
        for (_, answered), found in zip(batch, answers, strict=True):
            answered(found)

    async def _look(self, asks: Sequence[PlainAsk]) -> Sequence[Found | None]:
        """Look a batch up. If it fails and the database is there, one of it is to blame: find it by halving."""
        try:
            found = await self._database.direct(self._reads(asks), shielded=False)  # nobody cancels `_run`
        except Exception as error:  # whatever it is, the ordinary read meets it too and says what it is
            if len(asks) == 1 or is_unavailable(error):
                return [None] * len(asks)
            half = len(asks) // 2
            return [*await self._look(asks[:half]), *await self._look(asks[half:])]
        answers: list[Found | None] = [None] * len(asks)
        for item in found:
            answers[item.place] = item
        return answers

    def _reads(self, asks: Sequence[PlainAsk]) -> PlainReads:
        now = self._clock.now()
        doors: dict[tuple[str, str, str, bool, float | None], int] = {}
        through = [
            doors.setdefault((ask.environment_id, ask.key_id, ask.name, ask.proxied, ask.min_ttl), len(doors))
            for ask in asks
        ]
        users, requests = [ask.user_id for ask in asks], [ask.request_id for ask in asks]
        entry_ids = ids.new_ids(len(asks), now)
        return PlainReads([Door(*door) for door in doors], through, users, entry_ids, requests, now, self._min_ttl)

    def _scopes_of(self, slug: str, asked: str | None, granted: str) -> "_Scopes | None":
        """Return the provider, the granted and the missing scopes; None if it is none that is built in, and those stay.
        Kept by their text, so what is kept cannot be out of date."""
        key = (slug, asked, granted)
        known = self._scopes.get(key)
        if known is None:
            provider = self._connections.built_in(slug)
            if provider is None:
                return None
            if len(self._scopes) >= MOST_SCOPES:
                self._scopes.clear()
            known = self._scopes[key] = provider, *_scopes(asked, granted, provider)
        return known


def _settle(answer: "asyncio.Future[Found | None]", found: Found | None) -> None:
    if not answer.done():
        answer.set_result(found)


def _scopes(asked: str | None, stored: str, provider: Provider) -> tuple[list[str], list[str]]:
    granted = msgspec.json.decode(stored, type=list[str])
    dialect = provider.oauth2
    if dialect is None or dialect.scopes_fixed_by_app:
        return granted, []
    chosen = None if asked is None else msgspec.json.decode(asked, type=list[str] | None)
    return granted, list(missing(dialect.scopes if chosen is None else chosen, granted, dialect.scope_implies))
