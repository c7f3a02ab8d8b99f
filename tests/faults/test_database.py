"""kill -9 of PostgreSQL under load, and the promotion of its standby."""

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest

from tests.faults.figures import Figures, form
from tests.faults.rig import Rig, Tally, until
from tests.operations.fleet import free_port
from tests.parts.cluster import Server, servers
from tests.parts.postgres import Postgres

KILLS = form(2, 20)
ACCOUNTS = form(24, 100)


@pytest.fixture
def cluster(postgres: Postgres) -> Iterator[tuple[Server, Server]]:
    pair = servers(postgres, (free_port(), free_port()))
    yield pair
    for server in pair:
        server.remove()


def _url(*ports: int) -> str:
    return f"postgresql://postgres@{','.join(f'127.0.0.1:{port}' for port in ports)}/postgres"


def _ready(rig: Rig) -> bool:
    return bool(rig.app.http.get(f"{rig.app.base_url}/readyz").status_code == 200)


async def test_kill_of_postgresql(
    cluster: tuple[Server, Server], rigs: Callable[..., Rig], postgres: Postgres, figures: Figures
) -> None:
    first, _ = cluster
    first.sql("ALTER SYSTEM RESET synchronous_standby_names")
    first.reload()
    await _killed(rigs(database=_url(first.port), postgres=postgres), first, first.start, KILLS, figures)


async def test_promotion_of_a_standby(
    cluster: tuple[Server, Server], rigs: Callable[..., Rig], postgres: Postgres, figures: Figures
) -> None:
    first, second = cluster
    rig = rigs(database=_url(first.port, second.port), postgres=postgres)
    rig.look_in = _url(second.port)
    await _killed(rig, first, second.promote, 1, figures)


async def _killed(rig: Rig, server: Server, bring_back: Callable[[], None], kills: int, figures: Figures) -> None:
    """One half of the accounts is only read; the other is refreshed by each read."""
    judge, chance = rig.judge, figures.random
    judge.set(access_lifetime=1800, slow=0.05)
    users = await rig.accounts(ACCOUNTS, left=1800)
    still, moving = users[: ACCOUNTS // 2], users[ACCOUNTS // 2 :]
    reads, renewals, stop = Tally(), Tally(), asyncio.Event()
    load = asyncio.gather(
        rig.load(list(still), reads, stop, callers=6, chance=chance),
        rig.load(list(moving), renewals, stop, callers=6, chance=chance, min_ttl=3600),
    )
    away, bringing, failed_after = 0.0, 0.0, 0
    for _ in range(kills):
        await asyncio.sleep(chance.uniform(0.5, 1.5))
        killed = time.monotonic()
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(0.3)
        await asyncio.to_thread(bring_back)
        started = time.monotonic()
        bringing = max(bringing, started - killed)
        seen = reads.answers[200]
        await until("no read came through", lambda seen=seen: reads.answers[200] > seen + 6, 60)
        back = time.monotonic()
        away = max(away, back - killed)
        await until("not ready", lambda: _ready(rig))
        await asyncio.sleep(1)
        failed_after += sum(at > back for at, _, _ in reads.failures)
    stop.set()
    await load
    await asyncio.sleep(3.2)
    judge.set(slow=0)
    final = Tally()
    for _ in range(2):
        tokens = await rig.read_all(users, final, min_ttl=3600)
        await asyncio.sleep(1.1)
    works = judge.work([token or "" for token in tokens])
    report, ended, told = judge.report(), rig.ended(), rig.announced()
    lost = [user for user, fine in zip(users, works, strict=True) if not fine]
    announced = [user for user in lost if user in ended and user in told]
    without = rig.released_without_entry(reads) + rig.released_without_entry(renewals)
    figures.tell(
        kills=kills,
        accounts=ACCOUNTS,
        refreshes=report["rotations"],
        reads=reads.answers.total(),
        seconds_away=round(away, 1),
        of_these_seconds_until_postgresql_was_back=round(bringing, 1),
        failed_reads=len(reads.failures) + reads.unanswered,
        failed_reads_after=failed_after,
        lost_announced=len(announced),
        lost_silently=len(lost) - len(announced),
        double_refreshes=len(report["presented_again"]),
        released_without_entry=without,
    )
    assert {status for _, status, _ in (*reads.failures, *renewals.failures)} <= {503}
    assert (reads.troubles, renewals.troubles) == ({}, {}), rig.server.log()[-3000:]
    assert failed_after == 0
    assert (lost, report["presented_again"]) == ([], {}), ended
    assert without == 0
