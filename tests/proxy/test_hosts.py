"""The hosts that a defined provider's credential may go to, as its accounts' values fill them in."""

from typing import Any

import pytest

from holdfast.api.scalekit.auth_patterns import entry_of
from holdfast.errors import Invalid
from holdfast.outbound import target_of
from holdfast.providers import custom
from holdfast.providers.templates import check_config
from holdfast.proxy.outlet import HostNotAllowed, Outlet, destination, destination_of, is_plain, outlet_of

MIXED = ["api.acme.com", "{{subdomain}}.acme.com", "*.files.acme.com", "eu-{{ region }}.acme.com"]


def _entry(proxy_url: str, *domains: str, **pattern: Any) -> Any:
    found = {"type": "BEARER", "allowed_proxy_domains": list(domains), **pattern}
    return entry_of(slug="acme", name="Acme", patterns=[found], proxy_url=proxy_url, proxy_enabled=True)


def _outlet(entry: Any, **values: str) -> Outlet:
    """Fill in values that were checked as an account's are when it gives them."""
    given = check_config(entry, values, scope="installation")
    return outlet_of(entry, given, allow_private=False, looks_inside=False)


def _leads(outlet: Outlet, host: str) -> bool:
    return outlet.leads_to(target_of(f"https://{host}", allow_private=False))


def test_hosts_whose_values_are_not_there_are_left_out_and_the_others_stay() -> None:
    entry = _entry("https://api.acme.com/v1", *MIXED)
    nothing = _outlet(entry)
    assert _leads(nothing, "api.acme.com") and _leads(nothing, "one.files.acme.com")
    assert not _leads(nothing, "shop.acme.com") and not _leads(nothing, "eu-west.acme.com")
    some = _outlet(entry, subdomain="shop")
    assert _leads(some, "shop.acme.com") and not _leads(some, "eu-west.acme.com") and not _leads(some, "x.acme.com")
    every = _outlet(entry, subdomain="shop", region="west")
    assert _leads(every, "eu-west.acme.com")
    assert destination(nothing, "/x", "").target.host == "api.acme.com"
    assert destination_of(some, "https://shop.acme.com/y", allow_private=False).path == "/y"
    with pytest.raises(HostNotAllowed):
        destination_of(nothing, "https://shop.acme.com/y", allow_private=False)


def test_a_star_is_one_label_of_any_name() -> None:
    outlet = _outlet(_entry("https://api.acme.com", "*.acme.com"))
    assert _leads(outlet, "one.acme.com")
    for other in ("acme.com", "a.b.acme.com", "evil-acme.com", "acme.com.evil.com", "one.acme.com:8443"):
        assert not _leads(outlet, other), other


def test_the_apis_own_host_stays_beside_the_allowed_ones_and_must_be_one_where_an_account_says_it() -> None:
    assert _leads(_outlet(_entry("https://api.acme.com", "files.acme.com")), "api.acme.com")
    for url in ("https://{{domain}}/v2", "https://api.{{domain}}/v2", "https://{{domain}}:8443"):
        host = "api.acme.com" if url.startswith("https://{{") else "acme.com"
        entry = _entry(url, "api.acme.com", "*.eu.acme.com")
        assert destination(_outlet(entry, domain=host), "/x", "").target.host == "api.acme.com"
        with pytest.raises(Invalid):
            _outlet(entry, domain="evil.com")


@pytest.mark.parametrize("proxy_url", ["https://{{subdomain}}.acme.com/v1", "https://api-{{subdomain}}.acme.com"])
@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            ".",
            "..",
            "evil.com",
            "evil.com/",
            "evil.com#",
            "evil.com?",
            "a@evil.com",
            "a:1",
            "a\\b",
            "a/b",
            "a%2fb",
        ),
        *("a.b", "-a", "a-", "a b", "a\n", "é", "{domain}", "*", "a" * 64),
    ],
)
def test_a_value_in_a_host_is_one_label(proxy_url: str, value: str) -> None:
    for domains in ((), ("*.acme.com",)):
        with pytest.raises(Invalid):
            _outlet(_entry(proxy_url, *domains), subdomain=value)
    with pytest.raises(Invalid):
        _outlet(_entry("https://api.acme.com", "{{subdomain}}.acme.com"), subdomain=value)


@pytest.mark.parametrize("value", ["", "localhost", "a..b", "evil.com/", "a@evil.com", "evil.com:1", ".com", "a.com."])
def test_a_value_that_is_a_whole_host_is_a_host_name(value: str) -> None:
    with pytest.raises(Invalid):
        _outlet(_entry("https://{{domain}}/v1"), domain=value)


def test_a_value_stored_before_a_rule_was_there_does_not_widen_the_host_either() -> None:
    entry = _entry("https://{{subdomain}}.acme.com", "shop.acme.com")
    with pytest.raises(Invalid):
        outlet_of(entry, {"subdomain": "evil.com/x"}, allow_private=False, looks_inside=False)
    with pytest.raises(HostNotAllowed):
        outlet_of(entry, {"subdomain": "other"}, allow_private=False, looks_inside=False)


@pytest.mark.parametrize(
    "host",
    [
        *("acme", "*", "*.com", "*.*.acme.com", "a.*.acme.com", "{{x}}.com", "{{x}}", "acme.{{x}}", "a.com/x"),
        *("a.com:1", "u@a.com", "A.com", "{{X}}.acme.com", "{{token}}.acme.com", "", ".acme.com", 5),
    ],
)
def test_an_allowed_host_that_could_be_anybodys_is_refused(host: Any) -> None:
    with pytest.raises(Invalid) as refused:
        _entry("https://api.acme.com", host)
    assert refused.value.fields[0]["field"] == "provider.auth_patterns[0].allowed_proxy_domains"


def test_an_entry_with_values_in_its_hosts_is_not_the_same_for_every_account() -> None:
    assert is_plain(_entry("https://api.acme.com", "files.acme.com"))
    assert not is_plain(_entry("https://api.acme.com", "{{subdomain}}.acme.com"))


def test_taking_the_allow_list_away_is_a_move_to_other_hosts() -> None:
    bounded, free = _entry("https://{{domain}}", "api.acme.com"), _entry("https://{{domain}}")
    assert custom.api_hosts(free) - custom.api_hosts(bounded)
    assert not custom.api_hosts(bounded) - custom.api_hosts(free) - {"api.acme.com"}
