"""A certified OpenID provider on loopback: strict refresh rotation, and a client secret that Basic must encode."""

import json
import signal
from pathlib import Path
from typing import Any, cast

import httpx2

from tests.parts.node import NODE, PROJECT, ensure_modules, environment
from tests.parts.process import ServerProcess


class OidcProvider:
    """A running oidc-provider. `login_hint` in an authorization request names the account; else `set_account` does.

    PKCE is required, `iss` is returned, refresh tokens rotate at each use and a replay kills the whole grant.
    Any callback on loopback counts as registered. Introspection and RFC 7009 revocation are on.
    """

    def __init__(self, log_path: Path) -> None:
        ensure_modules()
        self._process = ServerProcess(
            [NODE, PROJECT / "oidc-provider.mjs"], log_path=log_path, cwd=PROJECT, env=environment()
        )
        self._switched = False
        facts = json.loads(self._process.line())
        self.base_url: str = facts["base_url"]
        self.client_id: str = facts["client_id"]
        self.client_secret: str = facts["client_secret"]
        self.public_client_id: str = facts["public_client_id"]
        """Of a client that has no secret, and is refused with one."""
        self.authorize_url = f"{self.base_url}/auth"
        self.token_url = f"{self.base_url}/token"
        self.userinfo_url = f"{self.base_url}/me"
        self.revocation_url = f"{self.base_url}/token/revocation"
        self.introspection_url = f"{self.base_url}/token/introspection"

    def counts(self) -> dict[str, int]:
        """Return how many token requests came in so far, by grant type, refused ones included."""
        return cast("dict[str, int]", self._control("GET", "/__counts"))

    def refreshes(self) -> int:
        return self.counts().get("refresh_token", 0)

    def revoke_all(self) -> int:
        """Take every consent back, as users do at their provider. Return how many there were."""
        return cast("int", self._control("POST", "/__revoke")["revoked"])

    def end_token(self, access_token: str) -> None:
        """End one access token before its time. Its grant lives on, as it would not after RFC 7009's revocation."""
        self._control("POST", "/__end_token", {"token": access_token})

    def set_access_ttl(self, seconds: int) -> None:
        """Let access tokens issued from now on live this long."""
        self._set(access_ttl=seconds)

    def set_account(self, name: str) -> None:
        """Name the account that signs in where no `login_hint` does. A browser with a session stays who it is."""
        self._set(account=name)

    def set_deny(self, deny: bool) -> None:
        """While true, users refuse: the answer is `error=access_denied`."""
        self._set(deny=deny)

    def set_email_verified(self, verified: bool) -> None:
        """Say of every account whether its e-mail address is verified."""
        self._set(email_verified=verified)

    def tamper(self, how: str) -> None:
        """From now on answer with ID tokens that are not to be believed: `payload` (another's name under the old
        signature), `none` (no signature), `former` (the token of the last sign-in), `absent`; "" = as it should be."""
        self._set(tamper=how)

    def omit_expires_in(self) -> None:
        """Keep it to itself from now on how long access tokens live. Introspection tells."""
        self._set(omit_expires_in=True)

    def reset_settings(self) -> None:
        """Put the switches back where they stood at the start."""
        if self._switched:
            self._set(access_ttl=3600, account="ada", deny=False, email_verified=True, tamper="", omit_expires_in=False)
            self._switched = False

    def freeze(self) -> None:
        """Let it answer nobody, until `thaw`."""
        self._process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.signal(signal.SIGCONT)

    def stop(self) -> None:
        self._process.stop()

    def _set(self, **settings: object) -> None:
        self._switched = True
        self._control("POST", "/__settings", settings)

    def _control(self, method: str, path: str, body: object = None) -> Any:
        reply = httpx2.request(method, self.base_url + path, json=body, timeout=30)
        reply.raise_for_status()
        return reply.json()
