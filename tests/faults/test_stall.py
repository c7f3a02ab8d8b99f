"""SIGSTOP of a server that holds a lease, for three times as long as the lease lasts."""

import asyncio
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.faults.figures import Figures, form
from tests.faults.rig import GRACE, GRACE_SECONDS, STRICT, Rig, Tally, until
from tests.parts.postgres import Postgres

LEASE = form(2.1, 6.1)
TIMES = {"HOLDFAST_OUTBOUND_TIMEOUT": str(form(1, 3)), "HOLDFAST_LEASE_SECONDS": str(LEASE)}


@pytest.mark.parametrize("kind", ["grace", "strict"])
async def test_stall_while_the_provider_is_asked(
    kind: str, rigs: Callable[..., Rig], dsn: str, postgres: Postgres, figures: Figures
) -> None:
    """The answer waits in the stalled server's socket, and another server has resolved the refresh by then."""
    slug = GRACE if kind == "grace" else STRICT
    stalled = rigs(slug=slug, database=dsn, postgres=postgres, env=TIMES)
    other = rigs(slug=slug, database=dsn, postgres=postgres, key=stalled.key, env=TIMES)
    stalled.judge.set(hold=True, grace=GRACE_SECONDS if kind == "grace" else 0)
    [user] = await stalled.accounts(1, left=0.3)
    await asyncio.sleep(0.4)
    late, tally = Tally(), Tally()
    reading = asyncio.ensure_future(stalled.read_all([user], late))
    await until("it did not ask", lambda: stalled.judge.report()["rotations"] == 1)
    stalled.server.freeze()
    began = time.monotonic()
    stalled.judge.set(hold=False)
    await _read_until_settled(other, user, tally)
    await asyncio.sleep(max(0.0, began + 3 * LEASE - time.monotonic()))
    before = other.rows("SELECT fence, credential_version, status FROM accounts")
    stalled.server.thaw()
    await reading
    await asyncio.sleep(0.5)
    tokens = await other.read_all([user], tally, min_ttl=0)
    report, ended = other.judge.report(), other.ended()
    lost = not all(other.judge.work([token for token in tokens if token])) or tokens == [None]
    # If the answer is taken up before its time is over, its pair is tried before any of it is handed out.
    told = {("expired", "rotation_lost"), ("expired", "refresh_refused")}
    announced = lost and ended.get(user) in told and user in other.announced()
    figures.tell(
        stalled_seconds=round(3 * LEASE, 1),
        late_writes=int(before != other.rows("SELECT fence, credential_version, status FROM accounts")),
        replayed_in_grace=report["replayed"],
        tried_once_more_after_the_lease=len(report["presented_again"]),
        double_refreshes=sum(times > 2 for times in report["presented_again"].values()),
        lost_announced=int(announced),
        lost_silently=int(lost and not announced),
        released_without_entry=other.released_without_entry(tally) + other.released_without_entry(late),
    )
    assert figures.values["lost_silently"] == figures.values["double_refreshes"] == 0, (report, ended, tokens)
    if kind == "grace":
        assert figures.values["late_writes"] == 0
        assert (lost, report["presented_again"], report["replayed"]) == (False, {}, 1)


async def test_stall_between_the_intent_and_the_request(
    rigs: Callable[..., Rig], dsn: str, postgres: Postgres, figures: Figures
) -> None:
    """Nothing was sent when the lease ran out: the other server's refresh works, and the stalled one must not ask."""
    stalled = rigs(database=dsn, postgres=postgres, env=TIMES)
    other = rigs(database=dsn, postgres=postgres, key=stalled.key, env=TIMES)
    # Both know the connection from one refresh and have prepared, for another, the statement that takes the turn.
    for rig in (stalled, stalled, other, other):
        [user] = await rig.accounts(1, left=0.2)
        await asyncio.sleep(0.3)
        await rig.read_all([user], Tally())
    [user] = await stalled.accounts(1, left=0.3)
    await asyncio.sleep(0.4)
    asked, late, tally = stalled.judge.report()["requests"], Tally(), Tally()
    with _locked(postgres, dsn):
        reading = asyncio.ensure_future(stalled.read_all([user], late))
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        await until("it does not take its turn", lambda: stalled.rows(waits) == [("1",)])
        stalled.server.freeze()
    began = time.monotonic()
    await until("no intent", lambda: len(stalled.open_intents()) == 1, 5)
    assert stalled.judge.report()["requests"] == asked
    await _read_until_settled(other, user, tally)
    await asyncio.sleep(max(0.0, began + 3 * LEASE - time.monotonic()))
    stalled.server.thaw()
    await reading
    await asyncio.sleep(0.5)
    tokens = await other.read_all([user], tally, min_ttl=0)
    report = other.judge.report()
    figures.tell(
        stalled_seconds=round(3 * LEASE, 1),
        refreshes=report["requests"] - asked,
        double_refreshes=len(report["presented_again"]),
        lost=sum(not works for works in other.judge.work([token or "" for token in tokens])),
        answered_by_the_stalled=late.answers[200],
        released_without_entry=other.released_without_entry(tally) + other.released_without_entry(late),
    )
    assert (report["requests"] - asked, report["presented_again"]) == (1, {})
    assert other.judge.work([token or "" for token in tokens]) == [True]
    assert late.answers == {200: 1}, late.failures


async def _read_until_settled(rig: Rig, user: str, tally: Tally) -> None:
    until = time.monotonic() + 2.5 * LEASE
    while (await rig.read_all([user], tally)) == [None] and user not in tally.inactive:
        assert time.monotonic() < until, tally.failures
        await asyncio.sleep(0.2)


@contextmanager
def _locked(postgres: Postgres, dsn: str) -> Iterator[None]:
    """Let nobody write to the accounts."""
    command = [postgres.bin_path / "psql", "--dbname", dsn, "-qAt"]
    session = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert session.stdin is not None
    assert session.stdout is not None
    try:
        session.stdin.write("BEGIN; LOCK TABLE accounts IN SHARE ROW EXCLUSIVE MODE; SELECT 'held';\n")
        session.stdin.flush()
        assert session.stdout.readline().strip() == "held"
        yield
    finally:
        session.stdin.close()
        session.wait(10)
