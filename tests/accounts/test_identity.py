"""An account stays the same person's at the provider, as a table."""

import pytest

from holdfast.accounts.install import check_identity
from holdfast.errors import Conflict
from holdfast.providers.identity import ProviderIdentity
from tests.accounts.records import an_account

ADA, GRACE = ProviderIdentity("1", "ada@example.test"), ProviderIdentity("2", "grace@example.test")


@pytest.mark.parametrize(
    ("subject", "identity", "switch"),
    [
        (None, ADA, False),
        (None, None, False),
        ("1", ADA, False),
        ("1", None, False),
        ("1", ProviderIdentity("1", "renamed@example.test"), False),
        ("1", GRACE, True),
    ],
)
def test_the_same_person_or_one_that_was_asked_for_may_reconnect(
    subject: str | None, identity: ProviderIdentity | None, switch: bool
) -> None:
    check_identity(an_account("env", subject=subject), identity, switch=switch)


@pytest.mark.parametrize(
    ("identifier", "identity", "words"),
    [
        ("ada@example.test", GRACE, ("'ada@example.test'", "'grace@example.test'")),
        (None, GRACE, ("'1'", "'grace@example.test'")),
        ("ada@example.test", ProviderIdentity("2", None), ("'ada@example.test'", "'2'")),
        ("ada@example.test", ProviderIdentity("2", "ada@example.test"), ("'ada@example.test'",)),
    ],
)
def test_somebody_else_may_not_and_reads_who_is_expected(
    identifier: str | None, identity: ProviderIdentity, words: tuple[str, ...]
) -> None:
    with pytest.raises(Conflict) as raised:
        check_identity(an_account("env", subject="1", identifier=identifier), identity, switch=False)
    assert raised.value.code == "account_mismatch"
    assert all(word in raised.value.message for word in words)
