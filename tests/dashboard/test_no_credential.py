"""Pages of a connection whose provider asks for no credential: nothing to enter, nothing to link to."""

from holdfast.accounts import Given, Keeping, Owner
from holdfast.connections.changes import NewConnection
from holdfast.events import Actor
from holdfast.providers.entry import Api, Provider
from tests.dashboard.desk import Desk, sqlite_desk, words

__all__ = ["sqlite_desk"]


async def test_its_pages_ask_for_nothing_and_offer_no_link(sqlite_desk: Desk) -> None:
    desk, held = sqlite_desk, sqlite_desk.holdfast
    entry = Provider(slug="open", name="Open", auth="custom", custom=True, api=Api(base_url="https://o.example"))
    new = NewConnection(provider_slug="open", method="none", enabled=True, definition=entry)
    made = await held.connections.create(held.environment.id, new, Actor.system())
    account = await Keeping(held.accounts).create(
        held.environment.id, "open", Owner.user("ada"), Given(), Actor.system()
    )
    for path, said in (
        ("connections/new/open", "asks for no credential"),
        (f"connections/{made.id}", "no credential"),
        (f"accounts/{account.id}", "no credential"),
        ("providers/open", "no credential"),
        ("connections", "Open"),
        ("accounts", "ada"),
    ):
        page = await desk.get(path)
        assert page.status == 200 and said in words(page), path
    page = await desk.get(f"accounts/{account.id}")
    assert "Make a link" not in words(page) and "Connect again" not in words(page)
