"""`holdfast approvals`: look at the calls that wait for a person and decide, beside a running server or not."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from holdfast.access import store as access_store
from holdfast.approvals import Approval, Approvals
from holdfast.approvals.approval import legible
from holdfast.cli.environments import Opened, opened
from holdfast.cli.words import OPERATOR, say, whose
from holdfast.clock import iso
from holdfast.config import Config
from holdfast.vault.sealed import CannotOpen

MOST_LISTED = 1000
MOST_OF_TARGET = 200
"""Characters of an address in the list; `show` has all of it."""


async def show_all(config: Config, named: str | None) -> None:
    """Print what waits, oldest first."""
    async with opened(config, named) as here:
        approvals = _approvals(here)
        waiting = list(reversed(await approvals.pending(here.environment.id, limit=MOST_LISTED)))
        targets = [await _target(approvals, one) for one in waiting]
        keys = {one.asked_by.id for one in waiting}
        names = await here.database.transact(lambda tx: access_store.key_names(tx, here.environment.id, keys))
    table = Table("Id", "Call", "Connection", "Owner", "Asked by", "Body", "Since", "Until")
    for one, target in zip(waiting, targets, strict=True):
        call = f"{one.method} {one.host}{target[:MOST_OF_TARGET]}{'...' if len(target) > MOST_OF_TARGET else ''}"
        cells = (one.id, call, one.connection, whose(one), names.get(one.asked_by.id, one.asked_by.id))
        table.add_row(
            *(escape(legible(cell)) for cell in cells), f"{one.body_length} B", iso(one.created_at), iso(one.expires_at)
        )
    Console(highlight=False).print(table)


async def show(config: Config, named: str | None, approval_id: str) -> None:
    """Print one call with all that is kept of it. What is hidden in a text is written as its number."""
    async with opened(config, named) as here:
        approvals = _approvals(here)
        one = await approvals.one(here.environment.id, approval_id)
        seen = await approvals.seen(one)
    beginning = seen.beginning()
    print(f"{one.state.value}: {one.method} {one.host}{legible(seen.target)}")
    print(f"through {one.connection}, for {legible(whose(one))}, asked by {one.asked_by.id} on {iso(one.created_at)}")
    for name, value in seen.headers:
        print(f"{legible(name)}: {legible(value)}")
    print(f"\n{one.body_length} bytes, SHA-256 {one.body_sha256}")
    print(legible(beginning.decode("utf-8", "backslashreplace")))
    if len(beginning) < one.body_length:
        print(f"[{one.body_length - len(beginning)} more bytes are not shown: nobody can look at them here]")


async def approve(config: Config, named: str | None, approval_id: str) -> None:
    async with opened(config, named) as here:
        done = await _approvals(here).approve(here.environment.id, approval_id, OPERATOR)
    say(f"Approved, for this one call: it may be repeated until {iso(done.expires_at)}.")


async def deny(config: Config, named: str | None, approval_id: str) -> None:
    async with opened(config, named) as here:
        done = await _approvals(here).deny(here.environment.id, approval_id, OPERATOR)
    say(f"Denied. Until {iso(done.expires_at)} this call is refused without asking again.")


def _approvals(here: Opened) -> Approvals:
    return Approvals(here.database, here.vault, here.clock)


async def _target(approvals: Approvals, one: Approval) -> str:
    try:
        return (await approvals.seen(one)).target
    except CannotOpen:
        return f"{one.shown_path} (what it holds cannot be opened)"
