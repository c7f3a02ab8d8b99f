"""How a connection asks for consent and tokens, on its page: shown, changed, refused beside the field."""

from holdfast.connections import Connection
from holdfast.connections import store as connection_store
from holdfast.connections.oauth_settings import UNSET, OAuthSettings
from tests.dashboard.desk import Desk, sqlite_desk, words

__all__ = ["sqlite_desk"]


async def _settings(desk: Desk, connection: Connection) -> OAuthSettings:
    holdfast = desk.holdfast
    found = await holdfast.database.transact(
        lambda tx: connection_store.by_id(tx, holdfast.environment.id, connection.id)
    )
    assert found is not None
    return found.oauth_settings


async def test_parameters_and_the_clients_proof_are_kept_and_told_of_in_the_log(sqlite_desk: Desk) -> None:
    desk = sqlite_desk
    connection = await desk.sandbox_connection()
    assert desk.holdfast.sandbox is not None
    path, client = f"connections/{connection.id}", {"client_id": desk.holdfast.sandbox.client_id}
    page = await desk.get(path)
    assert "Parameters of the request for consent" in words(page)
    typed = {"authorize_params": " prompt=login \r\n\r\nhd=a=b", "pkce": "on"}
    await desk.send(page, path, **client, **typed, token_endpoint_auth_method="client_secret_post")
    assert await _settings(desk, connection) == OAuthSettings(
        params={"prompt": "login", "hd": "a=b"}, client_auth="client_secret_post"
    )
    page = await desk.get(path)
    assert "prompt=login\nhd=a=b</textarea>" in page.text
    assert "how it asks for access" in words(await desk.get("activity"))
    await desk.send(page, path, **client)
    assert (await _settings(desk, connection)).params, "a form without the fields leaves them"

    for bad, field in (
        ({"authorize_params": "state=mine", "pkce": "on"}, "authorize_params"),
        ({"authorize_params": "no sign", "pkce": "on"}, "authorize_params"),
        ({"authorize_params": "", "pkce": "off"}, "pkce"),
    ):
        answer = await desk.send(page, path, **client, **bad)
        assert answer.status == 422 and f'id="{field}-problem"' in answer.text, bad
    await desk.send(page, path, **client, authorize_params="", token_endpoint_auth_method="client_secret_basic")
    assert await _settings(desk, connection) == UNSET
