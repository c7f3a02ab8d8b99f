"""Many processes and one account."""

import asyncio
from collections.abc import Callable

from tests.faults.figures import Figures, form
from tests.faults.rig import Rig, Tally
from tests.parts.postgres import Postgres

PROCESSES, CALLERS = 4, 50
ROUNDS = form(1, 20)


async def test_race_of_four_processes_for_one_account(
    rigs: Callable[..., Rig], dsn: str, postgres: Postgres, figures: Figures
) -> None:
    first = rigs(database=dsn, postgres=postgres)
    others = [rigs(database=dsn, postgres=postgres, key=first.key) for _ in range(PROCESSES - 1)]
    first.judge.set(slow=0.5)
    tally, distinct = Tally(), 0
    for _ in range(ROUNDS):
        [user] = await first.accounts(1, left=0.3)
        await asyncio.sleep(0.4)
        given = await asyncio.gather(*(rig.read_all([user] * CALLERS, tally) for rig in (first, *others)))
        distinct += len({token for tokens in given for token in tokens})
    report = first.judge.report()
    figures.tell(
        processes=PROCESSES,
        callers=PROCESSES * CALLERS,
        accounts=ROUNDS,
        refreshes=report["requests"],
        double_refreshes=len(report["presented_again"]),
        distinct_tokens=distinct,
        failed_reads=len(tally.failures) + tally.unanswered,
        released_without_entry=first.released_without_entry(tally),
    )
    assert (report["requests"], distinct) == (ROUNDS, ROUNDS)
    assert (tally.answers, tally.unanswered) == ({200: PROCESSES * CALLERS * ROUNDS}, 0)
    assert first.released_without_entry(tally) == 0
