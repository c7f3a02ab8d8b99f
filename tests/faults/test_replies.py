"""The provider has acted, and its answer does not come: the connection is cut, or it says 503."""

import asyncio
from collections.abc import Callable

import pytest

from tests.faults.figures import Figures, form
from tests.faults.rig import GRACE, GRACE_SECONDS, STRICT, Rig, Tally

ACCOUNTS = form(20, 1000)


@pytest.mark.parametrize(
    ("kind", "what"),
    [("grace", "lose"), ("strict", "fail"), *form([], [("grace", "fail"), ("strict", "lose")])],
)
async def test_lost_reply(kind: str, what: str, rigs: Callable[..., Rig], figures: Figures) -> None:
    rig, tally = rigs(slug=GRACE if kind == "grace" else STRICT), Tally()
    users = await rig.accounts(ACCOUNTS, left=1800)
    rig.judge.set(**{what: ACCOUNTS // 2}, access_lifetime=1800, grace=GRACE_SECONDS if kind == "grace" else 0)
    first = await rig.read_all(users, tally, min_ttl=3600)
    served, warned = sum(token is not None for token in first), tally.warned
    tokens: dict[str, str] = {}
    for _ in range(3):  # the retry time of a first failure is at most 2 s away
        await asyncio.sleep(1.1)
        left = [user for user in users if user not in tally.inactive]
        found = await rig.read_all(left, tally, min_ttl=3600)
        tokens = {user: token for user, token in zip(left, found, strict=True) if token}
    report, ended, told = rig.judge.report(), rig.ended(), rig.announced()
    works = dict(zip(tokens, rig.judge.work(list(tokens.values())), strict=True))
    lost = [user for user in users if not works.get(user)]
    announced = [user for user in lost if ended.get(user) == ("expired", "rotation_lost") and user in told]
    unresolved = {row[0] for row in rig.rows("SELECT user_id FROM entries WHERE action = 'token.refresh_unresolved'")}
    figures.tell(
        accounts=len(users),
        answers_lost=ACCOUNTS // 2,
        served_meanwhile=served,
        warned=warned,
        logged_unresolved=len(unresolved),
        replayed_in_grace=report["replayed"],
        tried_once_more=len(report["presented_again"]),
        double_refreshes=sum(times > 2 for times in report["presented_again"].values()),
        lost_announced=len(announced),
        lost_silently=len(lost) - len(announced),
        released_without_entry=rig.released_without_entry(tally),
    )
    assert served == len(users), "a token that lives is served meanwhile"
    assert len(lost) == len(announced)
    assert len(announced) == (0 if kind == "grace" else ACCOUNTS // 2)
    assert len(unresolved) == ACCOUNTS // 2
    assert figures.values["double_refreshes"] == figures.values["released_without_entry"] == 0
    if kind == "grace":
        assert (report["presented_again"], report["replayed"]) == ({}, ACCOUNTS // 2)
