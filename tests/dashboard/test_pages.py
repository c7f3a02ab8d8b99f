"""The pages over plain HTTP, as they are without scripts: what they say, what they never say, and their mistakes."""

import asyncio
import csv
import io
import re

import msgspec

from holdfast.access import store as access_store
from holdfast.accounts import Status
from tests.dashboard.conftest import ACCESS, REFRESH, Place
from tests.dashboard.person import Person

E = "/dashboard/default"
MOST_BYTES = 100_000


async def _status(place: Place, account_id: str) -> Status:
    account, _ = await place.holdfast.keeping.get(place.holdfast.environment.id, account_id)
    return account.status


async def test_no_page_holds_a_secret_or_is_larger_than_100_kb(place: Place, owner: Person) -> None:
    account = await place.account("user_secret")
    assert place.holdfast.sandbox is not None
    secrets = [ACCESS, REFRESH, place.holdfast.sandbox.client_secret.reveal()]
    pages = [
        "",
        "/accounts",
        f"/accounts/{account.id}",
        f"/accounts/{account.id}/delete",
        "/accounts/new",
        "/activity",
        f"/accounts/new/{place.connection.id}",
        "/activity/export.jsonl",
        "/activity/export.csv",
        "/keys",
        "/people",
        f"/connections/{place.connection.id}",
        "/connections",
        "/providers/sandbox",
        "/me",
    ]
    for path in [*(E + page for page in pages), "/dashboard/environments"]:
        reply = await owner.get(path)
        assert reply.status_code == 200, path
        assert "no-store" in reply.headers["cache-control"], path
        assert not [secret for secret in secrets if secret in reply.text], path
        assert len(reply.content) < MOST_BYTES or "export" in path, path


async def test_the_list_is_filtered_and_keeps_the_filters_on_its_way(place: Place, owner: Person) -> None:
    for n in range(3):
        await place.account(f"user_listed_{n}")
    assert (await owner.get(f"{E}/accounts?q=LISTED_1")).text.count("user_listed_") >= 1
    alone = (await owner.get(f"{E}/accounts?owner=user_listed_2&status=active&connection={place.connection.id}")).text
    assert "user_listed_2" in alone
    assert "user_listed_1" not in alone
    assert "No account fits" in (await owner.get(f"{E}/accounts?status=error")).text
    assert (await owner.get(f"{E}/accounts?status=nonsense&after=xyz&connection=nothing")).status_code == 200


async def test_labels_are_changed_and_a_mistake_stands_beside_its_field_with_what_was_typed(
    place: Place, owner: Person
) -> None:
    account = await place.account("user_labels", metadata={"plan": "free", "old": "1"})
    path = f"{E}/accounts/{account.id}"
    wrong = await owner.post(f"{path}/labels", {"metadata": "plan=pro\nnonsense", "api_config": '{"version": "1"}'})
    assert wrong.status_code in (400, 422)
    assert re.search(r'id="metadata-problem">[^<]*line 2', wrong.text)
    assert "plan=pro\nnonsense" in wrong.text
    broken = await owner.post(f"{path}/labels", {"metadata": "plan=pro", "api_config": "{not json"})
    assert 'id="api_config-problem"' in broken.text
    assert "{not json" in broken.text
    long = await owner.post(f"{path}/labels", {"metadata": "plan=" + "x" * 600, "api_config": ""})
    assert 'id="metadata-problem"' in long.text
    fine = await owner.post(f"{path}/labels", {"metadata": "plan = pro\n", "api_config": '{"domain": "eu"}'})
    assert fine.headers["location"] == f"{path}?did=saved"
    kept, _ = await place.holdfast.keeping.get(place.holdfast.environment.id, account.id)
    assert kept.metadata == {"plan": "pro"}
    assert kept.api_config == {"domain": "eu"}


