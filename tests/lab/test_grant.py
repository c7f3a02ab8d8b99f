"""A grant as a value: what presenting each refresh token of its family does. No HTTP, no clock."""

import pytest

from holdfast.lab.grant import Grant, Over, Renewed, Reused, present

GRANT = Grant(id="g", subject="usr_ada", scopes=("read",), since=0.0, refresh_token="first")


def test_each_use_makes_the_next_token_and_remembers_the_one_before() -> None:
    outcome = present(GRANT, "first", rotates=True, grace=0, now=10.0, fresh="second")
    assert isinstance(outcome, Renewed)
    assert not outcome.replay
    assert (outcome.grant.refresh_token, outcome.grant.previous, outcome.grant.refreshes) == ("second", "first", 1)


def test_without_rotation_the_token_stays() -> None:
    outcome = present(GRANT, "first", rotates=False, grace=0, now=10.0, fresh="second")
    assert isinstance(outcome, Renewed)
    assert (outcome.grant.refresh_token, outcome.grant.previous) == ("first", None)


@pytest.mark.parametrize(
    ("token", "now", "grace", "replays"),
    [
        ("second", 20.0, 30, True),
        ("second", 49.9, 30, True),
        ("second", 50.0, 30, False),  # the window is over
        ("second", 20.0, 0, False),  # there is none
        ("first", 20.0, 30, False),  # it covers the previous token only
    ],
)
def test_a_replay_is_forgiven_within_the_grace_for_the_previous_token_alone(
    token: str, now: float, grace: float, replays: bool
) -> None:
    grant = _rotated(_rotated(GRANT, "second", at=10.0), "third", at=20.0)
    outcome = present(grant, token, rotates=True, grace=grace, now=now, fresh="fourth")
    if replays:
        assert outcome == Renewed(grant, replay=True)
    else:
        assert isinstance(outcome, Reused)
        assert outcome.grant.ended == "a refresh token was used twice"


def test_reuse_where_nothing_rotates_is_refused_and_ends_nothing() -> None:
    grant = _rotated(GRANT, "second", at=10.0)
    assert present(grant, "first", rotates=False, grace=0, now=11.0, fresh="third") == Reused(grant)


def test_an_ended_grant_stays_ended_for_its_first_reason() -> None:
    ended = GRANT.over("the app revoked it").over("something later")
    outcome = present(ended, "first", rotates=True, grace=30, now=1.0, fresh="second")
    assert outcome == Over("the app revoked it")


def test_a_grant_shows_none_of_its_tokens() -> None:
    shown = repr(_rotated(GRANT, "second", at=10.0))
    assert "first" not in shown
    assert "second" not in shown


def _rotated(grant: Grant, fresh: str, *, at: float) -> Grant:
    outcome = present(grant, grant.refresh_token or "", rotates=True, grace=0, now=at, fresh=fresh)
    assert isinstance(outcome, Renewed)
    return outcome.grant
