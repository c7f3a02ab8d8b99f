"""Where the Scalekit SDKs are tested: one database behind two servers, one with TLS and one in clear.

The Python SDK speaks TLS alone; Node speaks both. The server in clear has the sandbox that all connections use.
"""

import os
import sqlite3
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2

from tests.conformance.sandbox import Sandbox, Tokens
from tests.parts.browser import Browser
from tests.parts.server import HoldfastProcess

SCOPES = ["read", "write", "offline", "profile"]
BACK = "http://localhost:3000/back"
_numbers = count(1)


class House:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.clear = HoldfastProcess(home, env={"HOLDFAST_REFUSAL_SPACING": "0.2"})
        self.secure = HoldfastProcess(home, arguments=["--tls-dev"], env={"HOLDFAST_REFUSAL_SPACING": "0.2"})
        self.client_id, self.client_secret = self.clear.client_id, self.clear.client_secret
        self.authority = home / "tls" / "ca.pem"
        self.sandbox = Sandbox(f"{self.clear.base_url}/lab/sandbox")
        self.web = httpx2.Client(
            base_url=self.clear.base_url,
            headers={"authorization": f"Bearer {self.clear.api_key}"},
            timeout=30,
            trust_env=False,
        )

    def trust(self) -> None:
        """Let HTTP and gRPC clients of this process trust the servers. gRPC reads its variable once."""
        os.environ["REQUESTS_CA_BUNDLE"] = os.environ["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"] = str(self.authority)

    def certified(self) -> ssl.SSLContext:
        """Return what another server on loopback needs to be trusted by the server with TLS: the same certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.home / "tls" / "localhost.pem", self.home / "tls" / "localhost-key.pem")
        return context

    def stop(self) -> None:
        self.web.close()
        self.sandbox.close()
        self.secure.stop()
        self.clear.stop()

    def new(self, what: str) -> str:
        """Return a name that no other test uses."""
        return f"{what}_{next(_numbers)}"

    def connector(self, method: str = "oauth") -> str:
        """Set up a connection at the WorkOS door; return its name."""
        name = self.new("acme")
        body: dict[str, Any] = {
            "provider": name,
            "enabled": True,
            "custom_provider": {
                "name": "Acme",
                "authorization_url": self.sandbox.authorize_url,
                "token_url": self.sandbox.token_url,
                "authenticate_via": "basic_auth_header",
            },
        }
        if method == "oauth":
            secret = {"client_id": self.sandbox.client_id, "client_secret": self.sandbox.client_secret}
            body |= {"scopes": SCOPES, "credentials": {"type": "custom", **secret}}
        else:
            body |= {"auth_methods": [method], "custom_provider": {"name": "Acme keys"}}
        reply = self.web.post("/data-integrations", json=body)
        assert reply.status_code in (200, 201), reply.text
        return name

    def built_in(self) -> str:
        """Return the connection to the sandbox, a provider that is built in and not custom; made if need be."""
        secret = {"client_id": self.sandbox.client_id, "client_secret": self.sandbox.client_secret}
        body = {"provider": "sandbox", "enabled": True, "scopes": SCOPES, "credentials": {"type": "custom", **secret}}
        assert self.web.post("/data-integrations", json=body).status_code in (200, 201, 409)
        return "sandbox"

    def own_sandbox(self) -> str:
        """Set up the sandbox that each server has for itself; return its connection's name."""
        if self.web.get("/data-integrations/sandbox").status_code == 404:
            secret = {"client_id": self.sandbox.client_id, "client_secret": self.sandbox.client_secret}
            credentials = {"type": "custom", **secret}
            body = {"provider": "sandbox", "enabled": True, "scopes": SCOPES, "credentials": credentials}
            assert self.web.post("/data-integrations", json=body).status_code == 201
        return "sandbox"

    def walked(self, server: HoldfastProcess, *, verify: bool = False) -> dict[str, str]:
        """Take a new user through a link of one server; return `identifier`, and `authRequestId` where one is told."""
        identifier = self.new("walker")
        asked = {"connector": self.own_sandbox(), "identifier": identifier}
        if verify:
            asked["user_verify_url"] = BACK
        trust = ssl.create_default_context(cafile=str(self.authority))
        link = httpx2.post(
            f"{server.base_url}/api/v1/connected_accounts/magic_link",
            json=asked,
            headers=dict(self.web.headers),
            trust_env=False,
            verify=trust,
        ).json()["link"]
        with Browser(self.authority) as person:
            landed = person.walk(link, stop_at=BACK if verify else server.base_url + "/connect/success")
        told = parse_qs(urlsplit(landed).query)
        return {"identifier": identifier, "authRequestId": told.get("auth_request_id", [""])[0]}

    def expiring(self, connector: str, identifier: str, access: str, refresh: str, seconds: float) -> None:
        """Connect an account at the WorkOS door whose token ends so soon."""
        ends = datetime.now(UTC) + timedelta(seconds=seconds)
        reply = self.post(
            f"/user_management/users/{identifier}/connected_accounts/{connector}",
            access_token=access,
            refresh_token=refresh,
            expires_at=ends.isoformat(),
        )
        assert reply.status_code == 201, reply.text

    def cli(self, *command: str) -> str:
        """Run `holdfast` on this house's data, beside its servers; return what it printed."""
        arguments = [sys.executable, "-m", "holdfast.cli.main", *command, "--data-dir", str(self.clear.data_dir)]
        wide = {**os.environ, "COLUMNS": "500"}
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, env=wide, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def granted(self) -> Tokens:
        return self.sandbox.grant(*SCOPES)

    def post(self, path: str, **body: Any) -> Any:
        """Call the WorkOS door."""
        return self.web.post(path, json=body)

    def reads_logged(self, user_id: str) -> int:
        """Return how many entries say that a credential of this user was read."""
        with sqlite3.connect(f"file:{self.home / 'holdfast.db'}?mode=ro", uri=True) as database:
            query = "SELECT count(*) FROM entries WHERE action = 'credential.read' AND user_id = ?"
            return int(database.execute(query, (user_id,)).fetchone()[0])

    def new_client(self) -> tuple[str, str]:
        name, secret = self._clients("create").split()
        return name, secret

    def revoke_client(self, client_id: str) -> None:
        self._clients("revoke", client_id)

    def _clients(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "holdfast.cli.main", "clients", *arguments, "--data-dir", str(self.home)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
