"""What may come of a request for approval, and whose word counts."""

import pytest

from holdfast.approvals import Approval, State
from holdfast.approvals.approval import APPROVED_SECONDS, PENDING_SECONDS, legible
from holdfast.errors import Conflict, Refused
from holdfast.events import Actor
from holdfast.vault import Sealed

ADA, OPERATOR = Actor("administrator", "ada"), Actor("operator")
NOW = 1000.0


def pending() -> Approval:
    return Approval(
        environment_id="e",
        id="a",
        connection_id="c",
        connection="github",
        account_id="x",
        user_id="u",
        organization_id="",
        asked_by=Actor("api_key", "k"),
        request_id="prx_1",
        fingerprint="f",
        method="POST",
        host="api.example.com",
        shown_path="/",
        content_type="",
        body_sha256="0",
        body_length=0,
        seen=Sealed(b""),
        created_at=NOW,
        expires_at=NOW + PENDING_SECONDS,
    )


def test_an_approval_holds_for_minutes_and_a_denial_for_the_day() -> None:
    yes = pending().approved(ADA, NOW + 5)
    assert (yes.state, yes.expires_at, yes.decided_by) == (State.APPROVED, NOW + 5 + APPROVED_SECONDS, ADA)
    no = yes.denied(OPERATOR, NOW + 6)
    assert (no.state, no.expires_at, no.decided_by) == (State.DENIED, NOW + PENDING_SECONDS, OPERATOR)
    assert no.approved(ADA, NOW + 7).state is State.APPROVED, "a denial can be thought over"


@pytest.mark.parametrize("who", [Actor("api_key", "k"), Actor("end_user", "u"), Actor.system()])
def test_nobody_but_a_person_at_the_server_decides(who: Actor) -> None:
    for decide in (pending().approved, pending().denied):
        with pytest.raises(Refused):
            decide(who, NOW)


def test_what_is_over_cannot_be_decided() -> None:
    with pytest.raises(Conflict, match="ended"):
        pending().approved(ADA, NOW + PENDING_SECONDS)
    with pytest.raises(Conflict, match="approved already"):
        pending().approved(ADA, NOW).approved(ADA, NOW)
    with pytest.raises(Conflict, match="denied already"):
        pending().denied(ADA, NOW).denied(ADA, NOW)


def test_nothing_in_a_text_that_is_looked_at_is_hidden() -> None:
    assert legible("a\u202eb\x1b[2J\u200b\r\n\tö") == "a\\u202eb\\x1b[2J\\u200b\\r\n\tö"
