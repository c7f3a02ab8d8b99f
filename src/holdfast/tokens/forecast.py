"""Telling ahead of a consent's end that no refresh can put off, while its owner still has days to connect again."""

from dataclasses import replace

from holdfast.accounts import store as account_store
from holdfast.accounts.install import account_entry
from holdfast.clock import Clock
from holdfast.connections import store as connection_store
from holdfast.events import Action, Actor
from holdfast.events import store as log
from holdfast.storage import Connection as Tx
from holdfast.storage import Database

BATCH = 256
"""Accounts in one transaction: what it writes shares a commit, and it locks nothing for long."""


class Forecast:
    def __init__(self, database: Database, clock: Clock, *, days: int) -> None:
        self._database, self._clock, self._days = database, clock, days

    async def announce(self) -> int:
        """Write `account.expiring_soon` for each consent about to end, once; return how many."""
        done = 0
        while self._days:
            batch = await self._database.transact(self._announce)
            done += batch
            if batch < BATCH:
                break
        return done

    def _announce(self, tx: Tx) -> int:
        now = self._clock.now()
        found = account_store.to_announce(tx, now=now, until=now + self._days * 86400.0, limit=BATCH)
        for account in found:
            connection = connection_store.by_id(tx, account.environment_id, account.connection_id)
            name = connection.name if connection else ""
            entry = account_entry(account, name, Action.ACCOUNT_EXPIRING_SOON, Actor.system(), now)
            log.append(tx, replace(entry, data={**entry.data, "ends_at": account.consent_ends_at}))
            account_store.announced(tx, account, now)
        return len(found)
