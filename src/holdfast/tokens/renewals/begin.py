"""Turns taken for reads, many at once: the account found, judged and its turn taken in one statement, and the refresh
under way before anybody is told. What it leaves is as it was, and goes the way of one account."""

import asyncio
import time
from collections.abc import Sequence
from contextvars import Context, copy_context
from typing import NamedTuple

from holdfast.accounts import Account
from holdfast.accounts import store as account_store
from holdfast.clock import Clock
from holdfast.errors import HoldfastError
from holdfast.storage import Database
from holdfast.storage.joined import Joined
from holdfast.tokens import policy
from holdfast.tokens.outcome import RefreshOutcome
from holdfast.tokens.plain import PlainAsk
from holdfast.tokens.refresh import Refresher
from holdfast.tokens.renewals.store import Begin, Door, Wanted
from holdfast.tokens.turns import Reading, SettingPlace, place_of
from holdfast.tokens.turns.batches import Setting
from holdfast.tokens.verdict import Turn, grant_of
from holdfast.vault import Vault

MOST_PLACES = 4096
"""Connections whose usual setting is remembered."""


class Begun(NamedTuple):
    """A refresh that is under way for a read. It goes on whether anybody waits for it or not: shield it."""

    reading: Reading
    account: Account
    flight: "asyncio.Task[RefreshOutcome]"


class Beginnings:
    def __init__(self, database: Database, vault: Vault, clock: Clock, refresher: Refresher, *, min_ttl: float) -> None:
        self._database, self._vault, self._clock, self._refresher = database, vault, clock, refresher
        self._min_ttl = min_ttl
        self._places: dict[tuple[str, str], SettingPlace] = {}
        """What the accounts of a connection, by its name, are mostly worked out from."""
        self._joined: Joined[tuple[PlainAsk, Context], Begun] = Joined(self._begin)

    def remember(self, name: str, account: Account) -> None:
        """Know a connection, by its name, from an account of it that has been looked up."""
        if len(self._places) >= MOST_PLACES:
            self._places.clear()
        self._places[account.environment_id, name] = place_of(account)

    async def begin(self, ask: PlainAsk) -> Begun | None:
        """Begin to renew the account of a read, if its token has not the life that is asked for, nothing is in doubt
        and its connection is known. None: nothing was begun. Checks the key."""
        if (ask.environment_id, ask.name) not in self._places:
            return None
        await self._vault.ready(ask.environment_id)
        return await self._joined.ask((ask, copy_context()))

    async def _begin(self, asks: Sequence[tuple[PlainAsk, Context]]) -> Sequence[Begun | None]:
        doors: dict[tuple[str, str, str], int | None] = {}
        known: list[tuple[Door, Setting]] = []
        wanted: list[Wanted] = []
        numbers: list[int] = []
        users: set[tuple[str, str, str]] = set()
        for number, (ask, _) in enumerate(asks):
            user = (ask.environment_id, ask.name, ask.user_id)
            if user in users:  # its turn is taken once, and the others join
                continue
            users.add(user)
            key = (ask.environment_id, ask.key_id, ask.name)
            if key not in doors:
                found = self._door(*key)
                doors[key] = None if found is None else len(known)
                known += [] if found is None else [found]
            at = doors[key]
            if at is not None:
                wanted.append(Wanted(at, ask.user_id, ask.min_ttl))
                numbers.append(number)
        begun: list[Begun | None] = [None] * len(asks)
        if not wanted:
            return begun
        turns = self._refresher.turns
        now, began = self._clock.now(), time.monotonic()
        doors_asked = [door for door, _ in known]
        begin = Begin(doors_asked, wanted, turns.owner, turns.lease_seconds, now, self._min_ttl)
        for place, row in (await self._database.direct(begin)).items():
            account, number = account_store.from_row(row), numbers[place]
            begun[number] = self._fly(account, *asks[number], known[wanted[place].door][1], began)
        return begun

    def _fly(self, account: Account, ask: PlainAsk, context: Context, setting: Setting, began: float) -> Begun:
        try:
            opened = grant_of(account, self._vault)
        except HoldfastError:  # the refresh meets it again and says so
            opened = None
        turn = Turn(account, account.fence, setting.effective, setting.client, policy.Normal(), opened)
        reading = Reading(ask.key_id, ask.name, ask.request_id, ask.min_ttl, self._min_ttl)
        return Begun(reading, account, self._refresher.fly(turn, began, reading, context))

    def _door(self, environment_id: str, key_id: str, name: str) -> tuple[Door, Setting] | None:
        place = self._places[environment_id, name]
        setting = self._refresher.turns.setting(place)
        if setting is None:
            return None
        lifetime = setting.effective.provider.lifetime
        if lifetime.refresh_not_before is not None:  # the statement takes turns by the life that is asked for alone
            return None
        rotates = policy.rotates(lifetime)
        return Door(*place, setting.stamp, key_id, name, rotates), setting