async def test_an_account_is_suspended_resumed_disconnected_and_deleted(place: Place, owner: Person) -> None:
    account = await place.account("user_acts")
    path = f"{E}/accounts/{account.id}"
    assert (await owner.post(f"{path}/suspend", {"why": "an audit"})).headers["location"].endswith("?did=suspended")
    page = (await owner.get(path)).text
    assert "an audit" in page
    assert "It is paused" in page
    assert "Ada Lovelace suspended the account" in page
    await owner.post(f"{path}/resume")
    assert await _status(place, account.id) is Status.ACTIVE
    await owner.post(f"{path}/disconnect")
    assert await _status(place, account.id) is Status.REVOKED
    assert "An administrator has disconnected it" in (await owner.get(path)).text
    assert (await owner.post(f"{path}/suspend")).status_code == 409
    assert (await owner.post(f"{path}/delete")).headers["location"] == f"{E}/accounts?did=deleted"
    assert (await owner.get(path)).status_code == 404


async def test_a_refresh_that_is_refused_says_what_to_do(place: Place, owner: Person) -> None:
    account = await place.account("user_refresh")  # with a token that the sandbox has never issued
    reply = await owner.post(f"{E}/accounts/{account.id}/refresh")
    assert reply.status_code == 422
    assert 'role="alert"' in reply.text
    assert "Its owner has to connect it again" in reply.text
    assert await _status(place, account.id) is Status.EXPIRED
    assert "Ada Lovelace could not refresh the token" in reply.text
    assert "Refresh now" not in reply.text, "what is over is not asked about again"
    again = await owner.post(f"{E}/accounts/{account.id}/refresh")
    assert again.status_code == 422
    assert 'role="alert"' in again.text


async def test_a_link_is_on_one_answer_and_in_no_address(place: Place, owner: Person, viewer: Person) -> None:
    new = f"{E}/accounts/new/{place.connection.id}"
    nothing = await owner.post(new, {"identifier": ""})
    assert nothing.status_code == 422
    assert 'id="identifier-problem"' in nothing.text
    reply = await owner.post(new, {"identifier": "user_linked", "organization": "org_9"})
    assert reply.status_code == 200
    link = re.search(r"/connect/links/(\w{40,})", reply.text)
    live = re.search(r'data-live="([^"]+)"', reply.text)
    assert link is not None
    assert live is not None
    assert link[1] not in live[1]
    part = await owner.get(live[1], {"x-live": "1"})
    assert "Pending" in part.text
    assert link[1] not in part.text
    assert link[1] not in (await owner.get(f"{E}/activity")).text
    again = await owner.post(new, {"identifier": "user_linked", "organization": "org_9"})
    assert again.status_code == 200  # the account that is there, and a new link
    assert (await viewer.post(new, {"identifier": "user_x"})).status_code == 403


async def test_many_are_asked_about_then_done_and_watched(place: Place, owner: Person) -> None:
    accounts = [await place.account(f"user_many_{n}") for n in range(3)]
    nobody = await owner.post(f"{E}/accounts/many", {"act": "suspend", "q": "user_many_"})
    assert nobody.status_code == 422
    assert 'id="chosen-problem"' in nobody.text
    assert 'value="user_many_"' in nobody.text
    assert nobody.text.count('name="account"') == 3
    everything = await owner.post(f"{E}/accounts/many", {"act": "delete", "all": "1"})
    assert everything.status_code == 422  # no filter: not offered
    asked = await owner.post(f"{E}/accounts/many", {"act": "suspend", "all": "1", "q": "user_many_"})
    assert "user_many_2" in asked.text
    assert [await _status(place, one.id) for one in accounts] == [Status.ACTIVE] * 3
    through = await owner.post(
        f"{E}/accounts/many", {"act": "suspend", "all": "1", "connection": place.connection.id, "status": "active"}
    )
    assert "status <strong>active</strong>, connection <strong>sandbox</strong>" in " ".join(through.text.split())
    begun = await owner.post(f"{E}/accounts/many/begin", {"act": "suspend", "all": "1", "q": "user_many_"})
    for _ in range(100):
        part = (await owner.get(begun.headers["location"], {"x-live": "1"})).text
        if "data-live" not in part:
            break
        await asyncio.sleep(0.05)
    assert "Done" in part
    assert [await _status(place, one.id) for one in accounts] == [Status.SUSPENDED] * 3
    chosen: dict[str, str | list[str]] = {"act": "delete", "account": [accounts[0].id, accounts[1].id, "nonsense"]}
    assert "Delete 2 accounts?" in (await owner.post(f"{E}/accounts/many", chosen)).text


