"""What side calls return: who an account is, which sites it may choose from, what was granted."""

import pytest
from catalogue_entries import ENTRIES

from holdfast.providers.entry import Call, Discover, GrantedScopes, Identity
from holdfast.providers.identity import (
    ProviderIdentity,
    chosen_site,
    read_granted_scopes,
    read_identity,
    read_sites,
)

# Replies in the shape the providers document, cut to what matters.
REPLIES: dict[str, tuple[object, ProviderIdentity]] = {
    "google": ({"sub": "1089", "email": "ann@example.com"}, ProviderIdentity("1089", "ann@example.com")),
    "github": ({"id": 583231, "login": "octocat"}, ProviderIdentity("583231", "octocat")),
    "slack": (
        {"ok": True, "team": "Acme", "team_id": "T1", "user": "ann", "user_id": "U1"},
        ProviderIdentity("U1", "Acme", "T1"),
    ),
    "microsoft": (
        {"id": "8b1", "userPrincipalName": "ann@contoso.example"},
        ProviderIdentity("8b1", "ann@contoso.example"),
    ),
    "linear": (
        {"data": {"viewer": {"id": "v1", "email": "ann@x.example"}, "organization": {"id": "o1"}}},
        ProviderIdentity("v1", "ann@x.example", "o1"),
    ),
    "hubspot": (
        {"portalId": 62515, "uiDomain": "app.hubspot.com"},
        ProviderIdentity("62515", "app.hubspot.com"),
    ),
    "xero": ([{"tenantId": "t1", "tenantName": "Acme"}], ProviderIdentity("t1", "Acme")),
    "stripe": ({"stripe_user_id": "acct_1", "livemode": False}, ProviderIdentity("acct_1", "acct_1")),
    "notion": (
        {"object": "user", "id": "b1", "bot": {"owner": {"user": {"id": "u1"}}, "workspace_name": "Acme"}},
        ProviderIdentity("u1", "Acme"),
    ),
    "asana": ({"data": {"gid": "12", "email": "ann@x.example"}}, ProviderIdentity("12", "ann@x.example")),
    "zendesk": ({"user": {"id": 35436, "email": "a@x.example"}}, ProviderIdentity("35436", "a@x.example")),
}


@pytest.mark.parametrize("slug", REPLIES)
def test_a_providers_reply_names_the_account(slug: str) -> None:
    reply, expected = REPLIES[slug]
    identity = ENTRIES[slug].identity
    assert identity is not None
    assert read_identity(identity, reply) == expected


@pytest.mark.parametrize("reply", [{}, {"id": None}, {"id": ""}, {"id": " "}, {"id": True}, {"id": {"a": 1}}, [], None])
def test_a_reply_that_names_nobody_is_nobody(reply: object) -> None:
    assert read_identity(Identity(id="id"), reply) is None


def test_a_label_is_one_printable_line_of_bounded_length() -> None:
    found = read_identity(Identity(id="id", label="name"), {"id": 7, "name": " Ann\r\n\u202eB" + "x" * 999})
    assert found is not None
    assert found.id == "7"
    assert found.label is not None
    assert found.label.startswith("AnnB")
    assert len(found.label) == 320


def test_a_missing_label_is_none() -> None:
    assert read_identity(Identity(id="id", label="name"), {"id": "7"}) == ProviderIdentity("7")


def test_sites_are_offered_with_the_values_they_set() -> None:
    discover = ENTRIES["jira"].discover
    assert discover is not None
    reply = [{"id": "c1", "url": "https://a.atlassian.net", "name": "a"}, {"id": "c2", "name": "b"}, {}, "x"]
    assert read_sites(discover, reply) == (
        {"cloud_id": "c1", "site_url": "https://a.atlassian.net", "site_name": "a"},
        {"cloud_id": "c2", "site_name": "b"},
    )


def test_sites_may_stand_in_a_member_or_be_the_reply() -> None:
    call = Call(url="https://api.example/accounts")
    listed = Discover(call=call, list="data.accounts", set={"account_id": "id"})
    assert read_sites(listed, {"data": {"accounts": [{"id": 5}]}}) == ({"account_id": "5"},)
    assert read_sites(listed, {"data": {}}) == ()
    single = Discover(call=call, set={"dc": "dc"})
    assert read_sites(single, {"dc": "us6"}) == ({"dc": "us6"},)


SITES = ({"id": "1", "name": "Acme", "region": "eu"}, {"id": "2", "name": "Rockets", "region": "us"})


@pytest.mark.parametrize(
    ("former", "chosen"),
    [
        ({}, None),
        ({"id": "2"}, SITES[1]),
        ({"id": "2", "name": "Rockets of old", "region": "eu"}, SITES[1]),
        ({"name": "Acme"}, SITES[0]),
        ({"name": "Acme", "region": "us"}, None),
        ({"id": "3", "name": "Acme", "region": "eu"}, None),
        ({"colour": "red"}, None),
    ],
)
def test_of_several_sites_the_one_that_is_named_is_chosen(
    former: dict[str, str], chosen: dict[str, str] | None
) -> None:
    """By its id, where that is known: a site of the same name is another tenant's."""
    assert chosen_site(SITES, former) == chosen


def test_granted_scopes_are_read_from_their_own_call() -> None:
    call = Call(url="https://api.example/me/permissions")
    listed = GrantedScopes(call=call, list="data", scope="permission", status="status")
    reply = {"data": [{"permission": "email", "status": "granted"}, {"permission": "ads", "status": "declined"}]}
    assert read_granted_scopes(listed, reply) == ("email",)
    assert read_granted_scopes(GrantedScopes(call=call, list="[]"), ["a", "b"]) == ("a", "b")
    assert read_granted_scopes(listed, {"error": "x"}) == ()
