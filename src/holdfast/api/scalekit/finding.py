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


def connection_of(tx: Tx, connections: Connections, call: Call, owner: Owner) -> Effective:
    """Return the connection that a request names, as it stands for the owner. Raises NotFound."""
    name = connector_of(call)
    connection = connection_store.by_name(tx, call.environment_id, name, owner.kind)
    if connection is None:
        raise NotFound(f"there is no connection '{name}'", code="connection_not_found")
    return connections.effective(tx, connection, owner.organization_id)


def find(tx: Tx, connections: Connections, call: Call) -> Found:
    """Return the account meant, and its connection. Raises NotFound, or Unprocessable if none is named."""
    account_id = call.given("id") if "id" in call.request.DESCRIPTOR.fields_by_name else None
    if account_id is not None:
        account = account_store.get(tx, call.environment_id, bare(ACCOUNT, account_id, "connected account"))
        if account is None:
            raise _none()
        connection = connection_store.by_id(tx, call.environment_id, account.connection_id)
        if connection is None:
            raise _none()
        return Found(account, connections.effective(tx, connection, account.owner.organization_id))
    owner = owner_of(call)
    effective = connection_of(tx, connections, call, owner)
    mine = account_store.of_owner(tx, call.environment_id, effective.connection.id, owner)
    try:
        return Found(select_account(mine, account_id=None, plural=False), effective)
    except NotFound:
        raise _none() from None


def _none() -> NotFound:
    return NotFound("there is no such connected account", code="connected_account_not_found")


def _required(field: str) -> dict[str, str]:
    return {"field": field, "description": "is required", "code": "required"}
