"""Everything that fills pages, and the addresses of all pages by the route that answers them."""

from dataclasses import dataclass

from holdfast.access.administrators import Administrator, Role
from holdfast.accounts import Given, OAuthCredential, Owner
from holdfast.accounts.account import Account
from holdfast.accounts.store import Listing
from holdfast.app import Holdfast
from holdfast.approvals import ApprovalRequired, Call
from holdfast.authorization import LinkFor
from holdfast.connections.changes import NewConnection
from holdfast.events import Actor
from holdfast.providers.entry import Provider
from holdfast.secret import Secret
from tests.dashboard.conftest import connect_sandbox
from tests.dashboard.person import owner_of

BASE = "/dashboard/default"
_IN = "/dashboard/{environment}"


@dataclass(frozen=True)
class Furnished:
    session: str
    """An owner's, for the cookie."""
    dashboard: dict[str, list[str]]
    """By route: the addresses to look at, each in another state."""
    connect: dict[str, list[str]]
    """Of the end user's pages."""


async def furnish(holdfast: Holdfast) -> Furnished:
    owner = await owner_of(holdfast)
    session, welcome = await holdfast.signing_in.admit(owner, "test"), await _invitation(holdfast, owner)
    environment = holdfast.environment.id
    connection = await connect_sandbox(holdfast, owner)
    key_provider = Provider(slug="ledger", name="Ledger", auth="api_key", custom=True)
    await holdfast.definitions.define(environment, key_provider, {}, owner.actor())
    ledger = await holdfast.connections.create(
        environment,
        NewConnection(provider_slug="ledger", client_supply=None, method="api_key", enabled=True),
        owner.actor(),
    )
    found = {name: await _account(holdfast, owner, name, number) for number, name in enumerate(_PEOPLE)}
    ids = {name: account.id for name, account in found.items()}
    await holdfast.keeping.suspend(environment, ids["grace"], owner.actor(), why="An audit")
    await holdfast.keeping.revoke(environment, ids["edsger"], owner.actor())
    stale, _ = await holdfast.keeping.get(environment, ids["barbara"])
    await holdfast.refresher.refresh(stale, force=True)
    waiting = await holdfast.keeping.create(environment, "sandbox", Owner.user("user_new"), Given(), owner.actor())
    empty = await holdfast.keeping.create(environment, "ledger", Owner.user("user_new"), Given(), owner.actor())
    errand = await holdfast.errands.begin(environment, "suspend", Listing(account_ids=(ids["ada"],)), owner.actor())
    endpoint = await holdfast.endpoints.create(
        environment, "http://localhost:9/hook", ["pipes.connected_account.connected"], owner.actor()
    )
    asked = [await ask_for_approval(holdfast, found["ada"], number) for number in range(3)]
    await holdfast.approvals.deny(environment, asked[1], owner.actor())
    one = f"{BASE}/accounts/{ids['ada']}"
    links = [await _link(holdfast, owner, account) for account in (waiting, empty)]
    return Furnished(
        session.reveal(),
        {
            "/dashboard/sign-in": ["/dashboard/sign-in"],
            "/dashboard/welcome/{token}": [f"/dashboard/welcome/{welcome}", "/dashboard/welcome/nothing"],
            "/dashboard/environments": ["/dashboard/environments"],
            _IN: [BASE],
            f"{_IN}/accounts": [f"{BASE}/accounts", f"{BASE}/accounts?q=zzz"],
            f"{_IN}/accounts/new": [f"{BASE}/accounts/new"],
            f"{_IN}/accounts/new/{{connection}}": [
                f"{BASE}/accounts/new/{connection.id}",
                f"{BASE}/accounts/new/{ledger.id}",
            ],
            f"{_IN}/accounts/many/{{errand}}": [f"{BASE}/accounts/many/{errand.id}"],
            f"{_IN}/accounts/{{id}}": [
                *(f"{BASE}/accounts/{one}" for one in (*ids.values(), waiting.id)),
                f"{BASE}/accounts/nothing",
            ],
            f"{_IN}/accounts/{{id}}/disconnect": [f"{one}/disconnect"],
            f"{_IN}/accounts/{{id}}/delete": [f"{one}/delete"],
            f"{_IN}/activity": [f"{BASE}/activity", f"{BASE}/activity?group=reads"],
            f"{_IN}/approvals": [f"{BASE}/approvals", f"{BASE}/approvals?before=0"],
            f"{_IN}/approvals/{{id}}": [f"{BASE}/approvals/{one}" for one in asked],
            f"{_IN}/connections": [f"{BASE}/connections"],
            f"{_IN}/connections/new/{{slug}}": [
                f"{BASE}/connections/new/{slug}" for slug in ("sandbox", "microsoft", "ledger")
            ],
            f"{_IN}/connections/{{id}}": [f"{BASE}/connections/{connection.id}", f"{BASE}/connections/{ledger.id}"],
            f"{_IN}/connections/{{id}}/delete": [f"{BASE}/connections/{connection.id}/delete"],
            f"{_IN}/providers": [f"{BASE}/providers", f"{BASE}/providers?q=zzz"],
            f"{_IN}/providers/{{slug}}": [f"{BASE}/providers/google", f"{BASE}/providers/ledger"],
            f"{_IN}/providers/custom/new": [f"{BASE}/providers/custom/new"],
            f"{_IN}/providers/custom/{{slug}}/edit": [f"{BASE}/providers/custom/ledger/edit"],
            f"{_IN}/providers/custom/{{slug}}/delete": [f"{BASE}/providers/custom/ledger/delete"],
            f"{_IN}/webhooks": [f"{BASE}/webhooks"],
            f"{_IN}/webhooks/new": [f"{BASE}/webhooks/new", f"{BASE}/webhooks/new?dialect=scalekit"],
            f"{_IN}/webhooks/{{id}}": [f"{BASE}/webhooks/{endpoint.id}"],
            f"{_IN}/webhooks/{{id}}/delete": [f"{BASE}/webhooks/{endpoint.id}/delete"],
            **{
                f"{_IN}/{name}": [f"{BASE}/{name}"]
                for name in ("usage", "keys", "people", "me", "settings", "settings/branding")
            },
            "/dashboard/{rest:path}": [f"{BASE}/no/such/page"],
            "/status": ["/status"],
        },
        {
            "/connect/links/{link}": [*links, "/connect/links/nothing"],
            "/data-integrations/{link}/authorize-redirect": ["/data-integrations/nothing/authorize-redirect"],
            "/data-integrations/{name}/{key}/callback": ["/data-integrations/sandbox/nothing/callback?state=x&code=y"],
            "/connect/success": ["/connect/success"],
            "/sso/v1/oauth/{connection}/callback": [f"/sso/v1/oauth/{connection.id}/callback?error=access_denied"],
            "/pipes/redirecting": ["/pipes/redirecting"],
            "/pipes/authorize/{link}": ["/pipes/authorize/nothing"],
            "/connections/mine": ["/connections/mine"],
        },
    )


