"""Activity: the log, filtered and paged, and taken away as a file; and how far it is sealed."""

import csv
import datetime
import io
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute

from holdfast.access.administrators import Right
from holdfast.access.administrators.store import SYSTEM
from holdfast.clock import iso
from holdfast.connections import store as connection_store
from holdfast.dashboard import sentences
from holdfast.dashboard.frame import Frame, Visit
from holdfast.dashboard.story import Story, names_of, told
from holdfast.errors import Invalid, Refused
from holdfast.events import Entry
from holdfast.events.browse import Look, export
from holdfast.events.sealing import store as seals
from holdfast.events.sealing.checkpoint import Checkpoint
from holdfast.storage import Connection as Tx
from holdfast.storage import Database

PAGE = 50
EXPORT_STEP = 500
"""Entries in one read of an export, which goes on as fast as they are taken."""
_COLUMNS = (
    "id",
    "at",
    "action",
    "actor_kind",
    "actor_id",
    "who",
    "sentence",
    "account_id",
    "connection_id",
    "user_id",
    "organization_id",
    "request_id",
    "data",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """The filters as the address says them."""

    group: str = ""
    account: str = ""
    connection: str = ""
    actor: str = ""
    actor_id: str = ""
    owner: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def read(cls, say: Callable[[str], str]) -> "Asked":
        said = {name: say(name).strip() for name in cls.__slots__}
        return cls(**said)

    def look(self) -> Look:
        """Raises Invalid, naming the field, for a time that is none."""
        return Look(
            actions=sentences.actions_of(self.group),
            account_id=self.account,
            connection_id=self.connection,
            actor_kind=self.actor,
            actor_id=self.actor_id,
            owner=self.owner,
            since=_moment("since", self.since),
            until=_moment("until", self.until),
        )

    def given(self) -> Mapping[str, str]:
        return {name: value for name in self.__slots__ if (value := getattr(self, name))}

    def query(self, **more: str) -> str:
        return "?" + urlencode({**self.given(), **more})


class ActivityPages:
    def __init__(self, frame: Frame, database: Database, story: Story) -> None:
        self._frame, self._database, self._story = frame, database, story

    def routes(self) -> list[BaseRoute]:
        return [
            self._frame.get("activity", self.all),
            self._frame.get("activity/export.csv", self.as_csv),
            self._frame.get("activity/export.jsonl", self.as_lines),
        ]

    async def all(self, visit: Visit) -> Response:
        asked, errors = Asked.read(visit.query), dict[str, str]()
        try:
            look = asked.look()
        except Invalid as error:
            look, errors = Look(), {item["field"]: item["message"] for item in error.fields}
        environment_id = _where(visit, asked)
        after, before = visit.query("after"), visit.query("before")
        lines, found = await self._story.page(environment_id, look, limit=PAGE, after=after, before=before)

        def work(tx: Tx) -> tuple[tuple[int, float, int] | None, Checkpoint | None, list[tuple[str, str]]]:
            connections = connection_store.list_connections(
                tx, visit.environment_id, limit=200, after=None, before=None, newest_first=True
            )
            choices = [("", "Any connection"), *((one.id, f"{one.name} ({one.owner_kind}s)") for one in connections)]
            if asked.connection and asked.connection not in dict(choices):
                choices.append((asked.connection, asked.connection))
            sealed = seals.last_sealed(tx, environment_id)
            return sealed, seals.last_checkpoint(tx, environment_id), choices

        sealed, checkpoint, choices = await self._database.transact(work)
        groups = [(key, text) for key, text in sentences.GROUPS.items() if key != "people" or visit.may(Right.PEOPLE)]
        return self._frame.page(
            visit,
            "activity.html",
            status=422 if errors else 200,
            lines=lines,
            found=found,
            asked=asked,
            errors=errors,
            groups=[("", "All but the everyday"), *groups],
            actors=[("", "Anybody"), *sentences.ACTOR_KINDS.items()],
            choices=choices,
            sealed=sealed,
            checkpoint=checkpoint,
        )

    async def as_csv(self, visit: Visit) -> Response:
        return self._file(visit, "csv", "text/csv; charset=utf-8", _csv_lines, ",".join(_COLUMNS) + "\r\n")

    async def as_lines(self, visit: Visit) -> Response:
        return self._file(visit, "jsonl", "application/jsonl; charset=utf-8", _json_lines, "")

    def _file(
        self,
        visit: Visit,
        ending: str,
        kind: str,
        write: Callable[[list[Entry], Mapping[str, str]], str],
        head: str,
    ) -> Response:
        asked = Asked.read(visit.query)
        look, environment_id = asked.look(), _where(visit, asked)

        async def body() -> AsyncIterator[str]:
            yield head
            edge: str | None = ""
            while edge is not None:
                text, edge = await self._step(environment_id, look, edge, write)
                if text:
                    yield text

        return StreamingResponse(
            body(),
            media_type=kind,
            headers={
                "content-disposition": f'attachment; filename="activity-{visit.environment.name}.{ending}"',
                "cache-control": "no-store",
                "x-content-type-options": "nosniff",
            },
        )

    async def _step(
        self, environment_id: str, look: Look, edge: str, write: Callable[[list[Entry], Mapping[str, str]], str]
    ) -> tuple[str, str | None]:
        def work(tx: Tx) -> tuple[str, str | None]:
            found, further = export(tx, environment_id, look, after=edge, limit=EXPORT_STEP)
            return write(list(found), names_of(tx, environment_id, found)), further

        return await self._database.transact(work)


def _where(visit: Visit, asked: Asked) -> str:
    """Administrators belong to the server: what they did to one another is told to those who may see them."""
    if asked.group != "people":
        return visit.environment_id
    if not visit.may(Right.PEOPLE):
        raise Refused("what administrators did to one another is shown to owners and admins")
    return SYSTEM


def _moment(field: str, text: str) -> float | None:
    if not text:
        return None
    try:
        at = datetime.datetime.fromisoformat(text)
    except ValueError:
        message = "a date and time such as 2026-05-04T17:30, in UTC"
        raise Invalid(message, fields=[{"field": field, "message": message}]) from None
    return (at if at.tzinfo else at.replace(tzinfo=datetime.UTC)).timestamp()


def _row(entry: Entry) -> dict[str, object]:
    return {
        "id": entry.id,
        "at": iso(entry.at),
        "action": entry.action.value,
        "actor_kind": entry.actor.kind,
        "actor_id": entry.actor.id,
        "account_id": entry.account_id,
        "connection_id": entry.connection_id,
        "user_id": entry.user_id,
        "organization_id": entry.organization_id,
        "request_id": entry.request_id,
        "data": dict(entry.data),
    }


def _json_lines(found: list[Entry], names: Mapping[str, str]) -> str:
    lines = [{**_row(line.entry), "who": line.who, "sentence": line.sentence} for line in told(found, names)]
    return "".join(msgspec.json.encode(line).decode() + "\n" for line in lines)


def _csv_lines(found: list[Entry], names: Mapping[str, str]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    for line in told(found, names):
        row = {**_row(line.entry), "who": line.who, "sentence": line.sentence}
        row["data"] = msgspec.json.encode(row["data"]).decode()
        writer.writerow([_cell(str(row[name])) for name in _COLUMNS])
    return out.getvalue()


def _cell(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula. https://owasp.org/www-community/attacks/CSV_Injection"""
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
