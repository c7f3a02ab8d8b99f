"""Our records as this wire's messages."""

from collections.abc import Mapping
from typing import Any

from holdfast import ids
from holdfast.accounts import Account, Status, missing_scopes
from holdfast.accounts.credential import PRINCIPAL
from holdfast.api.scalekit.descriptors import Message, message
from holdfast.api.scalekit.finding import Found
from holdfast.api.scalekit.naming import ACCOUNT, CONNECTION, DELEGATED, STATUS, account_kind, provider_key
from holdfast.secret import Secret
from holdfast.tokens import Live
from holdfast.tokens.policy import missing_required
from holdfast.tokens.read import shown_config


def connected_account(
    found: Found,
    secret: Secret | None = None,
    *,
    typed: Mapping[str, Any] | None = None,
    principal: bool = False,
    last_used: float | None = None,
) -> Message:
    """Render an account. Unknown times stay unset. Its credential is shown if it is given: the token that was vended as
    `secret`, what was typed in or brought as fields as `typed`; or with `principal`, whom it acts for, no secret."""
    account, connection = found.account, found.effective.connection
    return message(
        "connected_accounts.ConnectedAccount",
        id=ids.with_prefix(ACCOUNT, account.id),
        identifier=account.owner.user_id or account.owner.organization_id,
        provider=provider_key(connection.provider_slug),
        status=status_of(found),
        authorization_type=account_kind(account.method, found.effective.provider),
        authorization_details=_details(account, secret, typed, principal=principal),
        token_expires_at=timestamp(account.expires_at),
        updated_at=timestamp(account.updated_at),
        connector=connection.name,
        last_used_at=timestamp(last_used),
        connection_id=ids.with_prefix(CONNECTION, connection.id),
        api_config={**shown_config(found.effective, account), **account.api_config} or None,
        is_org_wide_credential=account.owner.kind == "organization",
    )


def live_account(connector: str, identifier: str, live: Live, last_used: float) -> Message:
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
        last_used_at=timestamp(last_used),
        connection_id=ids.with_prefix(CONNECTION, live.connection_id),
    )


def listed_account(found: Found, last_used: float | None = None) -> Message:
    """Render an account as lists show it."""
    account, connection = found.account, found.effective.connection
    return message(
        "connected_accounts.ConnectedAccountForList",
        id=ids.with_prefix(ACCOUNT, account.id),
        identifier=account.owner.user_id or account.owner.organization_id,
        provider=provider_key(connection.provider_slug),
        status=status_of(found),
        authorization_type=account_kind(account.method, found.effective.provider),
        token_expires_at=timestamp(account.expires_at),
        updated_at=timestamp(account.updated_at),
        connector=connection.name,
        last_used_at=timestamp(last_used),
        connection_id=ids.with_prefix(CONNECTION, connection.id),
        is_org_wide_credential=account.owner.kind == "organization",
    )


def status_of(found: Found) -> str:
    """Return the ConnectorStatus. An account that lacks one of its connection's required scopes has to be authorised
    again, whatever its token is good for."""
    account, effective = found.account, found.effective
    required = effective.connection.required_scopes
    if account.status is Status.ACTIVE and missing_required(account, required, missing_scopes(effective, account)):
        return STATUS[Status.EXPIRED]
    return STATUS[account.status]


def timestamp(at: float | None) -> dict[str, int] | None:
    """Return a Timestamp's fields."""
    if at is None:
        return None
    seconds = int(at // 1)
    return {"seconds": seconds, "nanos": int((at - seconds) * 1e6) * 1000}


def _details(
    account: Account, secret: Secret | None, typed: Mapping[str, Any] | None, *, principal: bool
) -> dict[str, Any] | None:
    """Return AuthorizationDetails. The refresh token stays here: of two who hold it, rotation makes one the loser."""
    if principal and account.method == "delegated":
        return {DELEGATED: {"subject": account.kept.get(PRINCIPAL, "")}}
    if principal and account.method == "trusted_idp":
        return {"trusted_idp": {"db_user": account.kept.get(PRINCIPAL, "")}}
    if typed is not None:
        return {"static_auth": {"details": dict(typed)}}
    if secret is None:
        return None
    return {"oauth_token": {"access_token": secret.reveal(), "scopes": list(account.scopes)}}
