"""This wire's words for our things: id prefixes, states, event names; and pages of a list."""

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

from holdfast import ids
from holdfast.accounts import Account, Owner, Status
from holdfast.api.workos.inputs import Order
from holdfast.api.workos.outputs import ListMetadata
from holdfast.errors import Invalid, NotFound, Unprocessable

INTEGRATION = "data_integration"
ACCOUNT = "data_installation"
EVENT = "event"
ENDPOINT = "we"
MEMBERSHIP = "om"
REDIRECT_URI = "ruri"

State = Literal["connected", "needs_reauthorization", "disconnected"]
_STATES: dict[Status, State] = {
    Status.ACTIVE: "connected",
    Status.EXPIRED: "needs_reauthorization",
    Status.ERROR: "needs_reauthorization",
    Status.REVOKED: "disconnected",
    Status.SUSPENDED: "disconnected",
}
T = TypeVar("T")


def state_of(account: Account) -> State:
    return _STATES[account.status]


def is_shown(account: Account) -> bool:
    """Pending and verifying accounts are not visible at this door."""
    return account.status in _STATES


def owner_of(user_id: str, organization_id: str | None, connection_owner: str | None) -> Owner:
    """Return the owner that a request names. Raises Unprocessable if an organization is to own and none is named."""
    if connection_owner == "organization":
        if organization_id is None:
            raise Unprocessable(
                "connection_owner=organization needs organization_id",
                fields=[{"field": "organization_id", "code": "required"}],
            )
        return Owner.organization(organization_id)
    return Owner.user(user_id, organization_id)


def account_id(text: str | None) -> str | None:
    """Return the bare id of a connected account. A malformed one is one that nobody has."""
    if text is None:
        return None
    found = ids.without_prefix(ACCOUNT, text)
    if found is None:
        raise NotFound("this owner has no such connected account", code="connected_account_not_found")
    return found


def bare(prefix: str, text: str, what: str) -> str:
    found = ids.without_prefix(prefix, text)
    if found is None:
        raise NotFound(f"there is no such {what}")
    return found


class Cursor:
    """Where a page begins. `normal` is newest first with the cursors the other way round."""

    def __init__(self, prefix: str, *, limit: int, after: str | None, before: str | None, order: Order) -> None:
        if after is not None and before is not None:
            raise Invalid("give after or before, not both")
        self.newest_first = order != "asc"
        self.limit, self._prefix, self._reversed = limit, prefix, order == "normal"
        self.after, self.before = self._id("after", after), self._id("before", before)
        if order == "normal":
            self.after, self.before = self.before, self.after

    def _id(self, name: str, cursor: str | None) -> str | None:
        if cursor is None:
            return None
        found = ids.without_prefix(self._prefix, cursor)
        if found is None:
            raise Unprocessable(
                f"{name}: {cursor!r} is not the id of anything in this list",
                fields=[{"field": name, "code": "invalid"}],
            )
        return found

    def page(self, found: Sequence[T], id_of: Callable[[T], str]) -> tuple[list[T], ListMetadata]:
        """Cut what was fetched (up to limit + 1 rows) to the page, and say where it goes on either side."""
        backwards = self.before is not None
        more = len(found) > self.limit
        rows = list(found[-self.limit :] if backwards else found[: self.limit])
        if not rows:
            return rows, ListMetadata()
        has_later, has_earlier = (True, more) if backwards else (more, self.after is not None)
        last = ids.with_prefix(self._prefix, id_of(rows[-1])) if has_later else None
        first = ids.with_prefix(self._prefix, id_of(rows[0])) if has_earlier else None
        return rows, ListMetadata(before=last, after=first) if self._reversed else ListMetadata(
            before=first, after=last
        )
