"""Finding one among the many reads that a gathered entry tells of, on PostgreSQL. SQLite has no such entries."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import sqlalchemy
from sqlalchemy import ColumnElement, Connection, and_, cast, func, select, text

from holdfast.events.gathered import bits_of
from holdfast.events.store.table import IS_GATHERED, entries

# An index holds all that the inner query asks of an entry; what is left is looked at, newest first, until one is found.
_LAST = text("""
SELECT v.account_id, (
    SELECT e.id
    FROM (SELECT id FROM entries
        WHERE environment_id = :environment_id AND marks IS NOT NULL AND id >= v.since
            AND get_bit(marks, v.one) = 1 AND get_bit(marks, v.two) = 1 AND get_bit(marks, v.three) = 1
        ORDER BY id DESC OFFSET 0) AS c
    JOIN entries AS e ON e.environment_id = :environment_id AND e.id = c.id
    WHERE strpos(e.data::text, '["' || v.account_id || '","') > 0
    ORDER BY c.id DESC LIMIT 1) AS id
FROM json_to_recordset(CAST(CAST(:asked AS text) AS json))
    AS v(account_id text, since text, one int, two int, three int)
""")


def marked(marks: ColumnElement[bytes], user_id: str) -> ColumnElement[bool]:
    """Tell whether an entry may tell of this user's reads. Of few entries it says so wrongly."""
    return and_(*(func.get_bit(marks, bit) == 1 for bit in bits_of(user_id)))


def tells_of_account(data: ColumnElement[Any], account_id: str) -> ColumnElement[bool]:
    return _holds(data, f'["{account_id}","')


def tells_of_user(data: ColumnElement[Any], user_id: str) -> ColumnElement[bool]:
    return _holds(data, f'","{user_id}","')


def _holds(data: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """By the text of `data`, which is written in one way only, and in which nothing is escaped: it is not parsed."""
    return func.strpos(cast(data, sqlalchemy.Text), text) > 0


def marks_beside(tx: Connection, environment_id: str, wanted: Collection[str]) -> dict[str, bytes]:
    """Return the marks of those of the entries that have any, by id."""
    query = select(entries.c.id, entries.c.marks).where(
        entries.c.environment_id == environment_id, entries.c.id.in_(list(wanted)), IS_GATHERED
    )
    return {row.id: row.marks for row in tx.execute(query)}


def last_told(tx: Connection, environment_id: str, asked: Sequence[tuple[str, str, str]]) -> dict[str, str]:
    """Return, by account, the id of the last gathered entry that tells of a read of it; absent = there is none.

    `asked`: accounts, each with its user, and the first id that counts.
    """
    if tx.dialect.name != "postgresql" or not asked:
        return {}
    rows = [
        dict(zip(("account_id", "since", "one", "two", "three"), (account_id, since, *bits_of(user_id)), strict=True))
        for account_id, user_id, since in asked
        if user_id
    ]
    values = {"environment_id": environment_id, "asked": msgspec.json.encode(rows).decode()}
    return {row.account_id: row.id for row in tx.execute(_LAST, values) if row.id is not None}
