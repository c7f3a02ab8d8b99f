"""Every entry in words."""

import re

import pytest

from holdfast.dashboard import sentences
from holdfast.dashboard.sentences import GROUPS, WORDS
from holdfast.events import Action, Actor, Entry


def _entry(action: Action, **data: object) -> Entry:
    return Entry(environment_id="e", id="i", at=1.0, action=action, actor=Actor.system(), data=data)


@pytest.mark.parametrize("action", list(Action))
def test_no_action_is_without_words_and_a_group(action: Action) -> None:
    assert action in WORDS
    assert WORDS[action].group in GROUPS
    bare = sentences.sentence(_entry(action))
    assert re.fullmatch(r"[a-z][^{}]*[^:\s.]", bare), bare


def test_members_of_the_data_are_named_in_the_sentence() -> None:
    called = _entry(Action.PROXY_CALLED, method="GET", path="/user", status=200)
    assert sentences.sentence(called) == "called GET /user through the proxy: 200"
    shown = _entry(Action.WEBHOOK_ENDPOINT_CHANGED, url="https://a.example", what="secret_shown")
    assert sentences.sentence(shown) == "changed the webhook endpoint https://a.example: secret shown"
    invited = {"email": "grace@example.com", "role": "viewer"}
    assert sentences.sentence(_entry(Action.ADMINISTRATOR_INVITED, **invited)) == "invited grace@example.com as viewer"
    withdrawn = _entry(Action.ADMINISTRATOR_INVITED, **invited, withdrawn=True)
    assert sentences.sentence(withdrawn) == "took back the invitation of grace@example.com as viewer"
    failed = _entry(Action.TOKEN_REFRESH_FAILED, detail="The provider did not answer.")
    assert sentences.sentence(failed) == "could not refresh the token: The provider did not answer"


def test_every_group_has_an_action() -> None:
    assert all(sentences.actions_of(group) for group in GROUPS)
    assert sentences.actions_of("nonsense") == ()


@pytest.mark.parametrize("kind", ["api_key", "administrator", "end_user", "system", "operator"])
def test_every_kind_of_actor_has_a_name_in_words(kind: str) -> None:
    assert sentences.who(Actor(kind, "x"), {})  # type: ignore[arg-type]
    assert sentences.ACTOR_KINDS[kind]
    assert "billing" in sentences.who(Actor(kind, "x"), {"x": "billing"})  # type: ignore[arg-type]
