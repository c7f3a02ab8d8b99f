"""`holdfast approvals` as an operator meets it, beside a running server."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from holdfast.events import Action, Actor
from tests.cli.test_transcripts import holdfast
from tests.dashboard.desk import desk_on
from tests.dashboard.test_approvals_page import opened


def commands(data_dir: Path) -> Callable[..., Awaitable[str]]:
    async def approvals(*arguments: str, fails: bool = False) -> str:
        done = await asyncio.to_thread(holdfast, "approvals", *arguments, "--data-dir", data_dir)
        assert (done.returncode != 0) is fails, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    return approvals


async def test_an_operator_looks_at_a_call_and_approves_it_for_once(tmp_path: Path) -> None:
    async with desk_on(tmp_path) as desk:
        shop, approvals = await opened(desk, "acme"), commands(tmp_path)
        assert "POST" not in await approvals("list")
        body = "[b]hi[/b] \x1b[2J \u202eevil"
        approval = (await shop.call("/messages?draft=no", body)).json()["errors"][0]["approval_id"]

        [line] = [line for line in (await approvals("list")).splitlines() if approval in line]
        assert "/messages?draft=no" in line and "acme" in line and "agent of acme" in line and "user_acme" in line
        shown = await approvals("show", approval)
        assert shown.startswith("pending: POST ") and "[b]hi[/b] \\x1b[2J \\u202eevil" in shown
        assert "\x1b" not in shown and "\u202e" not in shown

        assert "for this one call" in await approvals("approve", approval)
        assert "x-holdfast-upstream-status" in (await shop.call("/messages?draft=no", body)).headers
        assert (await shop.call("/messages?draft=no", body)).json()["code"] == "approval_required"
        assert "made already" in await approvals("approve", approval, fails=True)
        (granted,) = await desk.entries(Action.PROXY_APPROVAL_GRANTED)
        assert granted.actor == Actor("operator")


async def test_an_operator_denies_a_call_and_takes_an_approval_back(tmp_path: Path) -> None:
    async with desk_on(tmp_path) as desk:
        shop, approvals = await opened(desk, "acme"), commands(tmp_path)
        approval = (await shop.call()).json()["errors"][0]["approval_id"]
        await approvals("approve", approval)
        assert "Denied" in await approvals("deny", approval)
        assert (await shop.call()).json()["code"] == "approval_denied"
        assert "denied already" in await approvals("deny", approval, fails=True)
        assert "no such approval" in await approvals("approve", "0" * 26, fails=True)
