"""Config values: what is accepted, what is filled in where, what can never move a URL."""

import msgspec
import pytest

from holdfast.errors import Invalid
from holdfast.oauth2.dialect import CallbackHmac, Dialect, Exchange
from holdfast.providers.entry import ConfigField, Provider
from holdfast.providers.templates import check_config, fill, fill_url, placeholders, resolve_dialect, settle

SHOP = Provider(
    slug="shop",
    name="Shop",
    auth="oauth2",
    config={
        "shop": ConfigField(label="Shop", example="acme", required=True, pattern="[a-z0-9-]+"),
        "region": ConfigField(scope="integration", default="us", enum=("us", "eu")),
        "app": ConfigField(scope="integration", required=True),
        "hint": ConfigField(),
        "realm": ConfigField(source="callback", pattern="[0-9]+"),
    },
    oauth2=Dialect(
        authorize_url="https://{shop}.{region}.example/authorize",
        token_url="https://{shop}.{region}.example/token",
        authorize_params={"app": "{app}"},
        token_headers={"User-Agent": "{app} for {shop}"},
        second_exchange=Exchange(url="https://{region}.example/swap", params={"token": "{access_token}"}),
        callback_hmac=CallbackHmac(param="hmac", match={"shop": "{shop}.example"}),
        keep_pattern={"site": r"https://[a-z]+\.example"},
    ),
)


def fields(error: pytest.ExceptionInfo[Invalid]) -> list[tuple[str, str]]:
    return [(item["field"], item["code"]) for item in error.value.fields]


def test_placeholders_are_exact_names() -> None:
    assert placeholders("https://{shop}.example/{realm_id}?x={a1}") == {"shop", "realm_id", "a1"}
    assert placeholders("{ viewer { id } } {Shop} {} {1a} ${x-y} {a b}") == set()


def test_config_is_returned_as_it_was_given() -> None:
    values = {"shop": "acme", "app": "An App"}
    assert check_config(SHOP, values, scope=None) == values


def test_every_fault_is_named() -> None:
    with pytest.raises(Invalid) as error:
        check_config(SHOP, {"shop": "ACME", "region": "mars", "colour": "red", "realm": "1"}, scope=None)
    assert fields(error) == [
        ("shop", "invalid_config"),
        ("region", "invalid_config"),
        ("colour", "unknown_config"),
        ("realm", "unknown_config"),
        ("app", "missing_config"),
    ]
    assert error.value.code == "invalid_config"


def test_the_message_does_not_repeat_the_value() -> None:
    with pytest.raises(Invalid) as error:
        check_config(SHOP, {"shop": "S3CRET VALUE", "app": "x"}, scope=None)
    assert "S3CRET" not in error.value.message


def test_the_operator_gives_what_is_set_per_connection_and_may_pin_the_rest() -> None:
    assert check_config(SHOP, {"app": "x"}, scope="integration") == {"app": "x"}
    assert check_config(SHOP, {"app": "x", "shop": "acme"}, scope="integration")
    with pytest.raises(Invalid) as error:
        check_config(SHOP, {}, scope="integration")
    assert fields(error) == [("app", "missing_config")]


def test_an_account_gives_what_is_its_own_and_was_not_pinned() -> None:
    assert check_config(SHOP, {"shop": "acme"}, scope="installation") == {"shop": "acme"}
    assert check_config(SHOP, {}, scope="installation", pinned={"shop": "acme"}) == {}
    assert check_config(SHOP, {"shop": "acme"}, scope="installation", pinned={"shop": "acme"})
    for values, pinned, fault in (
        ({}, {}, ("shop", "missing_config")),
        ({"shop": "acme", "app": "x"}, {}, ("app", "unknown_config")),
        ({"shop": "other"}, {"shop": "acme"}, ("shop", "invalid_config")),
    ):
        with pytest.raises(Invalid) as error:
            check_config(SHOP, values, scope="installation", pinned=pinned)
        assert fields(error) == [fault]


@pytest.mark.parametrize("value", ["", "acme\n", "ac me", "acme.evil.com", "a/b", "a@b", "\u0430cme"])
def test_a_pattern_has_to_match_all_of_a_value(value: str) -> None:
    with pytest.raises(Invalid):
        check_config(SHOP, {"shop": value, "app": "x"}, scope=None)


