"""Making and changing OAuth clients: a new id is a new client, a new secret keeps the former one beside it."""

from dataclasses import dataclass, replace

from holdfast import ids
from holdfast.connections import store
from holdfast.connections.connection import Client, Connection
from holdfast.errors import Conflict
from holdfast.secret import Secret
from holdfast.storage import Connection as Tx
from holdfast.vault import Vault


@dataclass(frozen=True, slots=True)
class ClientInput:
    client_id: str
    client_secret: Secret | None


@dataclass(frozen=True, slots=True)
class ClientChange:
    """A client to store. `replaces` is the secret version that must still be current; None = the client is new."""

    client: Client
    replaces: int | None

    def store(self, tx: Tx) -> None:
        """Raises Conflict if somebody changed the secret meanwhile."""
        if self.replaces is None:
            store.add_client(tx, self.client)
        elif not store.save_client(tx, self.client, expected_version=self.replaces):
            raise Conflict("the client secret was changed by someone else at the same moment: try again")


def new_client(
    vault: Vault, environment_id: str, connection_id: str, organization_id: str, given: ClientInput, now: float
) -> Client:
    blank = Client(
        environment_id=environment_id,
        id=ids.new_id(now),
        connection_id=connection_id,
        organization_id=organization_id,
        client_id=given.client_id,
        secret=None,
        secret_version=0,
        secret_last4="",
        former_secret=None,
        created_at=now,
        updated_at=now,
    )
    return _with_secret(vault, blank, given.client_secret, now)


def changed_client(
    vault: Vault,
    connection: Connection,
    organization_id: str,
    current: Client | None,
    given: ClientInput | None,
    now: float,
) -> ClientChange | None:
    """Return what to store for what was given; None where nothing was."""
    if given is None:
        return None
    if current is None or current.client_id != given.client_id:
        new = new_client(vault, connection.environment_id, connection.id, organization_id, given, now)
        return ClientChange(new, None)
    return ClientChange(_with_secret(vault, current, given.client_secret, now), current.secret_version)


def _with_secret(vault: Vault, client: Client, secret: Secret | None, now: float) -> Client:
    if secret is None:
        return client
    version = client.secret_version + 1
    return replace(
        client,
        secret=vault.seal(secret, client.secret_place(version)),
        secret_version=version,
        secret_last4=secret.last4(),
        former_secret=client.secret,
        updated_at=now,
    )
