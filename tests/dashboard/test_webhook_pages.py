"""Webhook endpoints made, changed and watched by clicking; deliveries to a real receiver."""

import asyncio
import html
import re
from pathlib import Path

from holdfast.access.administrators import Role
from holdfast.events import Action
from holdfast.events import store as log
from holdfast.webhooks import store
from tests.dashboard.desk import Desk, desk, desk_on, words
from tests.parts.browser import Page
from tests.webhooks.receiver import Receiver, never
from tests.webhooks.told import told

__all__ = ["desk"]


async def _made(desk: Desk, url: str, dialect: str = "workos", events: list[str] | None = None) -> str:
    form = await desk.get(f"webhooks/new?dialect={dialect}")
    ticked = events or re.findall(r'name="event" value="([^"]+)" checked', form.text)
    page = await desk.send(form, "webhooks/new", dialect=dialect, url=url, event=ticked)
    assert page.status == 200, page.shown()
    return page.url.rpartition("/")[2].partition("?")[0]


async def test_an_endpoint_is_made_with_the_events_that_are_ticked(desk: Desk) -> None:
    made = await _made(desk, "https://app.example.com/a", "scalekit", ["connected_account.created"])
    endpoint = await desk.holdfast.database.transact(lambda tx: store.get(tx, desk.holdfast.environment.id, made))
    assert endpoint is not None
    assert (endpoint.dialect, endpoint.events) == ("scalekit", ("connected_account.created",))
    assert "https://app.example.com/a" in words(await desk.get("webhooks"))


async def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_stays(desk: Desk) -> None:
    form = await desk.get("webhooks/new")
    page = await desk.send(
        form,
        "webhooks/new",
        dialect="workos",
        url="http://app.example.com/x",
        event=["pipes.connected_account.connected"],
    )
    assert page.status == 422
    assert 'id="url-problem"' in page.text
    assert 'value="http://app.example.com/x"' in page.text
    assert page.text.count(" checked") == 1
    page = await desk.send(form, "webhooks/new", dialect="workos", url="https://app.example.com/x")
    assert 'id="event-problem"' in page.text
    page = await desk.send(form, "webhooks/new", dialect="workos", url="https://app.example.com/x", event="made.up")
    assert page.status == 422


async def test_an_address_is_taken_once(desk: Desk) -> None:
    await _made(desk, "https://app.example.com/twice")
    form = await desk.get("webhooks/new")
    names = re.findall(r'name="event" value="([^"]+)"', form.text)
    page = await desk.send(form, "webhooks/new", dialect="workos", url="https://app.example.com/twice", event=names)
    assert page.status == 409
    assert 'id="url-problem"' in page.text


async def test_the_secret_is_shown_when_asked_for_and_to_whom_is_on_record(desk: Desk) -> None:
    made = await _made(desk, "https://app.example.com/secret")
    page = await desk.get(f"webhooks/{made}")
    assert "whsec_" not in page.text
    shown = await desk.send(page, f"webhooks/{made}/secret")
    [first] = set(re.findall(r"whsec_\w+", shown.text))
    rotated = await desk.send(shown, f"webhooks/{made}/rotate")
    both = set(re.findall(r"whsec_\w+", rotated.text))
    assert first in both
    assert len(both) == 2
    told = [
        entry for entry in await desk.entries(Action.WEBHOOK_ENDPOINT_CHANGED) if entry.data["url"].endswith("secret")
    ]
    assert [entry.data["what"] for entry in told] == ["created", "secret_shown", "secret_rotated", "secret_shown"]
    assert {entry.actor.kind for entry in told} == {"administrator"}


async def test_a_developer_sees_no_secret_and_a_viewer_changes_nothing(desk: Desk) -> None:
    made = await _made(desk, "https://app.example.com/roles")
    developer, viewer = await desk.as_role(Role.DEVELOPER), await desk.as_role(Role.VIEWER)
    page = await developer.get(f"webhooks/{made}")
    assert "Show it" not in page.text
    assert (await developer.send(page, f"webhooks/{made}/secret")).status == 403
    page = await viewer.get(f"webhooks/{made}")
    assert page.status == 200
    for act in ("", "/disable", "/rotate", "/replay", "/delete"):
        assert (await viewer.send(page, f"webhooks/{made}{act}", url="https://x.example")).status == 403


async def test_switching_off_and_deleting(desk: Desk) -> None:
    made = await _made(desk, "https://app.example.com/off")
    page = await desk.get(f"webhooks/{made}")
    assert "There was none to send again" in words(await desk.send(page, f"webhooks/{made}/replay"))
    page = await desk.send(page, f"webhooks/{made}/disable")
    assert "Enable" in words(page)
    page = await desk.send(page, f"webhooks/{made}/replay")
    assert page.status == 409
    assert words(page).startswith("this endpoint is disabled: enable it first Webhooks"), "on the endpoint's own page"
    page = await desk.send(
        page, f"webhooks/{made}", url="https://app.example.com/on", event="pipes.connected_account.connected"
    )
    assert "https://app.example.com/on" in words(page)
    page = await desk.send(page, f"webhooks/{made}/delete")
    assert "app.example.com/on" not in words(page)
    assert (await desk.get(f"webhooks/{made}")).status == 404


async def test_a_delivery_is_shown_as_it_was_sent_with_its_answer_and_can_be_sent_again(tmp_path: Path) -> None:
    receiver = await Receiver(verify=(), trouble=never).start()
    async with desk_on(tmp_path, delivery_interval=0.05, delivery_retries="0.1") as desk:
        made = await _made(desk, receiver.url)
        environment_id = desk.holdfast.environment.id
        await desk.holdfast.database.transact(lambda tx: log.append(tx, told(environment_id)))
        page = await _until(desk, made, "dead")
        [sent] = set(receiver.bodies)
        assert sent.decode() in html.unescape(page.text)
        assert "not today" in page.text
        receiver.trouble = None
        delivery = re.search(rf"webhooks/{made}/deliveries/(\w+)/replay", page.text)
        assert delivery
        await desk.send(page, f"webhooks/{made}/deliveries/{delivery[1]}/replay")
        await _until(desk, made, "delivered")
        figures = await desk.holdfast.database.transact(lambda tx: store.figures(tx, environment_id, made))
        assert figures == (1, 2, 1)
    await receiver.stop()


async def _until(desk: Desk, made: str, status: str) -> Page:
    for _ in range(100):
        page = await desk.get(f"webhooks/{made}?status={status}")
        if "/replay" in page.text.partition('id="deliveries"')[2].partition("</section>")[0]:
            return page
        await asyncio.sleep(0.05)
    raise AssertionError(page.shown())
