"""Entries made ready to be read: who did what to which account, when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.access import store as access_store
from holdfast.access.administrators import store as people_store
from holdfast.dashboard import sentences
from holdfast.events import Entry
from holdfast.events.browse import Found, Look, browse
from holdfast.storage import Connection as Tx
from holdfast.storage import Database


@dataclass(frozen=True, slots=True)
class Line:
    entry: Entry
    who: str
    sentence: str
    tone: str
    subject: str
    """The account, as people call it; "" where the entry is about none."""


class Story:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, environment_id: str, look: Look, *, limit: int) -> tuple[list[Line], str | None]:
        """Return the newest lines and where older ones begin; what happens many times a day is left out."""
        lines, found = await self.page(environment_id, look, limit=limit)
        return lines, found.further

    async def page(
        self, environment_id: str, look: Look, *, limit: int, after: str = "", before: str = ""
    ) -> tuple[list[Line], Found]:
        def work(tx: Tx) -> tuple[list[Line], Found]:
            found = browse(tx, environment_id, look, limit=limit, after=after, before=before)
            return told(found.entries, names_of(tx, environment_id, found.entries)), found

        return await self._database.transact(work)


def names_of(tx: Tx, environment_id: str, entries: Sequence[Entry]) -> dict[str, str]:
    """Return what the administrators, keys and clients who did this are called, by id."""
    keys = {entry.actor.id for entry in entries if entry.actor.kind == "api_key"}
    people = {one.id: one.name for one in people_store.everyone(tx)}
    return access_store.key_names(tx, environment_id, keys) | people if keys else people


def told(entries: Sequence[Entry], names: Mapping[str, str]) -> list[Line]:
    return [
        Line(
            entry,
            sentences.who(entry.actor, names),
            sentences.sentence(entry),
            sentences.tone(entry),
            _subject(entry.data, entry) if entry.account_id else "",
        )
        for entry in entries
    ]


def _subject(data: Mapping[str, Any], entry: Entry) -> str:
    return str(data.get("label") or data.get("identifier") or entry.user_id or entry.organization_id)[:100]