async def test_the_log_is_taken_away_as_csv_and_json_lines_by_the_same_filters(place: Place, owner: Person) -> None:
    account = await place.account("user_export", metadata={"a": "b"})
    await place.holdfast.keeping.suspend(
        place.holdfast.environment.id, account.id, place.owner.actor(), why="=HYPERLINK(1)"
    )
    rows = list(csv.DictReader(io.StringIO((await owner.get(f"{E}/activity/export.csv?account={account.id}")).text)))
    assert [row["action"] for row in rows] == ["account.suspended", "account.connected"]
    assert rows[0]["who"] == "Ada Lovelace"
    assert not [cell for row in rows for cell in row.values() if cell[:1] in "=+-@" and cell]
    text = (await owner.get(f"{E}/activity/export.jsonl?account={account.id}&actor=administrator")).text
    lines = [msgspec.json.decode(line) for line in text.splitlines()]
    assert [line["action"] for line in lines] == ["account.suspended", "account.connected"]
    assert lines[0]["data"]["detail"] == "=HYPERLINK(1)"


async def test_a_time_that_is_none_is_told_beside_its_field(owner: Person) -> None:
    reply = await owner.get(f"{E}/activity?since=yesterday")
    assert reply.status_code == 422
    assert 'id="since-problem"' in reply.text
    assert 'value="yesterday"' in reply.text
    assert (await owner.get(f"{E}/activity/export.csv?since=yesterday")).status_code == 422


async def test_what_administrators_do_is_shown_to_those_who_may_see_people(owner: Person, viewer: Person) -> None:
    assert "signed in by test" in (await owner.get(f"{E}/activity?group=people")).text
    assert (await viewer.get(f"{E}/activity?group=people")).status_code == 403
    assert (await viewer.get(f"{E}/activity/export.csv?group=people")).status_code == 403


async def test_an_owner_makes_an_environment_and_it_is_apart(place: Place, owner: Person) -> None:
    for name in ("Two Words", "environments", "", "default", "-x"):
        reply = await owner.post("/dashboard/environments", {"name": name})
        assert reply.status_code in (409, 422), name
        assert 'id="name-problem"' in reply.text, name
    made = await owner.post("/dashboard/environments", {"name": "staging"})
    assert made.headers["location"] == "/dashboard/staging?did=made"
    page = (await owner.get("/dashboard/staging")).text
    assert "First steps" in page
    assert "Ada Lovelace made this environment" in page
    account = await place.account("user_apart")
    assert (await owner.get(f"/dashboard/staging/accounts/{account.id}")).status_code == 404
    names = [one.name for one in await place.holdfast.database.transact(access_store.list_environments)]
    assert names == ["default", "staging"]


async def test_the_first_steps_tick_themselves(place: Place, owner: Person) -> None:
    page = (await owner.get("/dashboard/default")).text
    assert page.count('class="ticked"') in (0, 2, 3)  # gone, once there are many accounts
    assert "What happened last" in page


async def test_an_address_with_a_zero_byte_is_one_where_nothing_is(place: Place, owner: Person) -> None:
    for path in ("/dashboard/a%00b", f"{E}/accounts/%00", f"{E}/accounts?q=a%00b", f"{E}/activity?user=%00"):
        assert (await owner.get(path)).status_code == 404, path
