"""`holdfast migrate`: the schema's version told, and brought up to date beside running servers."""

from holdfast.config import Config
from holdfast.storage import Database, open_database
from holdfast.storage.migrations import HEAD, Standing, look, migrate


async def status(config: Config) -> int:
    """Print how the schema stands to this release; return 0 if a server of it would work with that."""
    database = await _open(config)
    try:
        schema = await database.transact(look)
    finally:
        await database.close()
    standing = schema.standing()
    print(f"database  {schema.version or 'none'}: {standing.value}")
    if schema.min_compatible is not None:
        print(f"          servers made for {schema.min_compatible} or later work with it")
    print(f"release   {HEAD}")
    if standing in (Standing.EMPTY, Standing.BEHIND):
        print("to do     holdfast migrate up")
    elif standing is Standing.TOO_NEW:
        print("to do     run the release that made it, or a later one")
    return 0 if standing in (Standing.CURRENT, Standing.AHEAD) else 1


async def up(config: Config) -> None:
    """Bring the schema to what this release needs. Does nothing if it is there, or ahead."""
    database = await _open(config)
    try:
        before = (await database.transact(look)).version
        after = await migrate(database)
    finally:
        await database.close()
    print(f"schema {after}: nothing to do" if before == after else f"schema {before or 'none'} > {after}")


async def _open(config: Config) -> Database:
    return await open_database(
        config.database_url(), pooler=config.database_pooler, connections=config.database_connections
    )
