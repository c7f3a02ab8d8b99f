"""Approvals: the calls that wait for a person, each with what it would do, and what was decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.responses import Response
from starlette.routing import BaseRoute

from holdfast.access import store as access_store
from holdfast.access.administrators import Right
from holdfast.access.administrators import store as people_store
from holdfast.approvals import Approval, Approvals, Seen, State
from holdfast.approvals.approval import legible
from holdfast.dashboard.frame import Frame, Visit
from holdfast.dashboard.sentences import who
from holdfast.storage import Connection as Tx
from holdfast.storage import Database
from holdfast.vault.sealed import CannotOpen

PAGE = 20
SHORT = 1000
"""Characters of an address, and of a body, in the list; the call's own page has all that is kept."""


@dataclass(frozen=True, slots=True)
class Row:
    """A call as it is looked at."""

    approval: Approval
    asker: str
    decider: str
    target: str
    """Path and query; "" for one that cannot be opened."""
    headers: Sequence[tuple[str, str]]
    body: str
    is_whole: bool
    """Whether nothing of the call is left out here: only then may it be decided on this page."""
    unseen: int
    """Bytes of the body that are not kept."""


class ApprovalPages:
    def __init__(self, frame: Frame, database: Database, approvals: Approvals) -> None:
        self._frame, self._database, self._approvals = frame, database, approvals

    def routes(self) -> list[BaseRoute]:
        frame = self._frame
        return [
            frame.get("approvals", self.all, Right.CONFIGURE),
            frame.get("approvals/{id}", self.one, Right.CONFIGURE),
            frame.post("approvals/{id}/approve", self.approve, Right.CONFIGURE),
            frame.post("approvals/{id}/deny", self.deny, Right.CONFIGURE),
        ]

    async def all(self, visit: Visit) -> Response:
        before = visit.query("before")
        found = await self._approvals.pending(visit.environment_id, limit=PAGE + 1, before=before or None)
        waiting, past = found[:PAGE], [] if before else await self._approvals.decided(visit.environment_id, limit=PAGE)
        names = await self._names(visit, [*waiting, *past])
        return self._frame.page(
            visit,
            "approvals.html",
            waiting=[await self._row(one, names, SHORT) for one in waiting],
            past=[await self._row(one, names, SHORT) for one in past],
            before=before,
            older=waiting[-1].id if len(found) > PAGE else "",
            states=_STATES,
        )

    async def one(self, visit: Visit) -> Response:
        found = await self._approvals.one(visit.environment_id, visit.path["id"])
        row = await self._row(found, await self._names(visit, [found]), None)
        is_live = found.is_live(self._frame.clock.now())
        return self._frame.page(visit, "approval.html", row=row, is_live=is_live, states=_STATES)

    async def approve(self, visit: Visit) -> Response:
        await self._approvals.approve(visit.environment_id, visit.path["id"], visit.signed_in.administrator.actor())
        return self._frame.done(visit, "approvals", "call-approved")

    async def deny(self, visit: Visit) -> Response:
        await self._approvals.deny(visit.environment_id, visit.path["id"], visit.signed_in.administrator.actor())
        return self._frame.done(visit, "approvals", "call-denied")

    async def _row(self, approval: Approval, names: Mapping[str, str], most: int | None) -> Row:
        asker = who(approval.asked_by, names)
        decider = who(approval.decided_by, names) if approval.decided_by is not None else ""
        try:
            seen = await self._approvals.seen(approval)
        except CannotOpen:
            return Row(approval, asker, decider, "", (), "", False, approval.body_length)
        return _row(approval, asker, decider, seen, most)

    async def _names(self, visit: Visit, approvals: Sequence[Approval]) -> dict[str, str]:
        def work(tx: Tx) -> dict[str, str]:
            keys = {one.asked_by.id for one in approvals}
            people = {one.id: one.name for one in people_store.everyone(tx)}
            return access_store.key_names(tx, visit.environment_id, keys) | people if keys else people

        return await self._database.transact(work)


def _row(approval: Approval, asker: str, decider: str, seen: Seen, most: int | None) -> Row:
    beginning = seen.beginning()
    target, body = legible(seen.target), legible(beginning.decode("utf-8", "backslashreplace"))
    headers = [(legible(name), legible(value)) for name, value in seen.headers]
    unseen = approval.body_length - len(beginning)
    told = sum(len(name) + len(value) for name, value in headers)
    is_whole = not unseen and (most is None or max(len(target), len(body), told) <= most)
    return Row(approval, asker, decider, target[:most], headers, body[:most], is_whole, unseen)


_STATES: Mapping[State, tuple[str, str]] = {
    State.PENDING: ("Waiting", "wait"),
    State.APPROVED: ("Approved", "good"),
    State.DENIED: ("Denied", "bad"),
    State.TAKEN: ("Approved and made", ""),
}
"""What each state is called, and the tone of its chip."""
