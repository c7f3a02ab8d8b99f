"""What all tables share: one metadata, a few column types. Times are seconds since the epoch (double precision)."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.types import JSON

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Json = JSON(none_as_null=True)
Time: Double[float] = Double()
Ulid = String(26)


class _Blob(LargeBinary):
    """Bytes. SQLite lets anybody who can write the file put text into such a column: it arrives as bytes too."""

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        if dialect.name != "sqlite":
            return super().result_processor(dialect, coltype)  # type: ignore[no-untyped-call]
        return lambda value: value.encode() if isinstance(value, str) else value


Blob = _Blob()
Count = BigInteger()

NO_ONE = ""
"""Stands for 'no user' or 'no organization' in owner columns: unlike NULL it is equal to itself in a unique index."""


def environment_key() -> Column[str]:
    """Every table's key begins with the environment, so that it can be sharded by it."""
    return Column("environment_id", String(26), primary_key=True)


__all__ = [
    "NO_ONE",
    "Any",
    "BigInteger",
    "Blob",
    "Boolean",
    "Column",
    "Count",
    "Integer",
    "Json",
    "String",
    "Table",
    "Text",
    "Time",
    "Ulid",
    "environment_key",
    "metadata",
]
