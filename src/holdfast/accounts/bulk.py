"""Many accounts at once: pages of them, deleting them in bounded steps, and the clean-up by an environment's policy."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from holdfast.access import store as access_store
from holdfast.access.principal import CleanUpPolicy
from holdfast.accounts import store
from holdfast.accounts.account import Account
from holdfast.accounts.install import Accounts
from holdfast.accounts.removal import remove_in
from holdfast.accounts.store import Listing
from holdfast.connections import store as connection_store
from holdfast.errors import Invalid
from holdfast.events import Actor
from holdfast.storage import Connection as Tx

BATCH = 100
"""Accounts in one transaction: short enough that token reads beside it wait some milliseconds at most."""
DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Page:
    """Accounts in display order, how many there are in all, and whether there are more on either side."""

    accounts: Sequence[Account]
    last_uses: dict[str, float]
    total: int
    has_before: bool
    has_after: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a bulk deletion has come. With `cursor` it can be gone on with; None = done."""

    deleted: int
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Leftover:
    """An account that a clean-up would take, and why."""

    account: Account
    why: Literal["unused", "expired"]


class Bulk:
    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def page(
        self,
        environment_id: str,
        which: Listing,
        *,
        limit: int,
        after: str | None = None,
        before: str | None = None,
        newest_first: bool = True,
    ) -> Page:
        """Return a page of accounts, with their last uses. `after` and `before` are account ids, exclusive."""

        def work(tx: Tx) -> Page:
            found = store.list_accounts(
                tx, environment_id, which, limit=limit + 1, after=after, before=before, newest_first=newest_first
            )
            backwards = before is not None and after is None
            more = len(found) > limit
            shown = (found[1:] if backwards else found[:limit]) if more else found
            return Page(
                shown,
                store.last_uses(tx, environment_id, [account.id for account in shown]),
                store.count(tx, environment_id, which),
                has_before=more if backwards else after is not None,
                has_after=before is not None if backwards else more,
            )

        return await self._accounts.database.transact(work)

    async def delete(
        self,
        environment_id: str,
        which: Listing,
        actor: Actor,
        *,
        cursor: str | None = None,
        limit: int = BATCH,
        request_id: str = "",
    ) -> Progress:
        """Delete up to `limit` of the accounts asked for, oldest first, each with its entry, in one transaction.

        Call again with the cursor until there is none. Raises Invalid for an empty listing: all accounts of an
        environment are deleted one connection at a time.
        """
        if which == Listing():
            raise Invalid("say which accounts are to be deleted: by id, connection, owner, status or text")
        if not 1 <= limit <= BATCH:
            raise Invalid(f"a step deletes 1 to {BATCH} accounts")
        await self._accounts.vault.ready(environment_id)

        def work(tx: Tx) -> Progress:
            found = store.list_accounts(tx, environment_id, which, limit=limit + 1, after=cursor, newest_first=False)
            gone = [a for a in found[:limit] if self._remove(tx, a, actor, request_id, None)]
            return Progress(len(gone), found[limit - 1].id if len(found) > limit else None)

        return await self._accounts.database.transact(work)

    async def delete_all(self, environment_id: str, which: Listing, actor: Actor) -> AsyncIterator[Progress]:
        """Delete all the accounts asked for; yield the sum after each step. Broken off, it can be begun anew."""
        deleted, cursor = 0, None
        while True:
            step = await self.delete(environment_id, which, actor, cursor=cursor)
            deleted, cursor = deleted + step.deleted, step.cursor
            yield Progress(deleted, cursor)
            if cursor is None:
                return

    def _remove(self, tx: Tx, account: Account, actor: Actor, request_id: str, why: str | None) -> bool:
        connection = connection_store.by_id(tx, account.environment_id, account.connection_id)
        return remove_in(tx, self._accounts, account, connection, actor, request_id, why=why)

    # Cleaning up

    async def leftovers(
        self, environment_id: str, policy: CleanUpPolicy, *, after: str = "", limit: int = BATCH
    ) -> list[Leftover]:
        """Return what a clean-up by this policy would take now, by account id, and take nothing."""
        return await self._accounts.database.transact(
            lambda tx: self._leftovers(tx, environment_id, policy, after, limit)
        )

    async def clean_up(self, environment_id: str) -> int:
        """Delete what the environment's policy says, in steps; return how many. Nothing without a policy."""
        await self._accounts.vault.ready(environment_id)
        deleted, after = 0, ""
        while True:
            taken, last = await self._accounts.database.transact(partial(self._clean_up_some, environment_id, after))
            deleted += taken
            if last is None:
                return deleted
            after = last

    def _clean_up_some(self, environment_id: str, after: str, tx: Tx) -> tuple[int, str | None]:
        environment = access_store.environment(tx, environment_id)
        if environment is None:
            return 0, None
        found = self._leftovers(tx, environment_id, environment.clean_up, after, BATCH)
        taken = 0
        for item in found:
            # Looked at again under lock: who is being connected or refreshed at this moment stays.
            current = store.get(tx, environment_id, item.account.id, lock=True)
            if current == item.account:
                taken += self._remove(tx, current, Actor.system(), "", item.why)
        return taken, found[-1].account.id if len(found) == BATCH else None

    async def clean_up_everywhere(self) -> int:
        """Clean up every environment that has a policy."""
        environments = await self._accounts.database.transact(access_store.list_environments)
        return sum([await self.clean_up(one.id) for one in environments if one.clean_up != CleanUpPolicy()])

    def _leftovers(self, tx: Tx, environment_id: str, policy: CleanUpPolicy, after: str, limit: int) -> list[Leftover]:
        now = self._accounts.clock.now()
        found: list[Leftover] = []
        if policy.unused_days is not None:
            since = now - policy.unused_days * DAY
            unused = store.unused_since(tx, environment_id, since, after=after, limit=limit)
            found += [Leftover(account, "unused") for account in unused]
        if policy.expired_days is not None:
            since = now - policy.expired_days * DAY
            expired = store.expired_since(tx, environment_id, since, after=after, limit=limit)
            found += [Leftover(account, "expired") for account in expired]
        return sorted(found, key=lambda item: item.account.id)[:limit]
