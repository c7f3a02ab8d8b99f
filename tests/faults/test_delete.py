"""An account is deleted while its refresh is at the provider."""

import asyncio
from collections.abc import Callable

from tests.faults.figures import Figures, form
from tests.faults.rig import Rig, Tally, until

ACCOUNTS = form(8, 200)


async def test_delete_during_refresh(rigs: Callable[..., Rig], figures: Figures) -> None:
    """The deletion wins, and what was minted meanwhile is ended at the provider (RFC 7009)."""
    rig, tally = rigs(env={"HOLDFAST_OUTBOUND_TIMEOUT": "30", "HOLDFAST_LEASE_SECONDS": "61"}), Tally()
    users = await rig.accounts(ACCOUNTS, left=0.3)
    rig.judge.set(hold=True)
    await asyncio.sleep(0.4)
    async with asyncio.TaskGroup() as group:
        for start in range(0, ACCOUNTS, 8):
            group.create_task(rig.read_all(users[start : start + 8], tally))
        await until("not all are at the provider", lambda: rig.judge.report()["rotations"] == ACCOUNTS)
        for user in users:
            path = f"/user_management/users/{user}/connected_accounts/{rig.slug}"
            assert (await asyncio.to_thread(rig.app.call, "DELETE", path)).status_code in (200, 204)
        rig.judge.set(hold=False)
    await until("not revoked", lambda: len(rig.judge.report()["revoked"]) >= ACCOUNTS, 10)
    report = rig.judge.report()
    left = int(rig.rows("SELECT count(*) FROM accounts")[0][0])
    figures.tell(
        accounts=ACCOUNTS,
        left_after_deletion=left,
        tokens_released=len(tally.given),
        minted_meanwhile=report["rotations"],
        revoked_at_the_provider=len(set(report["revoked"])),
        double_refreshes=len(report["presented_again"]),
    )
    assert (left, tally.given) == (0, {})
    assert set(tally.inactive.values()) == {"not_installed"}
    assert len(set(report["revoked"])) == report["rotations"] == ACCOUNTS
    assert not report["presented_again"]
