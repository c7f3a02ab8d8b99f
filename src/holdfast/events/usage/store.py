"""The table of counts and its SQL. Counting is one statement on either engine: an entry costs a share of a scan."""

from collections.abc import Collection

from sqlalchemy import Connection, delete, func, select, text

from holdfast.events.store import Cursor
from holdfast.events.usage.counts import BOUNDS, COUNTED, HOUR, Counted
from holdfast.storage.tables import Column, Count, Integer, String, Table, Time, environment_key, metadata

usage_hours = Table(
    "usage_hours",
    metadata,
    environment_key(),
    Column("hour", Count, primary_key=True, autoincrement=False),
    Column("connection_id", String(26), primary_key=True),
    Column("action", String(64), primary_key=True),
    Column("outcome", String(16), primary_key=True),
    Column("up_to_ms", Integer, primary_key=True, autoincrement=False),
    Column("count", Count, nullable=False),
    Column("ms", Time, nullable=False),
)
"""`hour` counts hours since the epoch."""

_KEY = "environment_id, hour, connection_id, action, outcome, up_to_ms"
_BUCKET = " ".join(f"WHEN ms <= {bound} THEN {bound}" for bound in BOUNDS)
_ACTIONS = ", ".join(f"'{action.value}'" for action in COUNTED)
_ENGINES = {
    "sqlite": {
        "position": "rowid",
        "hour": f"CAST(at / {HOUR} AS INTEGER)",
        "status": "json_extract(data, '$.status')",
        "ms": "json_extract(data, '$.ms')",
        "text": "CAST(status / 100 AS TEXT)",
        "count": "coalesce(json_extract(data, '$.count'), 1)",
        "apart": "",
    },
    "postgresql": {
        "position": "arrival",
        "hour": f"floor(at / {HOUR})::bigint",
        "status": "(data->>'status')::int",
        "ms": "(data->>'ms')::float8",
        "count": "coalesce((data->>'count')::int, 1)",
        "text": "(status / 100)::text",
        # Or else what is taken from `data` is taken anew for each place that names it, ten times for a call.
        "apart": "OFFSET 0",
    },
}
# Nearly all entries are reads, whose data nobody needs to look into but for how many one tells of.
_COUNT = """
INSERT INTO usage_hours ({key}, count, ms)
SELECT environment_id, hour, connection_id, action,
  CASE WHEN action <> 'proxy.called' THEN '' WHEN status IS NULL THEN 'failed' ELSE {text} || 'xx' END AS outcome,
  CASE WHEN action <> 'proxy.called' THEN 0 {bucket} ELSE 0 END AS up_to_ms,
  sum(count), coalesce(sum(ms), 0)
FROM (
  SELECT environment_id, {hour} AS hour, connection_id, action,
    CASE WHEN marks IS NULL THEN 1 ELSE {count} END AS count,
    CASE WHEN action = 'proxy.called' THEN {status} END AS status,
    CASE WHEN action = 'proxy.called' THEN {ms} END AS ms
  FROM entries WHERE {position} > :after AND {position} <= :up_to AND action IN ({actions}) {apart}
) AS found
WHERE true
GROUP BY 1, 2, 3, 4, 5, 6
ON CONFLICT ({key}) DO UPDATE SET count = usage_hours.count + excluded.count, ms = usage_hours.ms + excluded.ms
"""
_LAST = """
SELECT environment_id, id, {position} AS position FROM entries
WHERE {position} > :after AND {position} <= :up_to ORDER BY {position} DESC LIMIT 1
"""

NEAR = 64
"""Numbers before the end of a stretch in which its last entry nearly always lies."""


def count(tx: Connection, after: int, up_to: int) -> Cursor:
    """Add the entries behind `after` up to `up_to` to the counts; return where a reader of the log stands then."""
    words = _ENGINES[tx.dialect.name]
    if tx.dialect.name == "postgresql":
        tx.execute(text("SET LOCAL enable_seqscan = off"))  # see events.store.span
    stretch = {"after": after, "up_to": up_to}
    tx.execute(text(_COUNT.format(key=_KEY, bucket=_BUCKET, actions=_ACTIONS, **words)), stretch)
    # What is new at the very end is found first: the whole stretch would be read and sorted for its one last row.
    near = {"after": max(after, up_to - NEAR), "up_to": up_to}
    last = tx.execute(text(_LAST.format(**words)), near).one_or_none()
    if last is None and near["after"] > after:
        last = tx.execute(text(_LAST.format(**words)), stretch).one_or_none()
    return Cursor(up_to) if last is None else Cursor(last.position, last.environment_id, last.id)


def sums(
    tx: Connection,
    environment_id: str | None,
    *,
    since: int,
    until: int,
    bucket: int,
    connection_id: str | None = None,
    actions: Collection[str] = (),
) -> list[Counted]:
    """Return counts by bucket of `bucket` hours, as hours since the epoch. `environment_id` None = of all."""
    table = usage_hours
    at = table.c.hour - table.c.hour % bucket
    keys = (at.label("at"), table.c.connection_id, table.c.action, table.c.outcome, table.c.up_to_ms)
    query = select(*keys, func.sum(table.c.count), func.sum(table.c.ms)).where(
        table.c.hour >= since, table.c.hour < until
    )
    if environment_id is not None:
        query = query.where(table.c.environment_id == environment_id)
    if connection_id is not None:
        query = query.where(table.c.connection_id == connection_id)
    if actions:
        query = query.where(table.c.action.in_(list(actions)))
    rows = tx.execute(query.group_by(text("1"), *keys[1:]))
    return [Counted(int(row[0]), *row[1:5], int(row[5]), float(row[6])) for row in rows]


def forget_before(tx: Connection, hour: int) -> int:
    """Delete the counts of hours before one; return how many rows."""
    return tx.execute(delete(usage_hours).where(usage_hours.c.hour < hour)).rowcount
