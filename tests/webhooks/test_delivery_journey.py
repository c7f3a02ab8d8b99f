"""Many deliveries by a running server, to a receiver that fails a third of the time and is down for a while; and the
server is killed in between. HOLDFAST_LONG=1 takes 10,000 entries; with -s it prints what came of it."""

import asyncio
import os
import time
from pathlib import Path

import pytest
from workos import WorkOSClient

from holdfast.events import Entry
from holdfast.events import store as log
from holdfast.ids import new_id
from holdfast.storage import open_database
from tests.parts.server import HoldfastProcess
from tests.webhooks.receiver import Receiver, sometimes, verify_workos
from tests.webhooks.told import WORKOS_EVENTS, told

LONG = os.environ.get("HOLDFAST_LONG") == "1"
ENTRIES = 10_000 if LONG else 500
ACCOUNTS = 400 if LONG else 40
MOST_SECONDS = 900 if LONG else 120
ENV = {
    "HOLDFAST_DELIVERY_INTERVAL": "0.1",
    "HOLDFAST_DELIVERY_TIMEOUT": "0.5",
    "HOLDFAST_DELIVERY_RETRIES": ",".join(["0.1"] * 10 + ["0.5"] * 200),
}


async def test_nothing_is_lost_and_each_account_stays_in_order(fresh_url: str, tmp_path: Path) -> None:
    server = HoldfastProcess(tmp_path / "data", database=fresh_url, env=ENV)
    receiver = await Receiver((verify_workos,), pause=0.0).start()
    database = await open_database(fresh_url)
    try:
        client = WorkOSClient(api_key=server.api_key, client_id="client_x", base_url=server.base_url)
        made = client.webhooks.create_webhook_endpoint(endpoint_url=receiver.url, events=WORKOS_EVENTS)
        receiver.secret = made.secret
        receiver.trouble = sometimes(0.3)
        environment_id = await database.transact(
            lambda tx: str(tx.exec_driver_sql("SELECT environment_id FROM environments").scalar_one())
        )
        accounts = [new_id() for _ in range(ACCOUNTS)]
        order: dict[str, list[str]] = {account: [] for account in accounts}
        for first in range(0, ENTRIES, 100):
            batch: list[Entry] = []
            for number in range(first, first + 100):
                entry = told(environment_id, accounts[number % ACCOUNTS])
                order[entry.account_id].append(f"event_{entry.id}")
                batch.append(entry)
            await database.transact(lambda tx, batch=batch: log.append(tx, *batch))  # type: ignore[misc]

        began = time.monotonic()
        await _until(receiver, ENTRIES // 5)
        server.kill()
        server = HoldfastProcess(tmp_path / "data", database=fresh_url, env=ENV, port=server.port)
        await _until(receiver, ENTRIES // 2)
        await receiver.stop()
        await asyncio.sleep(2)
        await receiver.start()
        await _until(receiver, ENTRIES)
        took = time.monotonic() - began
    finally:
        await database.close()
        await receiver.stop()
        log_text = server.log()
        server.stop()

    taken = [event["id"] for event in receiver.taken]
    assert set(taken) == {entry_id for ids in order.values() for entry_id in ids}, "each at least once, nothing else"
    firsts = list(dict.fromkeys(taken))  # a duplicate is known by its id
    print(
        f"\n{database.dialect}: {len(firsts)} of {ENTRIES} entries of {ACCOUNTS} accounts delivered in {took:.0f} s,"
        f" {len(receiver.seen)} requests, {len(receiver.seen) - len(taken)} failed, {len(taken) - len(firsts)} twice"
    )
    by_account: dict[str, list[str]] = {}
    account_of = {entry_id: account for account, ids in order.items() for entry_id in ids}
    for event_id in firsts:
        by_account.setdefault(account_of[event_id], []).append(event_id)
    assert by_account == order
    assert len(taken) - len(firsts) <= 40, "what was under way at the kill, and when the receiver went down"
    assert len(receiver.seen) > ENTRIES * 1.2, "a third did fail"
    assert receiver.secret not in log_text
    assert receiver.refused == []


async def _until(receiver: Receiver, count: int) -> None:
    """Wait until so many different events were taken."""
    until = time.monotonic() + MOST_SECONDS
    while len({event["id"] for event in receiver.taken}) < count:
        if time.monotonic() > until:
            pytest.fail(f"{len({event['id'] for event in receiver.taken})} of {count} came in time")
        await asyncio.sleep(0.1)
