"""Writing entries: one at a time with what they are about, or by the hundred."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import (
    Connection,
    insert,
)

from holdfast.events.entry import Entry, Line
from holdfast.events.store.table import entries


def append(tx: Connection, *new: Entry) -> None:
    if new:
        tx.execute(insert(entries), [msgspec.structs.asdict(Line.of(entry)) for entry in new])


_COLUMNS = Line.__struct_fields__
_SQLITE_APPEND = f"""
INSERT INTO entries ({", ".join(_COLUMNS)}) VALUES ({", ".join("?" * len(_COLUMNS))})
ON CONFLICT DO NOTHING
"""  # noqa: S608
# As one JSON value: asyncpg looks long at each item of an array, twelve arrays of them cost 4 us an entry. `data` is
# written to the table as it stands in it.
_POSTGRES_APPEND = f"""
INSERT INTO entries ({", ".join(_COLUMNS)})
SELECT {", ".join(_COLUMNS)} FROM json_to_recordset($1::text::json) AS x({
    ", ".join(f"{name} {'float8' if name == 'at' else 'json' if name == 'data' else 'text'}" for name in _COLUMNS)
})
"""  # noqa: S608
_POSTGRES_APPEND_AGAIN = _POSTGRES_APPEND + "ON CONFLICT DO NOTHING"
_encode = msgspec.json.Encoder(order="deterministic").encode
"""As entries are hashed: what is written so can be hashed as it lies there."""


@dataclass(frozen=True, slots=True)
class Appending:
    """Lines by the hundred, for `Database.direct`: through SQLAlchemy each costs many times as much.

    `again`: some of them may be there already, and stay. It costs a fifth more.
    """

    new: Sequence[Line]
    again: bool = False

    def on_sqlite(self, raw: sqlite3.Connection) -> None:
        rows = [(*msgspec.structs.astuple(line)[:-1], _encode(line.data).decode()) for line in self.new]
        raw.executemany(_SQLITE_APPEND, rows)

    async def on_postgres(self, raw: Any) -> None:
        await raw.execute(_POSTGRES_APPEND_AGAIN if self.again else _POSTGRES_APPEND, _encode(self.new).decode())
