"""A connection's own OAuth settings: what may be set, what then is asked for, and that they are stored whole."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from holdfast.connections import store
from holdfast.connections.connection import effective
from holdfast.connections.oauth_settings import MOST_PARAMS, UNSET, OAuthSettings, merged, methods, varied
from holdfast.errors import Invalid
from holdfast.oauth2.dialect import Dialect
from holdfast.providers.entry import Provider
from holdfast.storage import Database
from tests.connections.test_connection_store import a_connection

OWN = {"prompt": "consent", "access_type": "offline"}


def forge(**fields: Any) -> Provider:
    given = {"authorize_url": "https://f.example/a", "token_url": "https://f.example/t", "authorize_params": OWN}
    return Provider(slug="forge", name="Forge", auth="oauth2", oauth2=msgspec.convert({**given, **fields}, Dialect))


def asked(provider: Provider, settings: OAuthSettings) -> Dialect:
    dialect = varied(provider, settings).oauth2
    assert dialect is not None
    return dialect


@pytest.mark.parametrize(
    ("change", "sent"),
    [
        ({}, OWN),
        ({"prompt": "select_account"}, {**OWN, "prompt": "select_account"}),
        ({"prompt": ""}, {"access_type": "offline"}),
        ({"nothing": ""}, OWN),
        ({"hd": "acme.example", "prompt": "none"}, {**OWN, "prompt": "none", "hd": "acme.example"}),
    ],
)
def test_parameters_lie_over_the_providers_and_an_empty_one_takes_it_away(
    change: dict[str, str], sent: dict[str, str]
) -> None:
    assert asked(forge(), merged(UNSET, OAuthSettings(params=change), forge())).authorize_params == sent


def test_what_the_provider_says_anyway_is_no_setting() -> None:
    same = OAuthSettings(params=OWN, pkce=True, client_auth="client_secret_post")
    assert merged(UNSET, same, forge()) == UNSET
    other = OAuthSettings(params={"prompt": "none"}, pkce=False, client_auth="client_secret_basic")
    assert merged(merged(UNSET, other, forge()), same, forge()) == UNSET
    assert varied(forge(), UNSET) == forge()


def test_what_a_change_does_not_name_stays() -> None:
    before = merged(UNSET, OAuthSettings(params={"prompt": "none"}, client_auth="client_secret_basic"), forge())
    after = merged(before, OAuthSettings(params={"hd": "x"}, pkce=False), forge())
    assert after == OAuthSettings(params={"prompt": "none", "hd": "x"}, pkce=False, client_auth="client_secret_basic")


@pytest.mark.parametrize("name", ["state", "redirect_uri", "client_id", "code_challenge", "scope", "client_secret"])
def test_what_protects_a_sign_in_cannot_be_set(name: str) -> None:
    with pytest.raises(Invalid) as refused:
        merged(UNSET, OAuthSettings(params={name: "mine"}), forge())
    assert refused.value.fields[0]["code"] == "protected"


def test_nor_can_what_the_provider_calls_it() -> None:
    provider = forge(rename={"client_id": "app_id"}, extra_scope_params={"user_scope": ","})
    for name in ("app_id", "user_scope"):
        with pytest.raises(Invalid):
            merged(UNSET, OAuthSettings(params={name: "mine"}), provider)


@pytest.mark.parametrize("params", [{"a b": "x"}, {"": "x"}, {"x": "{client_secret}"}, {"x": "a\nb"}, {"x": "y" * 513}])
def test_strange_parameters_are_refused(params: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        merged(UNSET, OAuthSettings(params=params), forge())


def test_there_is_a_most_of_parameters() -> None:
    many = {f"p{number}": "x" for number in range(MOST_PARAMS + 1)}
    with pytest.raises(Invalid):
        merged(UNSET, OAuthSettings(params=many), forge())


@pytest.mark.parametrize(
    ("entry", "wanted", "becomes"),
    [
        ({"pkce": "supported"}, False, "omit"),
        ({"pkce": "unknown"}, False, "omit"),
        ({"pkce": "omit"}, True, "supported"),
        ({"pkce": "omit", "client_auth": "none"}, False, "omit"),
        ({"pkce": "required"}, True, "required"),
        ({"pkce": "required"}, False, None),
        ({"pkce": "supported", "client_auth": "none"}, False, None),
        ({"pkce": "supported", "client_secret_required": False}, False, None),
    ],
)
def test_pkce_is_turned_off_only_where_neither_provider_nor_client_needs_it(
    entry: dict[str, Any], wanted: bool, becomes: str | None
) -> None:
    provider, change = forge(**entry), OAuthSettings(pkce=wanted)
    if becomes is None:
        with pytest.raises(Invalid) as refused:
            merged(UNSET, change, provider)
        assert refused.value.fields[0]["field"] == "pkce_enabled"
    else:
        assert asked(provider, merged(UNSET, change, provider)).pkce == becomes


def test_a_client_without_a_secret_and_without_pkce_is_refused_in_either_order() -> None:
    for first, then in (({"pkce": False}, {"client_auth": "none"}), ({"client_auth": "none"}, {"pkce": False})):
        before = merged(UNSET, msgspec.convert(first, OAuthSettings), forge())
        with pytest.raises(Invalid):
            merged(before, msgspec.convert(then, OAuthSettings), forge())


@pytest.mark.parametrize(
    ("entry", "allowed"),
    [
        ({}, ("client_secret_post", "client_secret_basic", "none")),
        ({"client_auth": "client_secret_basic"}, ("client_secret_basic", "client_secret_post", "none")),
        (
            {"client_auth_also": ("private_key_jwt", "client_secret_jwt")},
            ("client_secret_post", "client_secret_basic", "none", "client_secret_jwt"),
        ),
        ({"client_auth": "private_key_jwt", "client_auth_also": ("client_secret_post",)}, ("private_key_jwt",)),
        ({"generated_secret": {"iss": "team"}}, ("client_secret_post",)),
    ],
)
def test_no_method_sends_a_private_key_as_a_secret(entry: dict[str, Any], allowed: tuple[str, ...]) -> None:
    dialect = forge(**entry).oauth2
    assert dialect is not None and methods(dialect) == allowed


def test_an_entry_that_has_become_stricter_is_heeded() -> None:
    settings = OAuthSettings(pkce=False, client_auth="client_secret_basic")
    dialect = asked(forge(pkce="required", client_auth="private_key_jwt"), settings)
    assert (dialect.pkce, dialect.client_auth) == ("required", "private_key_jwt")
    later = merged(settings, OAuthSettings(params={"hd": "x"}), forge(pkce="required"))
    assert later.params == {"hd": "x"}, "what was set before does not stand in the way"


async def test_settings_are_stored_whole_and_apply_to_the_connection_alone(
    database: Database, environment_id: str
) -> None:
    settings = OAuthSettings(params={"prompt": "", "hd": "ä".encode().hex()}, pkce=False, client_auth="none")
    plain = a_connection(environment_id)
    set_ = a_connection(environment_id, name="other", oauth_settings=settings)

    def work(tx: Any) -> list[Any]:
        store.add(tx, plain)
        store.add(tx, set_)
        return store.all_of(tx, environment_id)

    assert await database.transact(work) == [plain, set_]
    changed = replace(set_, oauth_settings=UNSET)
    await database.transact(lambda tx: store.save(tx, changed))
    assert await database.transact(lambda tx: store.by_id(tx, environment_id, set_.id)) == changed
    assert effective(plain, forge()).provider == forge()
    assert effective(set_, forge()).provider == varied(forge(), settings) != forge()
