"""Many accounts quickly: the first is made as every account is, the others are its row with another owner and their
own sealed tokens. A million take a few minutes; through the API they would take hours."""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from holdfast import ids
from holdfast.accounts import Account, OAuthCredential, Owner, Status
from holdfast.accounts import store as account_store
from holdfast.accounts.credential import lay_in
from holdfast.app import Holdfast
from holdfast.connections.changes import NewConnection
from holdfast.connections.clients import ClientInput
from holdfast.events import Actor
from holdfast.providers.entry import Lifetime
from holdfast.secret import Secret
from holdfast.vault import Vault

TOKEN_LENGTH = 700
"""Characters: what a JWT access token of a large provider has; the reply is about 1 KB."""
BATCH = 10_000

_SAMPLE = "SELECT * FROM accounts LIMIT 1"


@dataclass(frozen=True)
class Seed:
    count: int
    state: str
    """`live`: a day to go. `ended`: the token is over, and the sweep is not to come. `due`: alive, for the sweep."""


async def seed(holdfast: Holdfast, wanted: Seed) -> bool:
    """Make users with one account each (user_0, user_1, ...); return False if the database holds some already."""
    database = holdfast.database
    if await database.direct(_Sample()) is not None:
        return False
    connections = holdfast.accounts.connections
    new = NewConnection(
        provider_slug="github",
        client_supply="custom",
        client=ClientInput("client", Secret("secret-of-the-bench")),
        enabled=True,
    )
    connection = await connections.create(holdfast.environment.id, new, Actor("operator"))
    await holdfast.vault.ready(holdfast.environment.id)
    now = holdfast.clock.now()
    # What is due has been for so long that the sweep's spread, some share of the margin, is over for all of them.
    ends, due = {"live": (86_400, 80_000), "ended": (-10, -310), "due": (3000, -5000)}[wanted.state]
    blank = Account(
        environment_id=holdfast.environment.id,
        id=ids.new_id(now),
        connection_id=connection.id,
        client_ref=connection.client_ref,
        owner=Owner.user("user_0"),
        role="compatibility",
        method="oauth",
        status=Status.ACTIVE,
        created_at=now,
        updated_at=now,
    )
    credential = OAuthCredential(Secret("x" * TOKEN_LENGTH), Secret("r" * 60), now + ends, None, ("repo",))
    first = replace(lay_in(blank, credential, holdfast.vault, Lifetime(), now), refresh_at=now + due)
    await database.transact(lambda tx: account_store.add(tx, first))
    sample = await database.direct(_Sample())
    assert sample is not None
    for start in range(1, wanted.count, BATCH):
        numbers = range(start, min(start + BATCH, wanted.count))
        await database.direct(_Copies(sample, first, numbers, holdfast.vault, now))
    await database.direct(_Settle())
    return True


@dataclass(frozen=True)
class _Sample:
    """The first account's row, as the driver gives it."""

    def on_sqlite(self, raw: sqlite3.Connection) -> dict[str, Any] | None:
        cursor = raw.execute(_SAMPLE)
        row = cursor.fetchone()
        return None if row is None else dict(zip([column[0] for column in cursor.description], row, strict=True))

    async def on_postgres(self, raw: Any) -> dict[str, Any] | None:
        row = await raw.fetchrow(_SAMPLE)
        # SQLAlchemy's connections read JSON as values, and write text.
        return None if row is None else {name: _as_text(value) for name, value in row.items()}


def _as_text(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value


@dataclass(frozen=True)
class _Copies:
    """Rows like the first, each with its own id, owner and sealed tokens."""

    sample: dict[str, Any]
    first: Account
    numbers: range
    vault: Vault
    now: float

    def rows(self) -> Iterator[tuple[Any, ...]]:
        access, grant = Secret("x" * TOKEN_LENGTH), Secret("r" * 60)
        for number in self.numbers:
            account = replace(self.first, id=ids.new_id(self.now), owner=Owner.user(f"user_{number}"))
            changed = {
                "id": account.id,
                "user_id": account.owner.user_id,
                "access": self.vault.seal(access, account.access_place()).data,
                "grant": self.vault.seal(grant, account.grant_place()).data,
            }
            yield tuple({**self.sample, **changed}.values())

    def on_sqlite(self, raw: sqlite3.Connection) -> None:
        names = ", ".join(f'"{name}"' for name in self.sample)
        marks = ", ".join("?" * len(self.sample))
        raw.executemany(f"INSERT INTO accounts ({names}) VALUES ({marks})", self.rows())

    async def on_postgres(self, raw: Any) -> None:
        await raw.copy_records_to_table("accounts", records=self.rows(), columns=list(self.sample))


@dataclass(frozen=True)
class _Settle:
    """Leave the tables as a running server's are, with statistics and a visibility map."""

    def on_sqlite(self, raw: sqlite3.Connection) -> None:
        raw.execute("ANALYZE accounts")

    async def on_postgres(self, raw: Any) -> None:
        await raw.execute("VACUUM ANALYZE accounts")
