"""GitHub, Google, Slack and Microsoft on loopback: other people's emulators, each with its vendor's own manners.

What they do not do: GitHub and Slack ignore PKCE, GitHub issues no refresh token, Slack never rotates, and none checks
a callback beyond its registration (any on loopback counts as registered here). Nobody can refuse on their pages.
Slack takes any bearer token that it does not know for its user `admin`, and Google's Calendar and Drive take it for a
nobody with nothing; the identity calls of GitHub, Google (401) and Microsoft (404) refuse it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2

from tests.parts.browser import Browser
from tests.parts.node import NODE, PROJECT, ensure_modules, environment
from tests.parts.process import ServerProcess


@dataclass(frozen=True)
class Emulator:
    """One vendor: where it stands, our app there, and two of its users as their consent page names them."""

    name: str
    origin: str
    client_id: str
    client_secret: str
    users: tuple[str, str]


_USERS = {
    "github": ("octocat", "hubot"),
    "google": ("ada@example.com", "grace@example.com"),
    "slack": ("ada", "grace"),
    "microsoft": ("ada@example.com", "grace@example.com"),
}
_ORIGINS = {
    "https://github.com": "github",
    "https://api.github.com": "github",
    "https://accounts.google.com": "google",
    "https://oauth2.googleapis.com": "google",
    "https://openidconnect.googleapis.com": "google",
    "https://www.googleapis.com": "google",
    "https://gmail.googleapis.com": "google",
    "https://slack.com": "slack",
    "https://login.microsoftonline.com": "microsoft",
    "https://graph.microsoft.com": "microsoft",
}


class Emulators:
    """All four, in one process."""

    def __init__(self, log_path: Path) -> None:
        ensure_modules()
        self._process = ServerProcess(
            [NODE, PROJECT / "emulate.mjs"], log_path=log_path, cwd=PROJECT, env=environment()
        )
        facts = json.loads(self._process.line())
        self._control: str = facts["control"]
        self._by_name = {
            name: Emulator(name=name, users=_USERS[name], **about) for name, about in facts["services"].items()
        }
        self.github = self._by_name["github"]
        self.google = self._by_name["google"]
        self.slack = self._by_name["slack"]
        self.microsoft = self._by_name["microsoft"]

    def __getitem__(self, name: str) -> Emulator:
        return self._by_name[name]

    def provider_origins(self) -> dict[str, str]:
        """Return which of the vendors' origins stands where, as `holdfast serve --provider-origin` takes it."""
        return {origin: self._by_name[name].origin for origin, name in _ORIGINS.items()}

    def counts(self) -> dict[str, int]:
        """Return how many token requests each vendor has seen."""
        counts: dict[str, int] = httpx2.get(f"{self._control}/__counts", timeout=30).json()
        return counts

    def reset(self, name: str) -> None:
        """Forget every code, token and grant at one vendor."""
        httpx2.post(f"{self._control}/__reset/{name}", timeout=30).raise_for_status()

    def approve(self, authorize_url: str, browser: Browser, *, user: str | None = None) -> str:
        """Consent as `user` (else the first one offered); return the callback address with its code, not asked for."""
        callback = parse_qs(urlsplit(authorize_url).query)["redirect_uri"][0]
        return browser.walk(authorize_url, stop_at=callback, choose=user)

    def stop(self) -> None:
        self._process.stop()
