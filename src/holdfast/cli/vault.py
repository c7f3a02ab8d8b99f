"""`holdfast vault`: the vault's keys told, changed and retired, beside running servers or without them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from rich.console import Console
from rich.table import Table

from holdfast.access import store as access_store
from holdfast.app import open_vault
from holdfast.clock import SystemClock
from holdfast.config import Config
from holdfast.events import Actor
from holdfast.rotation import Rotation
from holdfast.storage import Database
from holdfast.vault import LocalKeyFile


async def status(config: Config) -> int:
    """Show each key and what it is used for; return 0 if nothing is left to do, else 1."""
    async with _open(config) as (database, rotation):
        standing = await rotation.standing()
        environments = await database.transact(access_store.list_environments)
    names = {environment.id: environment.name for environment in environments}
    keys = Table("Key in the file", "Is", "Wraps data keys")
    for key_id in standing.held:
        what = "current" if key_id == standing.current else "prepared" if key_id == standing.prepared else "former"
        keys.add_row(key_id, what, str(standing.wraps.get(key_id, 0)))
    data_keys = Table("Environment", "Data key", "Is", "Seals secrets")
    for (name, version), count in sorted(standing.seals.items()):
        sealing = standing.sealing.get(name, 0)
        what = "current" if version == sealing else "former" if version < sealing else "about to be current"
        data_keys.add_row(names.get(name, name), str(version), what, str(count))
    console = Console()
    console.print(keys)
    console.print(data_keys)
    if standing.foreign:
        print(f"{standing.foreign} values are in no sealed format: they are never read")
    if standing.to_wrap or standing.to_seal:
        print(f"to do: {standing.to_wrap} data keys to wrap, {standing.to_seal} secrets to seal: holdfast vault resume")
        return 1
    idle = [key_id for key_id in standing.held if key_id not in (standing.current, standing.prepared)]
    if idle:
        print("nothing uses " + ", ".join(idle) + ": holdfast vault retire ID")
    return 0


async def prepare(config: Config) -> None:
    async with _open(config) as (_, rotation):
        key_id = await rotation.prepare()
    print(f"key {key_id} is prepared: bring {config.key_path()} to every machine, then run `holdfast vault rotate`")


async def rotate(config: Config, *, data_keys: bool, headway: float) -> int:
    """Make a new key current and wrap with it; with `data_keys`, seal everything anew too. Return the exit status."""
    async with _open(config) as (_, rotation):
        print(f"key {await rotation.replace()} is current", flush=True)
        print(f"{await rotation.rewrap()} data keys are wrapped with it", flush=True)
        if not data_keys:
            return 0
        at = await rotation.add_data_keys(headway)
        print(
            f"new data keys seal in {max(0.0, at - SystemClock().now()):.0f} s, when every server has them", flush=True
        )
        return await _reseal(rotation, at)


async def resume(config: Config) -> int:
    """Finish what a rotation has left to do. Return the exit status."""
    async with _open(config) as (_, rotation):
        print(f"{await rotation.rewrap()} data keys are wrapped with the current key", flush=True)
        return await _reseal(rotation, await rotation.seals_at())


async def retire(config: Config, key_id: str) -> None:
    async with _open(config) as (_, rotation):
        await rotation.retire(key_id)
    print(f"key {key_id} is no longer in {config.key_path()}: bring the file to every machine")


async def _reseal(rotation: Rotation, at: float) -> int:
    await asyncio.sleep(max(0.0, at - SystemClock().now()))
    told = 0
    async for progress in rotation.reseal():
        if progress.resealed > told:
            told = progress.resealed
            print(f"{told} secrets are sealed anew", flush=True)
    for place in sorted(progress.stuck):
        print(f"left as it is, as it does not open: {place}")
    left = (await rotation.standing()).to_seal
    print(f"{left} secrets are left under former data keys")
    return 1 if left or progress.stuck else 0


@contextlib.asynccontextmanager
async def _open(config: Config) -> AsyncIterator[tuple[Database, Rotation]]:
    clock = SystemClock()
    database, vault = await open_vault(config, clock)
    try:
        yield database, Rotation(database, vault, LocalKeyFile.load(config.key_path()), clock, Actor("operator"))
    finally:
        await database.close()
