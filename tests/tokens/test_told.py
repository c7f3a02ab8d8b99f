"""What people read of a refresh that failed: the provider, what it did, and who acts now."""

from typing import Any

import pytest

from holdfast.connections import store as connection_store
from holdfast.errors import Unavailable
from holdfast.events import Action
from holdfast.secret import Secret
from holdfast.tokens import Misconfigured, NeedsReauthorization, RetryAt
from tests.tokens.house import House

FAILURES: dict[str, tuple[dict[str, Any], Action, str]] = {
    "an error page": (
        {"fail_next": {"status": 503, "count": 1}},
        Action.TOKEN_REFRESH_UNRESOLVED,
        "{provider} could not answer (",
    ),
    "throttled": (
        {"fail_next": {"status": 429, "retry_after": 90, "count": 1}},
        Action.TOKEN_REFRESH_FAILED,
        "{provider} asks to be left alone for a while (",
    ),
    "a refusal without a reason": (
        {"fail_next": {"status": 404, "error": "not_here", "count": 1}},
        Action.TOKEN_REFRESH_FAILED,
        "{provider} refused to renew the token (not_here",
    ),
    "no answer": (
        {"lose_reply": {"count": 1, "when": "after"}},
        Action.TOKEN_REFRESH_UNRESOLVED,
        "localhost broke off its answer",
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_what_passes_by_itself_is_told_with_who_did_what_and_that_it_is_tried_again(
    house: House, failure: str
) -> None:
    switches, action, begins = FAILURES[failure]
    connection, account = await house.expired()
    house.sandbox.set(**switches)
    outcome = await house.holdfast.refresher.refresh(account)
    assert isinstance(outcome, RetryAt)
    begins = begins.format(provider=(await house.effective(connection)).provider.name)
    assert outcome.why.startswith(begins)
    told = (await house.stored(account)).warning or ""
    assert told.startswith(f"the last refresh failed: {begins}")
    assert told.endswith("; it is tried again, and nobody has to do anything")
    [entry] = [entry for entry in await house.entries(account) if entry.action is action]
    assert entry.data["detail"] == outcome.why, "the log says why, though nothing is wrong with the account"
    with pytest.raises(Unavailable) as raised:
        await house.read(account, connection)
    assert begins in raised.value.message


async def test_a_refused_client_is_told_to_the_administrator_in_one_sentence(house: House) -> None:
    connection = await house.connection(secret=Secret("not-the-secret-of-this-app"))
    account, other = await house.connect(connection), await house.connect(connection)
    name = (await house.effective(connection)).provider.name
    words = f"{name} refuses this connection's client (invalid_client"
    for one in (account, other):  # the other is told by the alert, and nobody is asked
        await house.expire(one)
        outcome = await house.holdfast.refresher.refresh(one)
        assert isinstance(outcome, Misconfigured)
        assert outcome.why.startswith(words)
        with pytest.raises(Unavailable) as raised:
            await house.read(one, connection)
        assert raised.value.message.count("refuses") == 1
        assert "an administrator has to correct" in raised.value.message
    assert house.requests == 1
    stored = await house.holdfast.database.transact(
        lambda tx: connection_store.by_id(tx, house.environment_id, connection.id)
    )
    assert stored is not None
    assert (stored.alert or "").startswith(words)
    assert "an administrator has to correct the connection's client" in ((await house.stored(account)).warning or "")


@pytest.mark.parametrize(("error", "times"), [("invalid_grant", 2), ("not_here", 3)])
async def test_what_only_the_owner_can_help_is_told_with_what_to_do(house: House, error: str, times: int) -> None:
    connection, account = await house.expired()
    house.sandbox.set(fail_next={"status": 400, "error": error, "count": times})
    outcome = None
    while not isinstance(outcome, NeedsReauthorization):
        outcome = await house.holdfast.refresher.refresh(account, force=True)
    name = (await house.effective(connection)).provider.name
    assert outcome.detail.startswith(f"{name} ")
    assert f"({error}" in outcome.detail
    assert outcome.detail.endswith(". The account's owner has to connect it again.")
    needed = [item for item in await house.entries(account) if item.action is Action.ACCOUNT_REAUTHORIZATION_NEEDED]
    assert [entry.data["detail"] for entry in needed] == [outcome.detail]
