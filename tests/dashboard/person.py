"""People at the dashboard, over plain HTTP: each with cookies and the form token of their own session."""

import re
from collections.abc import Mapping
from typing import Self

import httpx2

from holdfast.access.administrators import Administrator, Role
from holdfast.app import Holdfast

_CSRF = re.compile(r'name="csrf" value="([^"]+)"')
PASSWORD = "correct horse battery"


class Person:
    """One signed-in administrator. `get` and `post` follow no redirects."""

    def __init__(self, base_url: str, session: str) -> None:
        cookies = {"holdfast-admin": session} if session else {}
        self.client = httpx2.AsyncClient(base_url=base_url, cookies=cookies, timeout=60, trust_env=False)
        self.csrf = ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx2.Response:
        reply = await self.client.get(path, headers=headers)
        if found := _CSRF.search(reply.text):
            self.csrf = found[1]
        return reply

    async def post(
        self,
        path: str,
        fields: Mapping[str, str | list[str]] | None = None,
        *,
        csrf: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        """Send a form with this session's token, or with `csrf` in its place ("" = none)."""
        token = self.csrf if csrf is None else csrf
        told = {"sec-fetch-site": "same-origin", **(headers or {})}
        return await self.client.post(path, data={**({"csrf": token} if token else {}), **(fields or {})}, headers=told)


async def owner_of(holdfast: Holdfast) -> Administrator:
    """Use the first link, as the first person at the server does."""
    link = await holdfast.people.first_link()
    assert link is not None
    return await holdfast.people.accept(link.reveal(), email="ada@example.com", name="Ada Lovelace", password=PASSWORD)


async def person(holdfast: Holdfast, who: Administrator) -> Person:
    """Return somebody signed in, who has looked at one page."""
    session = await holdfast.signing_in.admit(who, "test")
    signed_in = Person(holdfast.config.base_url, session.reveal())
    await signed_in.get("/dashboard/default/me")
    return signed_in


async def with_role(holdfast: Holdfast, owner: Administrator, role: Role) -> Administrator:
    """Invite somebody, and let them accept."""
    _, link = await holdfast.people.invite(f"{role.value}@example.com", role, owner)
    return await holdfast.people.accept(link.reveal(), email="", name=f"The {role.value}", password=PASSWORD)
