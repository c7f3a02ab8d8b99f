"""Our records as this wire's messages."""

from typing import Any

from holdfast import ids
from holdfast.accounts import Account
from holdfast.api.scalekit.descriptors import Message, message
from holdfast.api.scalekit.finding import Found
from holdfast.api.scalekit.naming import ACCOUNT, CONNECTION, STATUS, account_kind, provider_key
from holdfast.secret import Secret
from holdfast.tokens import Live
from holdfast.tokens.read import shown_config


def connected_account(found: Found, secret: Secret | None = None) -> Message:
    """Render an account; with `secret`, its credential too. Unknown times stay unset."""
    account, connection = found.account, found.effective.connection
    return message(
        "connected_accounts.ConnectedAccount",
        id=ids.with_prefix(ACCOUNT, account.id),
        identifier=account.owner.user_id or account.owner.organization_id,
        provider=provider_key(connection.provider_slug),
        status=STATUS[account.status],
        authorization_type=account_kind(account.method, found.effective.provider),
        authorization_details=None if secret is None else _details(account, secret),
        token_expires_at=timestamp(account.expires_at),
        updated_at=timestamp(account.updated_at),
        connector=connection.name,
        connection_id=ids.with_prefix(CONNECTION, connection.id),
        api_config=shown_config(found.effective, account) or None,
        is_org_wide_credential=account.owner.kind == "organization",
    )


def live_account(connector: str, identifier: str, live: Live) -> Message:
    """Render an account that a plain read has found, as `connected_account` does with its token."""
    return message(
        "connected_accounts.ConnectedAccount",
        id=ids.with_prefix(ACCOUNT, live.account_id),
        identifier=identifier,
        provider=provider_key(live.provider.slug),
        status="ACTIVE",
        authorization_type="OAUTH",
        authorization_details={"oauth_token": {"access_token": live.secret.reveal(), "scopes": live.scopes}},
        token_expires_at=timestamp(live.expires_at),
        updated_at=timestamp(live.updated_at),
        connector=connector,
        connection_id=ids.with_prefix(CONNECTION, live.connection_id),
    )


def listed_account(found: Found) -> Message:
    """Render an account as lists show it."""
    account, connection = found.account, found.effective.connection
    return message(
        "connected_accounts.ConnectedAccountForList",
        id=ids.with_prefix(ACCOUNT, account.id),
        identifier=account.owner.user_id or account.owner.organization_id,
        provider=provider_key(connection.provider_slug),
        status=STATUS[account.status],
        authorization_type=account_kind(account.method, found.effective.provider),
        token_expires_at=timestamp(account.expires_at),
        updated_at=timestamp(account.updated_at),
        connector=connection.name,
        connection_id=ids.with_prefix(CONNECTION, connection.id),
        is_org_wide_credential=account.owner.kind == "organization",
    )


def timestamp(at: float | None) -> dict[str, int] | None:
    """Return a Timestamp's fields."""
    if at is None:
        return None
    seconds = int(at // 1)
    return {"seconds": seconds, "nanos": int((at - seconds) * 1e6) * 1000}


def _details(account: Account, secret: Secret) -> dict[str, Any]:
    """Return AuthorizationDetails. The refresh token stays here: of two who hold it, rotation makes one the loser."""
    if account.method == "api_key":
        return {"static_auth": {"details": {"api_key": secret.reveal()}}}
    return {"oauth_token": {"access_token": secret.reveal(), "scopes": list(account.scopes)}}
