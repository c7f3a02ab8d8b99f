"""Every route of the dashboard with every role, without a session, without the form's token, and from another site."""

import pytest
from starlette.routing import Route

from holdfast.access.administrators import Right, Role, may
from holdfast.dashboard import Dashboard
from holdfast.doors import dashboard_parts
from tests.dashboard.conftest import Place
from tests.dashboard.person import Person

OPEN = {"/dashboard", "/dashboard/sign-in", "/dashboard/sign-out", "/dashboard/welcome/{token}"}
"""What stands before a session: signing in and out, and a one-time link."""

RIGHTS = {
    "GET accounts/new": Right.CONNECT,
    "GET accounts/new/{connection}": Right.CONNECT,
    "POST accounts/new/{connection}": Right.CONNECT,
    "POST accounts/many": Right.CONNECT,
    "POST accounts/many/begin": Right.CONNECT,
    "POST accounts/many/{errand}/stop": Right.CONNECT,
    "POST accounts/{id}/labels": Right.CONNECT,
    "POST accounts/{id}/link": Right.CONNECT,
    "POST accounts/{id}/refresh": Right.CONNECT,
    "POST accounts/{id}/suspend": Right.CONNECT,
    "POST accounts/{id}/resume": Right.CONNECT,
    "GET accounts/{id}/disconnect": Right.CONNECT,
    "POST accounts/{id}/disconnect": Right.CONNECT,
    "GET accounts/{id}/delete": Right.CONNECT,
    "POST accounts/{id}/delete": Right.CONNECT,
    "GET connections/new/{slug}": Right.CONFIGURE,
    "POST connections/new/{slug}": Right.CONFIGURE,
    "POST connections/{id}": Right.CONFIGURE,
    "POST connections/{id}/enable": Right.CONFIGURE,
    "POST connections/{id}/disable": Right.CONFIGURE,
    "GET connections/{id}/delete": Right.CONFIGURE,
    "POST connections/{id}/delete": Right.CONFIGURE,
    "GET approvals": Right.CONFIGURE,
    "GET approvals/{id}": Right.CONFIGURE,
    "POST approvals/{id}/approve": Right.CONFIGURE,
    "POST approvals/{id}/deny": Right.CONFIGURE,
    "GET keys": Right.KEYS,
    "POST keys": Right.KEYS,
    "POST keys/{id}/revoke": Right.KEYS,
    "GET people": Right.PEOPLE,
    "POST people": Right.PEOPLE,
    "POST people/{id}/role": Right.PEOPLE,
    "POST people/{id}/disable": Right.PEOPLE,
    "POST people/{id}/enable": Right.PEOPLE,
    "POST people/invitations/{id}/withdraw": Right.PEOPLE,
    "POST /dashboard/environments": Right.OWN,
}
"""What takes more than looking. Any other page may be seen by everybody who is signed in; any other act by nobody
below developer, except to change one's own password."""


def _routes(place: Place) -> list[tuple[str, str, str]]:
    """Return method, path, and the path as the table above has it."""
    found = []
    for route in Dashboard(dashboard_parts(place.holdfast)).routes():
        if isinstance(route, Route) and route.path not in OPEN and "{rest:path}" not in route.path:
            method = "POST" if "POST" in (route.methods or ()) else "GET"
            path = route.path
            for name in ("{id}", "{errand}", "{connection}", "{slug}"):
                path = path.replace(name, "nothing")
            short = route.path.removeprefix("/dashboard/{environment}").removeprefix("/") or "overview"
            named = short if "{environment}" in route.path else route.path
            found.append((method, path.replace("{environment}", "default"), f"{method} {named}"))
    return found


@pytest.mark.parametrize("role", list(Role))
async def test_a_role_may_do_what_its_rights_say_and_nothing_else(place: Place, role: Role) -> None:
    wrong = []
    async with await place.as_role(role) as person:
        for method, path, name in _routes(place):
            reply = await (person.get(path) if method == "GET" else person.post(path))
            if name in RIGHTS:
                fine = (reply.status_code != 403) == may(role, RIGHTS[name])
            elif method == "GET":
                fine = reply.status_code != 403 or not name.startswith(("GET accounts", "GET activity", "GET overview"))
            else:
                fine = name == "POST me" or role is not Role.VIEWER or reply.status_code == 403
            fine = fine and reply.status_code < 500
            wrong += [] if fine else [(name, reply.status_code)]
    assert wrong == []


async def test_every_route_of_the_table_exists(place: Place) -> None:
    assert set(RIGHTS) - {name for _, _, name in _routes(place)} == set()


async def test_without_a_session_every_page_leads_to_the_sign_in_and_no_act_comes_back(place: Place) -> None:
    async with Person(place.holdfast.config.base_url, "") as nobody:
        for method, path, name in _routes(place):
            reply = await (nobody.get(path) if method == "GET" else nobody.post(path, csrf="x"))
            assert reply.status_code == 303, name
            assert reply.headers["location"].startswith("/dashboard/sign-in"), name
            assert "next=" not in reply.headers["location"] or method == "GET", name
        assert (await nobody.get("/dashboard/default/accounts", {"x-live": "1"})).status_code == 401


@pytest.mark.parametrize("token", ["", "wrong"])
async def test_a_form_without_the_sessions_own_token_is_refused(place: Place, owner: Person, token: str) -> None:
    for method, path, name in _routes(place):
        if method == "POST":
            assert (await owner.post(path, csrf=token)).status_code == 403, name


async def test_a_form_that_another_site_sent_is_refused(place: Place, owner: Person) -> None:
    for headers in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}):
        for method, path, name in _routes(place):
            if method == "POST":
                assert (await owner.post(path, headers=headers)).status_code == 403, name
    reply = await owner.client.post(
        "/dashboard/default/keys", data={"csrf": owner.csrf, "name": "x"}, headers={"origin": "https://elsewhere.test"}
    )
    assert reply.status_code == 403


async def test_one_persons_token_does_not_fit_anothers_session(owner: Person, viewer: Person) -> None:
    assert (await owner.post("/dashboard/default/keys", {"name": "x"}, csrf=viewer.csrf)).status_code == 403
