"""Connected accounts, seen, imported, replaced, deleted: operations 17 to 24.

The same four calls for a user and for an organization; there the body names the acting member.
"""

from dataclasses import dataclass
from typing import Any

from msgspec import UNSET, UnsetType

from holdfast.accounts import Account, Owner, Status, select_account
from holdfast.accounts import store as account_store
from holdfast.accounts.imports import Tokens
from holdfast.api.operations import Call, Operation
from holdfast.api.workos.credentials import CredentialOperations
from holdfast.api.workos.inputs import ImportQuery, ImportTokens, OneAccountQuery
from holdfast.api.workos.naming import account_id, is_shown
from holdfast.api.workos.outputs import ConnectedAccount
from holdfast.api.workos.parts import Parts
from holdfast.api.workos.rendering import connected_account
from holdfast.clock import from_iso
from holdfast.connections import Effective
from holdfast.errors import Unprocessable
from holdfast.secret import Secret
from holdfast.storage import Connection as Tx

TAG = "Connected accounts"
_USER = "/user_management/users/{user_id}/connected_accounts/{slug}"
_ORGANIZATION = "/organizations/{organization_id}/connected_accounts/{slug}"


@dataclass(frozen=True)
class AccountOperations:
    parts: Parts

    def operations(self) -> list[Operation]:
        return [*self._of("user", _USER), *self._of("organization", _ORGANIZATION)]

    def _of(self, whose: str, path: str) -> list[Operation]:
        article = "a user's" if whose == "user" else "an organization's"
        errors = (403, 404, 409)
        return [
            Operation(
                method="GET",
                path=path,
                id=f"get_{whose}_connected_account",
                summary=f"Get {article} connected account",
                handler=self.get,
                query=OneAccountQuery,
                reply=ConnectedAccount,
                errors=errors,
                tag=TAG,
            ),
            Operation(
                method="POST",
                path=path,
                id=f"create_{whose}_connected_account",
                summary=f"Import tokens as {article} connected account",
                handler=self.create,
                query=ImportQuery,
                body=ImportTokens,
                reply=ConnectedAccount,
                status=201,
                errors=errors,
                tag=TAG,
                idempotent_key=True,
            ),
            Operation(
                method="PUT",
                path=path,
                id=f"update_{whose}_connected_account",
                summary=f"Replace tokens, scopes, labels or state of {article} connected account",
                handler=self.update,
                query=OneAccountQuery,
                body=ImportTokens,
                reply=ConnectedAccount,
                errors=errors,
                tag=TAG,
            ),
            Operation(
                method="DELETE",
                path=path,
                id=f"delete_{whose}_connected_account",
                summary=f"Delete {article} connected account and its credential",
                handler=self.delete,
                query=OneAccountQuery,
                errors=errors,
                tag=TAG,
            ),
        ]

    async def get(self, call: Call[OneAccountQuery, None]) -> ConnectedAccount:
        owner, query = _owner(call), call.query

        def work(tx: Tx) -> ConnectedAccount:
            connection = self.parts.connections.find(tx, call.environment_id, call.path["slug"], owner.kind)
            mine = account_store.of_owner(tx, call.environment_id, connection.id, owner)
            account = select_account(
                [account for account in mine if is_shown(account)],
                account_id=account_id(query.connected_account_id),
                plural=query.supports_multiple_connections,
            )
            return connected_account(account, self.parts.connections.effective(tx, connection, owner.organization_id))

        return await self.parts.database.transact(work)

    async def create(self, call: Call[ImportQuery, ImportTokens]) -> ConnectedAccount:
        owner = _owner(call)
        account = await self.parts.imports.create(
            call.environment_id,
            call.path["slug"],
            owner,
            _tokens(call.body),
            intent="add" if call.body.connection_intent == "add" else "create",
            acting_user=_acting_user(call, owner),
            actor=call.principal.actor(),
            idempotency=CredentialOperations(self.parts).idempotent_use(call),
            request_id=call.request_id,
        )
        return await self._shown(call, account)

    async def update(self, call: Call[OneAccountQuery, ImportTokens]) -> ConnectedAccount:
        owner = _owner(call)
        account = await self.parts.imports.update(
            call.environment_id,
            call.path["slug"],
            owner,
            _tokens(call.body),
            account_id=account_id(call.query.connected_account_id),
            acting_user=_acting_user(call, owner),
            actor=call.principal.actor(),
            request_id=call.request_id,
        )
        return await self._shown(call, account)

    async def delete(self, call: Call[OneAccountQuery, None]) -> None:
        query = call.query
        await self.parts.removal.disconnect(
            call.environment_id,
            call.path["slug"],
            _owner(call),
            account_id=account_id(query.connected_account_id),
            plural=query.supports_multiple_connections,
            actor=call.principal.actor(),
            request_id=call.request_id,
            revokes=False,
        )

    async def _shown(self, call: Call[Any, ImportTokens], account: Account) -> ConnectedAccount:
        def work(tx: Tx) -> Effective:
            connection = self.parts.connections.find(tx, call.environment_id, call.path["slug"], account.owner.kind)
            return self.parts.connections.effective(tx, connection, account.owner.organization_id)

        effective = await self.parts.database.transact(work)
        label_given = isinstance(call.body.account_display_name, str)
        return await CredentialOperations(self.parts).shown(account, effective, label_given=label_given)


def _owner(call: Call[Any, Any]) -> Owner:
    if "user_id" in call.path:
        return Owner.user(call.path["user_id"], call.query.organization_id)
    return Owner.organization(call.path["organization_id"])


def _acting_user(call: Call[Any, ImportTokens], owner: Owner) -> str | None:
    if owner.kind == "user":
        return None
    if call.body.user_id is None:
        raise Unprocessable(
            "user_id is required: the member who acts for the organization",
            fields=[{"field": "user_id", "code": "required"}],
        )
    return call.body.user_id


def _tokens(body: ImportTokens) -> Tokens:
    return Tokens(
        access=UNSET if body.access_token is None else Secret(body.access_token),
        refresh=UNSET if body.refresh_token is None else Secret(body.refresh_token),
        expires_at=_time(body.expires_at),
        scopes=body.scopes,
        status=None if body.state is None else Status.ACTIVE if body.state == "connected" else Status.EXPIRED,
        label=body.account_display_name,
        identifier=body.account_identifier,
    )


def _time(text: str | None | UnsetType) -> float | None | UnsetType:
    if text is None or isinstance(text, UnsetType):
        return text
    try:
        return from_iso(text)
    except ValueError:
        raise Unprocessable(
            "expires_at must be an ISO 8601 time", fields=[{"field": "expires_at", "code": "invalid"}]
        ) from None
