"""Beginning an errand, taking its steps, stopping it."""

import asyncio
import contextlib
from dataclasses import replace

import structlog
from sqlalchemy.exc import SQLAlchemyError

from holdfast import ids
from holdfast.accounts import store as account_store
from holdfast.accounts.account import Account, Reason, Status
from holdfast.accounts.errands import store
from holdfast.accounts.errands.errand import Act, Errand
from holdfast.accounts.install import Accounts
from holdfast.accounts.removal import remove_in
from holdfast.accounts.store import Listing
from holdfast.connections import store as connection_store
from holdfast.errors import Invalid, NotFound
from holdfast.events import Action, Actor
from holdfast.storage import Connection as Tx

_log = structlog.get_logger("holdfast.errands")

STEP = 50
"""Accounts in one transaction: token reads beside it wait some milliseconds at most."""
BREATH = 0.02
"""Seconds between two steps, in which everybody else has the database."""
LEFT_AFTER = 10.0
"""Seconds after which an errand that nobody steps is taken up by whoever looks."""


class Errands:
    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._running: set[asyncio.Task[None]] = set()
        self._closing = False

    async def begin(self, environment_id: str, act: Act, which: Listing, actor: Actor) -> Errand:
        """Write the errand down and set out. Raises Invalid where nothing says which accounts are meant."""
        if which == Listing():
            raise Invalid("say which accounts are meant: by choice, connection, owner, status or text")
        now = self._accounts.clock.now()
        new = Errand(
            environment_id=environment_id,
            id=ids.new_id(now),
            act=act,
            which=which,
            actor=actor,
            created_at=now,
            updated_at=now,
        )
        await self._accounts.database.transact(lambda tx: store.add(tx, new))
        task = asyncio.ensure_future(self._run(environment_id, new.id))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return new

    async def get(self, environment_id: str, errand_id: str) -> Errand:
        found = await self._accounts.database.transact(lambda tx: store.get(tx, environment_id, errand_id))
        if found is None:
            raise NotFound("there is no such errand")
        return found

    async def stop(self, environment_id: str, errand_id: str) -> None:
        """End it after the step that is under way. What is done stays done."""

        def work(tx: Tx) -> bool:
            errand, now = store.get(tx, environment_id, errand_id, lock=True), self._accounts.clock.now()
            if errand is not None and errand.ended_at is None:
                store.save(tx, replace(errand, stopped=True, updated_at=now, ended_at=now))
            return errand is not None

        for _ in range(50):  # a step may have it for some milliseconds
            if await self._accounts.database.transact(work):
                return
            await asyncio.sleep(BREATH)

    async def take_up(self) -> int:
        """Go on with what another process, or one before this one, has left. Return how many errands."""
        before = self._accounts.clock.now() - LEFT_AFTER
        found = await self._accounts.database.transact(lambda tx: store.left(tx, untouched_since=before, limit=20))
        for environment_id, errand_id in found:
            await self._run(environment_id, errand_id)
        return len(found)

    async def close(self) -> None:
        """End between two steps; what is left is taken up after the next start."""
        self._closing = True
        if self._running:
            await asyncio.wait(list(self._running), timeout=5)

    async def _run(self, environment_id: str, errand_id: str) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            try:
                more = True
                while more and not self._closing:
                    more = await self.step(environment_id, errand_id)
                    await asyncio.sleep(BREATH)
            except SQLAlchemyError as error:
                _log.warning("errand_interrupted", errand_id=errand_id, error=type(error).__name__)

    async def step(self, environment_id: str, errand_id: str) -> bool:
        """Act on the next accounts; tell whether there is more to do, for this process."""
        await self._accounts.vault.ready(environment_id)

        def work(tx: Tx) -> bool:
            errand = store.get(tx, environment_id, errand_id, lock=True)
            if errand is None or errand.ended_at is not None:
                return False
            now = self._accounts.clock.now()
            found = account_store.list_accounts(
                tx, environment_id, errand.which, limit=STEP, after=errand.cursor, newest_first=False
            )
            due = [account for account in found if account.id <= errand.id]
            done = sum([self._act(tx, errand, account.id, now) for account in due])
            ended = len(due) < STEP
            store.save(
                tx,
                replace(
                    errand,
                    cursor=due[-1].id if due else errand.cursor,
                    done=errand.done + done,
                    passed_over=errand.passed_over + len(due) - done,
                    updated_at=now,
                    ended_at=now if ended else None,
                ),
            )
            return not ended

        return await self._accounts.database.transact(work)

    def _act(self, tx: Tx, errand: Errand, account_id: str, now: float) -> bool:
        """Do it to one account, looked at again under lock; False if it does not fit it."""
        account = account_store.get(tx, errand.environment_id, account_id, lock=True)
        if account is None:
            return False
        connection = connection_store.by_id(tx, errand.environment_id, account.connection_id)
        name = connection.name if connection else ""
        if errand.act == "delete":
            return remove_in(tx, self._accounts, account, connection, errand.actor)
        changed = _changed(errand.act, account, now)
        if changed is None:
            return False
        after, action = changed
        account_store.save(tx, after)
        self._accounts.log(tx, after, name, action, errand.actor, "", was=account.status)
        return True


def _changed(act: Act, account: Account, now: float) -> tuple[Account, Action] | None:
    if act == "suspend" and account.status is Status.ACTIVE:
        return account.to(Status.SUSPENDED, now, reason=Reason.PAUSED), Action.ACCOUNT_SUSPENDED
    if act == "resume" and account.status is Status.SUSPENDED:
        return account.to(Status.ACTIVE, now), Action.ACCOUNT_RESUMED
    return None
