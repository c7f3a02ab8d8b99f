"""Which account a request means: by its id, or by connector and identifier."""

from dataclasses import dataclass

from holdfast.accounts import Account, Owner, select_account
from holdfast.accounts import store as account_store
from holdfast.api.scalekit.naming import ACCOUNT, bare
from holdfast.api.scalekit.rpc import Call
from holdfast.connections import Connections, Effective
from holdfast.connections import store as connection_store
from holdfast.errors import NotFound, Unprocessable
from holdfast.storage import Connection as Tx


@dataclass(frozen=True, slots=True)
class Found:
    account: Account
    effective: Effective

    @property
    def connector(self) -> str:
        return self.effective.connection.name


def owner_of(call: Call) -> Owner:
    """Return the user that a request names. Raises Unprocessable if it names none."""
    identifier = call.given("identifier") or call.given("user_id")
    if identifier is None:
        raise Unprocessable("identifier is required", fields=[_required("identifier")])
    return Owner.user(identifier, call.given("organization_id"))


def connector_of(call: Call) -> str:
    connector = call.given("connector")
    if connector is None:
        raise Unprocessable("connector is required", fields=[_required("connector")])
    return connector


SHARED = "org_wide"
"""The organization that owns a connection's one credential for everybody, where a request names no organization."""


def place_of(tx: Tx, connections: Connections, call: Call) -> tuple[Owner, Effective]:
    """Return whose account at which connection a request names. At a connection that organizations own, it is the
    organization's, whoever the identifier is. Raises NotFound, or Unprocessable for what is not named."""
    name = connector_of(call)
    found = connection_store.by_name(tx, call.environment_id, name, "user")
    if found is None:
        found = connection_store.by_name(tx, call.environment_id, name, "organization")
        owner = Owner.organization(call.given("organization_id") or SHARED) if found else owner_of(call)
    else:
        owner = owner_of(call)
    if found is None:
        raise NotFound(f"there is no connection '{name}'", code="connection_not_found")
    return owner, connections.effective(tx, found, owner.organization_id)


def by_id(tx: Tx, connections: Connections, environment_id: str, given: str) -> Found:
    """Return the account of a prefixed id. Raises NotFound."""
    account = account_store.get(tx, environment_id, bare(ACCOUNT, given, "connected account"))
    connection = connection_store.by_id(tx, environment_id, account.connection_id) if account else None
    if account is None or connection is None:
        raise _none()
    return Found(account, connections.effective(tx, connection, account.owner.organization_id))


def find(tx: Tx, connections: Connections, call: Call) -> Found:
    """Return the account meant, and its connection. Raises NotFound, or Unprocessable if none is named."""
    account_id = call.given("id") if "id" in call.request.DESCRIPTOR.fields_by_name else None
    if account_id is not None:
        return by_id(tx, connections, call.environment_id, account_id)
    owner, effective = place_of(tx, connections, call)
    mine = account_store.of_owner(tx, call.environment_id, effective.connection.id, owner)
    try:
        return Found(select_account(mine, account_id=None, plural=False), effective)
    except NotFound:
        raise _none() from None


def _none() -> NotFound:
    return NotFound("there is no such connected account", code="connected_account_not_found")


def _required(field: str) -> dict[str, str]:
    return {"field": field, "description": "is required", "code": "required"}