def test_the_dialect_is_filled_in_everywhere() -> None:
    dialect = resolve_dialect(SHOP, {"shop": "acme", "app": "An App"})
    assert dialect.authorize_url == "https://acme.us.example/authorize"
    assert dialect.token_url == "https://acme.us.example/token"
    assert dialect.authorize_params == {"app": "An App"}
    assert dialect.token_headers == {"User-Agent": "An App for acme"}
    assert dialect.callback_hmac is not None
    assert dialect.callback_hmac.match == {"shop": "acme.example"}
    assert dialect.second_exchange is not None
    assert dialect.second_exchange.url == "https://us.example/swap"
    assert dialect.second_exchange.params == {"token": "{access_token}"}


def test_a_given_value_stands_before_the_default() -> None:
    dialect = resolve_dialect(SHOP, {"shop": "acme", "app": "x", "region": "eu"})
    assert dialect.token_url == "https://acme.eu.example/token"


def test_a_missing_value_is_named() -> None:
    with pytest.raises(Invalid) as error:
        resolve_dialect(SHOP, {"app": "x"})
    assert fields(error) == [("shop", "missing_config")]
    assert error.value.code == "missing_config"


def test_a_provider_without_oauth_has_no_dialect_to_resolve() -> None:
    keys = Provider(slug="k", name="Keys", auth="api_key")
    with pytest.raises(Invalid) as error:
        resolve_dialect(keys, {})
    assert error.value.code == "auth_method_mismatch"


@pytest.mark.parametrize(
    "site",
    ["https://evil.com", "https://a.example/", "https://a.example\n", "http://a.example", "//a.example"],
)
def test_a_kept_value_outside_its_pattern_is_refused(site: str) -> None:
    with pytest.raises(Invalid) as error:
        settle(SHOP, {"site": site})
    assert fields(error) == [("site", "invalid_config")]


def test_a_kept_value_inside_its_pattern_may_be_a_whole_origin() -> None:
    values = settle(SHOP, {"site": "https://a.example", "team": "A / B"})
    assert fill_url("{site}/v1/me", values) == "https://a.example/v1/me"
    assert values["team"] == "A / B"


@pytest.mark.parametrize(
    "value",
    [
        "a/b",
        "a@b",
        "a#b",
        "a?b",
        "a:80",
        "a\\b",
        "a%2fb",
        "a\nb",
        "a b",
        "..",
        ".",
        "",
        "a&b",
        "{client_id}",
        "\uff0f",
    ],
    ids=repr,
)
def test_a_value_that_nothing_vouches_for_cannot_move_a_url(value: str) -> None:
    for values in ({"name": value}, settle(SHOP, {"name": value})):
        with pytest.raises(Invalid) as error:
            fill_url("https://api.example/{name}/x", values)
        assert fields(error) == [("name", "invalid_config")]


@pytest.mark.parametrize(
    "base", ["{site}", "//{site}", "ftp://{site}", "https://{site}@evil.com/", "https://:x/{site}"]
)
def test_what_is_filled_in_has_to_be_a_web_address(base: str) -> None:
    with pytest.raises(Invalid):
        fill_url(base, {"site": "a.example"})


def test_a_parameter_may_hold_any_text_but_control_characters() -> None:
    assert fill("Bearer {a}", {"a": "x/y@z %"}) == "Bearer x/y@z %"
    for text in ("a\r\nX-Evil: 1", "a\x00", "a\u2028b"):
        with pytest.raises(Invalid):
            fill("{a}", {"a": text})


def test_a_value_is_not_filled_in_twice() -> None:
    assert fill("{a}{b}", {"a": "{b}", "b": "2"}) == "{b}2"


def test_settled_values_cannot_be_changed() -> None:
    values = settle(SHOP, {"shop": "acme"})
    with pytest.raises(TypeError):
        values["shop"] = "evil.com/"  # type: ignore[index]
    assert dict(values) == {"region": "us", "shop": "acme"}
    assert len(values) == 2


def test_an_entry_survives_a_round_trip_through_plain_containers() -> None:
    assert msgspec.convert(msgspec.to_builtins(SHOP), Provider) == SHOP