_PEOPLE = ("ada", "grace", "edsger", "barbara")


async def _account(holdfast: Holdfast, owner: Administrator, name: str, number: int) -> Account:
    tokens = OAuthCredential(
        Secret(f"at{name}"), Secret(f"rt{name}"), expires_at=holdfast.clock.now() + 3600, scopes=("read",)
    )
    whose = Owner.user(f"user_{name}", "org_1" if number % 2 else None)
    given = Given(credential=tokens, metadata={"plan": "pro"}, api_config={"version": "2"})
    return await holdfast.keeping.create(holdfast.environment.id, "sandbox", whose, given, owner.actor())


async def ask_for_approval(holdfast: Holdfast, account: Account, number: int) -> str:
    """Have a call wait for approval; every other one is long, in each of its parts."""
    many = 1 + number % 2 * 3000
    call = Call(
        environment_id=account.environment_id,
        connection_id=account.connection_id,
        connection="sandbox",
        account_id=account.id,
        user_id=account.owner.user_id,
        organization_id=account.owner.organization_id,
        actor=Actor("api_key", "gone"),
        request_id=f"prx_{number}",
        method="POST",
        host="api.sandbox.example",
        origin="https://api.sandbox.example:443",
        path="/v1/messages",
        query="q=" + "x" * many,
        shown_path="/v1/messages",
        headers=(("accept", "*/*"), ("content-type", "application/json"), ("x-note", "n" * many)),
        body=f"number {number}, ".encode() * many,
    )
    told = await holdfast.approvals.ask(call)
    assert isinstance(told, ApprovalRequired)
    return told.fields[0]["approval_id"]


async def _invitation(holdfast: Holdfast, owner: Administrator) -> str:
    _, token = await holdfast.people.invite("grace@example.com", Role.VIEWER, owner)
    return token.reveal()


async def _link(holdfast: Holdfast, owner: Administrator, account: Account) -> str:
    asked = LinkFor(environment_id=account.environment_id, actor=owner.actor(), account_id=account.id)
    return (await holdfast.links.make(asked)).url.removeprefix(holdfast.config.base_url)
