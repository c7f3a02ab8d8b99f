"""The list of what may be said: everything else is dropped, by name and by shape."""

import pytest

from holdfast.telemetry.attributes import ALLOWED, allowed

CANARY = "sbx_at_0123456789abcdefABCDEF"


def test_what_is_listed_and_fits_goes_out_under_its_own_name() -> None:
    said = {"method": "POST", "route": "/data-integrations/{slug}/token", "status": 200, "host": "api.example.com"}
    assert allowed(said) == {
        "http.request.method": "POST",
        "http.route": "/data-integrations/{slug}/token",
        "http.response.status_code": 200,
        "server.address": "api.example.com",
    }


def test_what_is_not_listed_is_dropped() -> None:
    assert allowed({"url": "https://x/?token=1", "authorization": "Bearer x", "http.route": "/x", "user": "ada"}) == {}


@pytest.mark.parametrize("name", sorted(set(ALLOWED) - {"method", "route", "host", "provider"}))
def test_a_secret_fits_no_attribute_that_is_said_in_words_of_ours(name: str) -> None:
    assert allowed({name: CANARY}) == {}
    assert allowed({name: CANARY.encode()}) == {}
    assert allowed({name: [CANARY]}) == {}


def test_a_secret_is_no_host_no_provider_and_no_method() -> None:
    assert allowed({"host": CANARY, "provider": CANARY, "route": f"/x?code={CANARY}"}) == {}
    assert allowed({"host": f"ada:{CANARY}@api.example.com"}) == {}
    assert allowed({"method": CANARY}) == {"http.request.method": "_OTHER"}


def test_a_number_out_of_its_range_and_a_truth_value_are_dropped() -> None:
    assert allowed({"status": 4111111111111111, "port": -1, "queued": True}) == {}
