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
    Table,
)
from sqlalchemy import String as _String
from sqlalchemy import Text as _Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import JSON

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class String(_String):
    """Text that is compared and ordered by its bytes, whatever the database's locale.

    So SQLite does it; PostgreSQL would compare by the rules of a locale, several times as slowly, and its indexes would
    be out of order when the operating system's rules change.
    """


class Text(_Text):
    """As String, of any length."""


class in_words(FunctionElement[str]):  # noqa: N801  (reads as SQL)
    """A text as people read it, to be looked through whatever its case: by the rules of the database's locale."""

    type = _Text()
    inherit_cache = True


@compiles(in_words)
def _as_it_is(element: in_words, compiler: Any, **more: Any) -> str:
    return str(compiler.process(element.clauses, **more))


@compiles(in_words, "postgresql")
def _by_locale(element: in_words, compiler: Any, **more: Any) -> str:
    return f'({compiler.process(element.clauses, **more)} COLLATE "default")'


@compiles(String, "postgresql")
def _string(element: String, _compiler: object, **_kw: Any) -> str:
    length = "" if element.length is None else f"({element.length})"
    return f'VARCHAR{length} COLLATE "C"'


@compiles(Text, "postgresql")
def _text(_element: Text, _compiler: object, **_kw: Any) -> str:
    return 'TEXT COLLATE "C"'


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
    "in_words",
    "metadata",
]
