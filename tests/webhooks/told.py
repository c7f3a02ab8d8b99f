"""Entries as the rooms write them, for endpoints to be told of."""

import time
from typing import Any

from holdfast.accounts.account import snapshot
from holdfast.events import Action, Actor, Entry
from holdfast.ids import new_id
from tests.accounts.records import an_account

WORKOS_EVENTS = [
    f"pipes.connected_account.{verb}"
    for verb in ("connected", "disconnected", "reauthorization_needed", "connection_failed")
]
SCALEKIT_EVENTS = [
    f"connected_account.{name}"
    for name in ("created", "updated", "status_updated", "deleted", "token_refresh_succeeded")
]


def told(environment_id: str, account_id: str = "", action: Action = Action.ACCOUNT_CONNECTED, **data: Any) -> Entry:
    account = an_account(environment_id, id=account_id or new_id(), label="Ädä & <Löve>")
    return Entry(
        environment_id=environment_id,
        id=new_id(),
        at=time.time(),
        action=action,
        actor=Actor("api_key", new_id()),
        account_id=account.id,
        connection_id=account.connection_id,
        user_id="user_1",
        data={**snapshot(account, "github"), **data},
    )
