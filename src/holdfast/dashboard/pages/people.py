"""Administrators: invite, change roles, disable; one's own password."""

from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from holdfast.access.administrators import Administrators, Right, Role
from holdfast.access.administrators import store as people_store
from holdfast.dashboard.frame import Frame, Visit
from holdfast.errors import HoldfastError, Invalid
from holdfast.storage import Database

_HIDDEN = {"old_password", "password"}
ROLE_HELP = {
    Role.OWNER: "Everything, other owners among it",
    Role.ADMIN: "Everything but owners and environments",
    Role.DEVELOPER: "Connections, accounts and webhooks; no keys, no people",
    Role.VIEWER: "Looks, changes nothing",
}


class PeoplePages:
    def __init__(self, frame: Frame, database: Database, people: Administrators) -> None:
        self._frame, self._database, self._people = frame, database, people

    def routes(self) -> list[BaseRoute]:
        frame = self._frame
        return [
            frame.get("people", self.people, Right.PEOPLE),
            frame.post("people", self.invite, Right.PEOPLE),
            frame.post("people/{id}/role", self.role, Right.PEOPLE),
            frame.post("people/{id}/disable", self.disable, Right.PEOPLE),
            frame.post("people/{id}/enable", self.enable, Right.PEOPLE),
            frame.post("people/invitations/{id}/withdraw", self.withdraw, Right.PEOPLE),
            frame.get("me", self.me),
            frame.post("me", self.password, Right.SEE),
        ]

    async def people(self, visit: Visit) -> Response:
        return self._frame.page(visit, "people.html", **await self._facts(visit))

    async def invite(self, visit: Visit) -> Response:
        try:
            invitation, token = await self._people.invite(
                visit.text("email"), _role(visit.text("role")), visit.signed_in.administrator
            )
        except HoldfastError as error:
            return self._frame.mistakes(visit, "people.html", error, **await self._facts(visit))
        link = f"{self._frame.base_url}/dashboard/welcome/{token.reveal()}"
        # Shown on this one answer and kept nowhere: the address of the page does not carry it.
        return self._frame.page(
            visit, "people.html", **{**await self._facts(visit), "link": link, "invited": invitation.email}
        )

    async def role(self, visit: Visit) -> Response:
        await self._people.change_role(visit.path["id"], _role(visit.text("role")), visit.signed_in.administrator)
        return self._frame.done(visit, "people", "saved")

    async def disable(self, visit: Visit) -> Response:
        await self._people.set_disabled(visit.path["id"], True, visit.signed_in.administrator)
        return self._frame.done(visit, "people", "disabled")

    async def enable(self, visit: Visit) -> Response:
        await self._people.set_disabled(visit.path["id"], False, visit.signed_in.administrator)
        return self._frame.done(visit, "people", "enabled")

    async def withdraw(self, visit: Visit) -> Response:
        await self._people.withdraw(visit.path["id"], visit.signed_in.administrator)
        return self._frame.done(visit, "people", "deleted")

    async def me(self, visit: Visit) -> Response:
        return self._frame.page(visit, "me.html")

    async def password(self, visit: Visit) -> Response:
        signed_in = visit.signed_in
        try:
            await self._people.change_password(
                signed_in.administrator, visit.secret("old_password"), visit.secret("password"), signed_in.session.hash
            )
        except HoldfastError as error:
            return self._frame.mistakes(visit, "me.html", error, hidden=_HIDDEN)
        return self._frame.done(visit, "me", "saved")

    async def _facts(self, visit: Visit) -> dict[str, Any]:
        everyone = await self._database.transact(people_store.everyone)
        invitations = await self._database.transact(people_store.open_invitations)
        roles = [role for role in Role if role is not Role.OWNER or visit.may(Right.OWN)]
        return {
            "people": everyone,
            "invitations": [item for item in invitations if item.email],
            "roles": [(role.value, f"{role.value.capitalize()}: {ROLE_HELP[role]}") for role in roles],
            "link": "",
            "invited": "",
        }


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise Invalid("choose one of the roles", fields=[{"field": "role", "message": "choose one of these"}]) from None
