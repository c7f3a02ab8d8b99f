"""The search at the end of each journey finds what it is for."""

import pytest

from tests.journeys.journey import challenge_of, check_addresses

VERIFIER = "v" * 43


@pytest.mark.parametrize(
    "leak",
    [
        "http://app.example/done?state=s1&hint=a%2Bsecret%2F1",
        "http://app.example/a+secret/1",
        "http://app.example/done?access_token=other",
        "http://app.example/done#fragment",
        f"http://app.example/done?state={VERIFIER}",
    ],
)
def test_a_secret_in_an_address_is_found(leak: str) -> None:
    innocent = f"http://provider.example/auth?state=s1&code_challenge={challenge_of(VERIFIER)}"
    check_addresses([innocent], {"a+secret/1"})
    with pytest.raises(AssertionError):
        check_addresses([innocent, leak], {"a+secret/1"})
