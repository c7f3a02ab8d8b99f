"""Widget tokens, and the origins they may be used from."""

import base64
import json

import pytest
from workos import ConflictError, UnprocessableEntityError

from tests.conformance.app import App
from tests.conformance.report import proves
from tests.conformance.sdk import Sdk, everything


@proves("widgets.create_token")
async def test_a_widget_token_is_for_one_user_and_says_what_it_may_do(app: App, sdk: Sdk) -> None:
    user, organization = app.new("user"), app.new("org")
    await app.member(organization, user)

    plain = await sdk.widgets.create_token(user_id=user)
    scoped = await sdk.widgets.create_token(user_id=user, organization_id=organization, scopes=["widgets:pipes:manage"])

    def claims(token: str) -> dict[str, object]:
        payload = token.split(".")[1]
        return dict(json.loads(base64.b64decode(payload + "=" * (-len(payload) % 4), validate=True)))

    assert (claims(plain.token)["sub"], claims(plain.token)["permissions"]) == (user, [])
    told = claims(scoped.token)
    assert (told["org_id"], told["permissions"]) == (organization, ["widgets:pipes:manage"])
    for wrong in ({"user_id": user, "scopes": ["widgets:pipes:manage"]}, {"organization_id": organization}):
        with pytest.raises(UnprocessableEntityError):
            await sdk.widgets.create_token(**wrong)


@proves("user_management.list_cors_origins", "user_management.create_cors_origin")
async def test_cors_origins_are_registered_and_listed_over_pages(app: App, sdk: Sdk) -> None:
    names = [app.new("site").replace("_", "-") for _ in range(3)]
    made = [await sdk.user_management.create_cors_origin(origin=f"https://{name}.example/") for name in names]
    assert [item.origin for item in made] == [f"https://{name}.example" for name in names]
    with pytest.raises(ConflictError):
        await sdk.user_management.create_cors_origin(origin=made[0].origin)
    with pytest.raises(UnprocessableEntityError):
        await sdk.user_management.create_cors_origin(origin="https://a.example/path")
    page = await sdk.user_management.list_cors_origins(limit=2)
    assert page.has_more()
    assert [item.id for item in await everything(page, most=3)] == [item.id for item in made[::-1]]
