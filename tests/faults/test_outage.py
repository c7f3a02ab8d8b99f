"""The token endpoint is away for a quarter of an hour, by the server's own clock."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.figures import Figures, form
from tests.faults.rig import GRACE, GRACE_SECONDS, STRICT, Rig, Tally
from tests.parts.fake_time import FakeTime

ACCOUNTS = form(10, 100)
OUTAGE, STEP = 900.0, form(30.0, 15.0)
LONGEST_REST = 300.0


@pytest.mark.parametrize("kind", form(["strict"], ["strict", "grace"]))
async def test_outage_of_the_token_endpoint(
    kind: str, rigs: Callable[..., Rig], tmp_path: Path, figures: Figures
) -> None:
    """A third of the tokens outlives the outage; a third comes due in it and lives on; a third ends in it."""
    clock = FakeTime(tmp_path / "clock")
    rig = rigs(slug=GRACE if kind == "grace" else STRICT, env={**clock.env, "HOLDFAST_SWEEP_INTERVAL": "0.1"})
    rig.judge.set(access_lifetime=3600, grace=GRACE_SECONDS if kind == "grace" else 0)
    lives = {"long": 5400.0, "due": 1080.0, "ending": 600.0}
    began = clock.now()
    groups = {name: await rig.accounts(ACCOUNTS, ends=began + life) for name, life in lives.items()}
    rig.judge.set(down=True)
    living, ended = Tally(), Tally()
    warned = 0
    while clock.now() < began + OUTAGE:
        clock.set(clock.offset + STEP)
        await asyncio.sleep(0.12)
        for name, life in lives.items():
            alive = clock.now() < began + life - 1
            tally = living if alive else ended
            await rig.read_all(groups[name] if alive else groups[name][:3], tally)
    warned = living.warned
    during = rig.judge.report()
    rig.judge.set(down=False)
    back = clock.now()
    everybody, recovered, renewed_after = [user for group in groups.values() for user in group], Counter[str](), 0.0
    needed = [*groups["due"], *groups["ending"]]
    while rig.judge.report()["rotations"] < len(needed) and clock.now() < back + 1800:
        clock.set(clock.offset + STEP)
        await asyncio.sleep(0.12)
        alive = [name for name, life in lives.items() if clock.now() < began + life - 1]
        for name in alive:
            await rig.read_all(groups[name], living)
        renewed_after = clock.now() - back
    await asyncio.sleep(0.5)
    final = Tally()
    tokens = await rig.read_all(everybody, final)
    report, works = rig.judge.report(), rig.judge.work([token or "" for token in tokens])
    recovered.update("yes" if item else "no" for item in works)
    # The breaker is closed: what comes due now is renewed as fast as ever.
    again = await rig.accounts(ACCOUNTS, ends=clock.now() + 200)
    clock.set(clock.offset + 175)
    await asyncio.sleep(1.5)
    swept = rig.judge.report()["rotations"] - report["rotations"]
    figures.tell(
        outage_seconds=OUTAGE,
        accounts=len(everybody),
        reads_with_life_left=living.answers.total(),
        failed_reads=len(living.failures) + living.unanswered + len(living.inactive),
        warned_reads=warned,
        reads_of_ended_tokens=ended.answers.total(),
        turned_away_at_the_provider=during["turned_away"],
        seconds_until_all_renewed=round(renewed_after),
        not_recovered=recovered["no"],
        double_refreshes=len([times for times in report["presented_again"].values() if times > 1]),
        swept_after_the_breaker_closed=swept,
        released_without_entry=sum(rig.released_without_entry(tally) for tally in (living, ended, final)),
    )
    assert (living.failures, living.unanswered, living.inactive) == ([], 0, {})
    assert warned > 0
    assert set(ended.answers) == {503}, "one whose token has ended is told to come again"
    assert recovered == {"yes": len(everybody)}, rig.ended()
    assert report["presented_again"] == {}
    assert during["turned_away"] <= 3 * len(needed)
    assert renewed_after <= LONGEST_REST + 2 * STEP + 900
    assert swept >= len(again)
    assert figures.values["released_without_entry"] == 0
