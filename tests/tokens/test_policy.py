"""What to do with a token, as tables: record and time in, decision out."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from holdfast.accounts import Account, Reason, Status
from holdfast.providers.entry import Lifetime
from holdfast.tokens import policy
from holdfast.tokens.policy import Normal, Renew, Resolve, Serve, Stop
from holdfast.vault import Place, Sealed
from holdfast.vault.sealed import seal_with
from tests.accounts.records import an_account

NOW = 1_790_000_000.0


def account(*, ends: float | None = None, grant: bool = True, access: bool = True, **more: Any) -> Account:
    return an_account(
        "env",
        access=Sealed(b"a") if access else None,
        grant=Sealed(b"g") if grant else None,
        expires_at=None if ends is None else NOW + ends,
        **more,
    )


ENDS_SOON = "the token ends soon and cannot be renewed"


@pytest.mark.parametrize(
    ("given", "min_ttl", "expected"),
    [
        # a token that does not end
        (account(), 60, Serve(False)),
        (account(grant=False), 60, Serve(False)),
        (account(warning="careful"), 60, Serve(False, ("careful",))),
        # life enough
        (account(ends=61), 60, Serve(False)),
        (account(ends=61, grant=False), 60, Serve(False)),
        (account(ends=3600, refresh_at=NOW + 1), 60, Serve(False)),
        # due, while it lives
        (account(ends=299, refresh_at=NOW), 60, Serve(True)),
        (account(ends=299, refresh_at=NOW - 9, retry_at=NOW), 60, Serve(True)),
        (account(ends=299, refresh_at=NOW - 9, retry_at=NOW + 1), 60, Serve(False)),
        (account(ends=299, refresh_at=NOW - 9, grant=False), 60, Serve(False)),
        (account(ends=299, refresh_at=NOW, warning="it failed"), 60, Serve(True, ("it failed",))),
        # too little life left
        (account(ends=60), 60, Renew(True)),
        (account(ends=1), 0, Serve(False)),
        (account(ends=1), 60, Renew(True)),
        (account(ends=3599), 3600, Renew(True)),
        (account(ends=0), 60, Renew(False)),
        (account(ends=0), 0, Renew(False)),
        (account(ends=-1), 60, Renew(False)),
        (account(access=False), 60, Renew(False)),
        # and nothing to renew it with
        (account(ends=30, grant=False), 60, Serve(False, (ENDS_SOON,))),
        (account(ends=30, grant=False, warning="careful"), 60, Serve(False, ("careful", ENDS_SOON))),
    ],
)
def test_a_token_is_served_or_renewed_by_the_life_it_has_left(
    given: Account, min_ttl: float, expected: policy.Decision
) -> None:
    assert policy.decide(given, NOW, min_ttl) == expected


@pytest.mark.parametrize(
    ("given", "reason", "words"),
    [
        (account(ends=0, grant=False), Reason.NO_REFRESH_TOKEN, "gave no refresh token"),
        (account(ends=-9, grant=False), Reason.NO_REFRESH_TOKEN, "connect it again"),
        (account(access=False, grant=False), Reason.NO_CREDENTIAL, "holds no token"),
        (account(status=Status.EXPIRED, reason=Reason.REFRESH_REFUSED, detail="why"), Reason.REFRESH_REFUSED, "why"),
        (account(status=Status.REVOKED), None, "the account is revoked"),
        (account(status=Status.SUSPENDED, ends=900), None, "the account is suspended"),
        (account(status=Status.ERROR, ends=900), None, "the account is error"),
    ],
)
def test_without_a_way_to_a_token_the_owner_is_needed(given: Account, reason: Reason | None, words: str) -> None:
    decision = policy.decide(given, NOW, 60)
    assert isinstance(decision, Stop)
    assert decision.reason is reason
    assert words in decision.detail


@pytest.mark.parametrize(
    ("life", "min_ttl", "expected"),
    [(3600, 60, 60), (240, 60, 60), (60, 60, 15), (4, 60, 1), (0, 60, 0), (None, 60, 60), (3600, 0, 0)],
)
def test_a_short_lived_token_is_not_renewed_at_each_read(life: float | None, min_ttl: float, expected: float) -> None:
    given = account(ends=None if life is None else life, refreshed_at=NOW)
    assert policy.default_ttl(given, min_ttl) == expected


def test_a_token_whose_age_nobody_knows_gets_the_default() -> None:
    assert policy.default_ttl(account(ends=5), 60) == 60


@pytest.mark.parametrize(
    ("rotation", "grace", "opened", "expected"),
    [
        ("each_use", 0, None, Normal()),
        ("each_use", 0, 5, Resolve(False)),
        ("each_use", 60, 5, Resolve(True)),
        ("each_use", 60, 59.9, Resolve(True)),
        ("each_use", 60, 60, Resolve(False)),
        ("may_change", 0, 5, Resolve(False)),
        (None, 0, 5, Resolve(False)),
        (None, 30, 5, Resolve(True)),
        ("none", 0, 5, Normal()),
        ("none", 60, 5, Normal()),
    ],
)
def test_an_open_intent_is_judged_by_the_providers_rotation(
    rotation: Any, grace: int, opened: float | None, expected: Normal | Resolve
) -> None:
    given = account(intent_at=None if opened is None else NOW - opened)
    assert policy.judge_intent(given, Lifetime(rotation=rotation, reuse_grace=grace), NOW) == expected


@pytest.mark.parametrize(
    ("failures", "ceiling"), [(0, 2), (1, 4), (2, 8), (5, 64), (6, 120), (8, 120), (16, 120), (10_000, 120)]
)
def test_the_wait_grows_with_the_failures_up_to_two_minutes(failures: int, ceiling: float) -> None:
    waits = [policy.backoff(failures) for _ in range(300)]
    assert min(waits) >= 1
    assert max(waits) <= ceiling
    assert max(waits) - min(waits) > (ceiling - 1) / 2, "spread, so that those who failed together do not return so"


def test_the_wait_is_never_less_than_the_provider_asked() -> None:
    assert policy.backoff(0, asked=500) == 500
    assert min(policy.backoff(3, asked=0) for _ in range(50)) >= 1


def test_a_fingerprint_tells_sealed_refresh_tokens_apart() -> None:
    key, place = AESGCM(bytes(32)), Place("E", "A", "grant", 1)
    one, other = seal_with(key, 1, "refresh-one", place), seal_with(key, 1, "refresh-one", place)
    assert policy.fingerprint(one) == policy.fingerprint(Sealed(one.data))
    assert policy.fingerprint(one) != policy.fingerprint(other)
    assert len(policy.fingerprint(one)) == 32


@pytest.mark.parametrize(
    ("required", "missing", "expected"),
    [((), ("a",), ()), (("a",), (), ()), (("a", "b"), ("b", "c"), ("b",)), (("b", "a"), ("a", "b"), ("b", "a"))],
)
def test_required_scopes_that_were_not_granted(
    required: tuple[str, ...], missing: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert policy.missing_required(account(), required, missing) == expected
