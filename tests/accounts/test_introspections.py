"""At whom, and about what, it is asked when a token ends."""

import msgspec
import pytest

from holdfast.accounts.introspections import is_wanted
from holdfast.oauth2 import Dialect
from holdfast.providers.entry import Lifetime, Provider
from holdfast.providers.loader import load_catalog
from holdfast.providers.templates import resolve_dialect

ENTRY = Provider(
    slug="acme",
    name="Acme",
    auth="oauth2",
    oauth2=Dialect(token_url="https://p.example/token", introspect_url="https://p.example/introspect"),
)


@pytest.mark.parametrize(
    ("changes", "end_unsaid", "wanted"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"lifetime": Lifetime(access=7200)}, True, True),
        ({"lifetime": Lifetime(access="never")}, True, False),
        ({"oauth2": Dialect(token_url="https://p.example/token")}, True, False),
        ({"oauth2": None}, True, False),
    ],
)
def test_a_life_in_the_catalogue_does_not_spare_the_question(
    changes: dict[str, object], end_unsaid: bool, wanted: bool
) -> None:
    assert is_wanted(msgspec.structs.replace(ENTRY, **changes), end_unsaid=end_unsaid) is wanted


def test_salesforce_is_asked_at_the_host_that_the_user_signed_in_at() -> None:
    entry = load_catalog().get("salesforce")
    assert entry is not None
    assert is_wanted(entry, end_unsaid=True)
    at = {None: "login.salesforce.com", "acme.my.salesforce.com": "acme.my.salesforce.com"}
    for chosen, host in at.items():
        filled = resolve_dialect(entry, {"login_host": chosen} if chosen else {})
        assert filled.introspect_url == f"https://{host}/services/oauth2/introspect"
