"""SDK sign-in: tokens for a client's id and secret, RFC 6749's errors, and an end at once."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.parts.server import HoldfastProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HoldfastProcess]:
    running = HoldfastProcess(tmp_path_factory.mktemp("signin"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def web(server: HoldfastProcess) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.base_url, timeout=20, trust_env=False) as client:
        yield client


def _form(server: HoldfastProcess, **changes: str) -> dict[str, str]:
    good = {
        "grant_type": "client_credentials",
        "client_id": server.client_id,
        "client_secret": server.client_secret,
    }
    return {name: value for name, value in {**good, **changes}.items() if value}


@pytest.mark.parametrize("path", ["/oauth/token", "//oauth/token"])
def test_a_client_gets_a_token_that_its_keys_verify(server: HoldfastProcess, web: httpx2.Client, path: str) -> None:
    reply = web.post(server.base_url + path, data=_form(server), headers={"authorization": "Bearer former"})
    assert reply.status_code == 200 and reply.headers["cache-control"] == "no-store"
    body = reply.json()
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 86399)
    keys = KeySet.import_key_set(web.get("/keys").json())
    assert all("d" not in key for key in web.get("/keys").json()["keys"])
    token = jwt.decode(body["access_token"], keys, algorithms=["RS256"])
    assert token.claims["sub"] == server.client_id and token.claims["iss"] == server.base_url
    listed = web.get("/api/v1/organizations", headers={"authorization": f"Bearer {body['access_token']}"})
    assert listed.status_code == 200


def test_basic_authentication_signs_in_too(server: HoldfastProcess, web: httpx2.Client) -> None:
    form = {"grant_type": "client_credentials"}
    assert web.post("/oauth/token", data=form, auth=(server.client_id, server.client_secret)).status_code == 200
    wrong = web.post("/oauth/token", data=form, auth=(server.client_id, "scs_wrong"))
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    assert wrong.headers["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "skc_01ARZ3NDEKTSV4RRFFQ69G5FAV"}, 401, "invalid_client"),
        ({"client_secret": ""}, 401, "invalid_client"),
        ({"grant_type": ""}, 400, "invalid_request"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
def test_a_refusal_is_told_as_rfc_6749_has_it(
    server: HoldfastProcess, web: httpx2.Client, changes: dict[str, str], status: int, error: str
) -> None:
    reply = web.post("/oauth/token", data=_form(server, **changes))
    assert (reply.status_code, reply.json()["error"]) == (status, error)


def test_an_api_key_and_a_client_secret_do_not_pass_for_each_other(server: HoldfastProcess, web: httpx2.Client) -> None:
    as_secret = web.post("/oauth/token", data=_form(server, client_secret=server.api_key))
    as_key = web.get("/api/v1/organizations", headers={"authorization": f"Bearer {server.client_secret}"})
    assert (as_secret.status_code, as_key.status_code) == (401, 401)


def test_a_token_that_was_made_up_or_altered_is_refused(server: HoldfastProcess, web: httpx2.Client) -> None:
    token = web.post("/oauth/token", data=_form(server)).json()["access_token"]
    header, claims, signature = token.split(".")
    unsigned = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "at+jwt"}).encode()).decode().rstrip("=")
    other = base64.urlsafe_b64encode(base64.urlsafe_b64decode(claims + "==").replace(b'"openid"', b'"admins"'))
    for made_up in (
        f"{unsigned}.{claims}.",
        f"{header}.{other.decode().rstrip('=')}.{signature}",
        f"{header}.{claims}.{signature[:-4]}AAAA",
    ):
        reply = web.get("/api/v1/organizations", headers={"authorization": f"Bearer {made_up}"})
        assert (reply.status_code, reply.json()["code"]) == (401, 16), made_up[:40]


def test_revoking_a_client_ends_its_tokens_at_once(server: HoldfastProcess, web: httpx2.Client) -> None:
    client_id, secret = _cli(server.data_dir, "create", "--name", "short-lived").split()
    token = web.post("/oauth/token", data=_form(server, client_id=client_id, client_secret=secret)).json()
    bearer = {"authorization": f"Bearer {token['access_token']}"}
    assert web.get("/api/v1/organizations", headers=bearer).status_code == 200
    _cli(server.data_dir, "revoke", client_id)
    assert web.get("/api/v1/organizations", headers=bearer).status_code == 401
    assert web.post("/oauth/token", data=_form(server, client_id=client_id, client_secret=secret)).status_code == 401
    assert client_id in _cli(server.data_dir, "list") and secret not in server.log()


def _cli(data_dir: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "holdfast.cli.main", "clients", *arguments, "--data-dir", str(data_dir)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=_environ())
    return done.stdout


def _environ() -> dict[str, str]:
    import os

    return {**os.environ, "COLUMNS": "200"}
