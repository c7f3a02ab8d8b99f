"""An attempt that ended while its code was exchanged: nothing comes of it, whichever way it would have gone."""

from dataclasses import replace
from typing import Any

import pytest

from holdfast.accounts import OAuthCredential, Status
from holdfast.authorization import store
from holdfast.authorization.attempt import Stage
from holdfast.authorization.settle import Gone, Settle
from holdfast.secret import Secret
from tests.authorization.links import BACK, Linking
from tests.authorization.test_attempt_store import an_attempt
from tests.authorization.test_links import linking  # noqa: F401


@pytest.mark.parametrize("row", ["forgotten", "failed"])
@pytest.mark.parametrize(
    "way",
    [
        {},
        {"user_verify_url": BACK},
        {"account_id": None, "by_link": False, "code_challenge": "c" * 43, "return_to": BACK},
    ],
)
async def test_nothing_comes_of_an_attempt_that_has_ended(linking: Linking, row: str, way: dict[str, Any]) -> None:  # noqa: F811
    house, link = linking.house, await linking.link()
    before = link.account
    asked = {
        "account_id": before.id,
        "owner": before.owner,
        "connection_id": before.connection_id,
        "by_link": True,
        **way,
    }
    attempt = an_attempt(before.environment_id, stage=Stage.CONSUMED, **asked)
    if row == "failed":
        ended = replace(attempt, stage=Stage.FAILED)
        await house.holdfast.database.transact(lambda tx: store.add(tx, ended))
    settle = Settle(house.accounts, base_url="http://x", connect_code_lifetime=60, verification_lifetime=60)
    credential = OAuthCredential(access=Secret("at"), refresh=None)
    with pytest.raises(Gone) as gone:
        await settle.settle(attempt, await house.effective(linking.connection), credential, None)
    assert gone.value.code == "authorization_state_expired"
    after = await house.stored(before)
    assert (after.status, after.access) == (Status.PENDING, None)
