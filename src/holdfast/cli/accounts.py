"""`holdfast accounts`: list, pause, resume, delete and clean up accounts, beside a running server or without one."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from msgspec import UNSET
from rich.console import Console
from rich.table import Table

from holdfast import ids
from holdfast.access import CleanUpPolicy, Environment, UserVerification, change_environment
from holdfast.accounts import Accounts, Bulk, Keeping, Leftover, Listing, Status, recovery_of
from holdfast.cli.environments import opened
from holdfast.cli.words import OPERATOR, say, whose
from holdfast.clock import Clock, iso
from holdfast.config import Config
from holdfast.connections import Connection, Connections
from holdfast.connections import store as connection_store
from holdfast.errors import Invalid, NotFound
from holdfast.providers.loader import load_catalog
from holdfast.storage import Database

MOST_LISTED = 1000


@dataclass(frozen=True)
class Which:
    """The filters of a command. Empty = no such limit; limits add up."""

    connection: str = ""
    user: str = ""
    organization: str = ""
    statuses: Sequence[str] = ()
    text: str = ""


@dataclass(frozen=True)
class _Opened:
    database: Database
    clock: Clock
    environment: Environment
    keeping: Keeping
    bulk: Bulk

    async def listing(self, which: Which) -> Listing:
        """Raises NotFound for a connection that does not exist, Invalid for a status that does not."""
        unknown = [word for word in which.statuses if word not in tuple(Status)]
        if unknown:
            raise Invalid(f"there is no status {unknown[0]!r}: {', '.join(Status)}")
        connections = None
        if which.connection:
            named = {item.id for item in await self.connections() if item.name == which.connection}
            if not named:
                raise NotFound(f"there is no connection '{which.connection}'")
            connections = sorted(named)
        return Listing(
            statuses=[Status(word) for word in which.statuses],
            connection_ids=connections,
            user_id=which.user or None,
            organization_id=which.organization or None,
            text=which.text,
        )

    async def connections(self) -> Sequence[Connection]:
        return await self.database.transact(lambda tx: connection_store.all_of(tx, self.environment.id))


async def show(config: Config, named: str | None, which: Which, limit: int) -> None:
    """Print accounts, newest first, with why an account cannot be used."""
    async with _open(config, named) as here:
        page = await here.bulk.page(
            here.environment.id, await here.listing(which), limit=max(1, min(limit, MOST_LISTED))
        )
        names = {item.id: item.name for item in await here.connections()}
    table = Table("Id", "Connection", "Owner", "Status", "Reason", "What it needs", "Last used")
    for account in page.accounts:
        needs, used = recovery_of(account), page.last_uses.get(account.id)
        table.add_row(
            account.id,
            names.get(account.connection_id, ""),
            whose(account.owner),
            account.status.value,
            needs.reason if needs else "",
            needs.sentence if needs else "",
            iso(used) if used else "",
        )
    Console(highlight=False).print(table)
    if page.total > len(page.accounts):
        say(f"{len(page.accounts)} of {page.total} accounts")


async def suspend(config: Config, named: str | None, account: str, why: str) -> None:
    async with _open(config, named) as here:
        done = await here.keeping.suspend(here.environment.id, _bare(account), OPERATOR, why)
    say(f"Account {done.id} is paused. Its credential is kept and not handed out.")


async def resume(config: Config, named: str | None, account: str) -> None:
    async with _open(config, named) as here:
        done = await here.keeping.resume(here.environment.id, _bare(account), OPERATOR)
    say(f"Account {done.id} is in use again.")


async def delete(config: Config, named: str | None, accounts: Sequence[str], which: Which, *, dry_run: bool) -> None:
    """Delete the accounts named, or else those that the filters take. Raises Invalid without either."""
    async with _open(config, named) as here:
        if accounts:
            listing = Listing(account_ids=[_bare(account) for account in accounts])
        elif which == Which():
            raise Invalid("say which accounts: by id, or with --connection, --user, --organization, --status, --text")
        else:
            listing = await here.listing(which)
        if dry_run:
            page = await here.bulk.page(here.environment.id, listing, limit=1)
            say(f"{page.total} accounts would be deleted.")
            return
        deleted = 0
        async for progress in here.bulk.delete_all(here.environment.id, listing, OPERATOR):
            deleted = progress.deleted
    say(f"{deleted} accounts are deleted.")
    if accounts and deleted < len(accounts):
        raise NotFound(f"{len(accounts) - deleted} of {len(accounts)} were not found")


async def clean_up(
    config: Config, named: str | None, *, dry_run: bool, unused_days: int | None, expired_days: int | None
) -> None:
    """Delete what the environment's policy says; with `dry_run` print it only, by other days if some are given."""
    async with _open(config, named) as here:
        policy = here.environment.clean_up
        if not dry_run:
            if unused_days is not None or expired_days is not None:
                raise Invalid("other days are for --dry-run: set them with `holdfast accounts policy`")
            if policy == CleanUpPolicy():
                raise Invalid("no policy is set: see `holdfast accounts policy`")
            say(f"{await here.bulk.clean_up(here.environment.id)} accounts are deleted.")
            return
        if unused_days is not None or expired_days is not None:
            policy = CleanUpPolicy(unused_days, expired_days)
        table, count, after = Table("Id", "Owner", "Status", "Why", "Changed"), 0, ""
        while found := await here.bulk.leftovers(here.environment.id, policy, after=after):
            for item in found:
                table.add_row(*_left(item))
            count, after = count + len(found), found[-1].account.id
    Console(highlight=False).print(table)
    say(f"{count} accounts would be deleted.")


async def policy(
    config: Config,
    named: str | None,
    unused_days: int | None,
    expired_days: int | None,
    user_verification: UserVerification | None,
) -> None:
    """Set what is given (0 days = never), and print what holds."""
    async with _open(config, named) as here:
        before = here.environment.clean_up
        after = CleanUpPolicy(
            before.unused_days if unused_days is None else unused_days or None,
            before.expired_days if expired_days is None else expired_days or None,
        )
        holds = here.environment
        if after != before or user_verification is not None:
            holds = await change_environment(
                here.database,
                here.clock,
                here.environment.id,
                OPERATOR,
                clean_up=after,
                user_verification=UNSET if user_verification is None else user_verification,
            )
    console = Console(highlight=False)
    console.print(f"Unused accounts are deleted after: {_days(holds.clean_up.unused_days)}")
    console.print(f"Accounts that need their owner are deleted after: {_days(holds.clean_up.expired_days)}")
    console.print(f"Users are verified after a link: {holds.user_verification}")


def _left(item: Leftover) -> tuple[str, ...]:
    account = item.account
    return account.id, whose(account.owner), account.status.value, item.why, iso(account.updated_at)


def _days(count: int | None) -> str:
    return "never" if count is None else f"{count} days"


def _bare(given: str) -> str:
    """Return an account's id without the prefix of whichever wire it was copied from."""
    found = given.rpartition("_")[2]
    if not ids.is_id(found):
        raise NotFound(f"{given!r} is no account's id")
    return found


@asynccontextmanager
async def _open(config: Config, named: str | None) -> AsyncIterator[_Opened]:
    async with opened(config, named) as here:
        catalog = load_catalog(config.provider_origins)
        connections = Connections(here.database, here.vault, here.clock, catalog, allow_http=config.dev)
        most = config.max_accounts_per_owner
        accounts = Accounts(here.database, here.vault, here.clock, connections, max_per_owner=most)
        yield _Opened(here.database, here.clock, here.environment, Keeping(accounts), Bulk(accounts))
