"""Connecting by consent: operations 9 and 10."""

from dataclasses import dataclass

from msgspec import UNSET

from holdfast.accounts.install import Intent
from holdfast.api.operations import Call, Nothing, Operation
from holdfast.api.workos.inputs import Authorize, Finish
from holdfast.api.workos.naming import account_id, owner_of
from holdfast.api.workos.outputs import AuthorizeUrl, FinishedConnection
from holdfast.api.workos.parts import Parts
from holdfast.api.workos.rendering import connected_account
from holdfast.authorization import Beginning
from holdfast.connections import Effective
from holdfast.connections import store as connection_store
from holdfast.errors import Conflict, Invalid, NotFound, Unprocessable
from holdfast.storage import Connection as Tx

TAG = "Connecting"


@dataclass(frozen=True)
class AuthorizeOperations:
    parts: Parts

    def operations(self) -> list[Operation]:
        return [
            Operation(
                method="POST",
                path="/data-integrations/finish",
                id="finish_connection",
                summary="Save a connection that was begun with a code_challenge",
                handler=self.finish,
                body=Finish,
                reply=FinishedConnection,
                errors=(403,),
                tag=TAG,
            ),
            Operation(
                method="POST",
                path="/data-integrations/{slug}/authorize",
                id="authorize_data_integration",
                summary="Make a link at which a user connects an account",
                handler=self.authorize,
                body=Authorize,
                reply=AuthorizeUrl,
                errors=(403, 404, 409),
                tag=TAG,
            ),
        ]

    async def authorize(self, call: Call[Nothing, Authorize]) -> AuthorizeUrl:
        body = call.body
        if body.connection_intent == "reauthorize" and body.connected_account_id is None:
            raise Invalid("connection_intent=reauthorize needs connected_account_id", fields=_required_id())
        if body.connection_intent != "reauthorize" and body.connected_account_id is not None:
            raise Invalid("connected_account_id goes with connection_intent=reauthorize only")
        if (body.code_challenge is None) != (body.code_challenge_method is None):
            raise Unprocessable("code_challenge and code_challenge_method=S256 come together")
        intent: Intent = body.connection_intent or "auto"
        begun = await self.parts.begin.begin(
            Beginning(
                environment_id=call.environment_id,
                name=call.path["slug"],
                owner=owner_of(body.user_id, body.organization_id, body.connection_owner),
                acting_user=body.user_id,
                actor=call.principal.actor(),
                return_to=body.return_to,
                code_challenge=body.code_challenge,
                intent=intent,
                account_id=account_id(body.connected_account_id),
                label=body.account_display_name,
                config=body.config or {},
                switch_identity=body.allow_account_switch,
                request_id=call.request_id,
            )
        )
        return AuthorizeUrl(
            url=begun.url, state=begun.state, completion="finish_required" if begun.finish_required else UNSET
        )

    async def finish(self, call: Call[Nothing, Finish]) -> FinishedConnection:
        body = call.body
        try:
            account = await self.parts.finish.finish(
                call.environment_id, body.connect_code, body.code_verifier, call.principal.actor()
            )
        except (Conflict, NotFound) as error:  # this operation documents 400 and 403 only
            raise Invalid(error.message, code=error.code) from None

        def effective(tx: Tx) -> Effective:
            connection = connection_store.by_id(tx, call.environment_id, account.connection_id)
            if connection is None:
                raise Invalid("the data integration was deleted meanwhile", code="target_deleted")
            return self.parts.connections.effective(tx, connection, account.owner.organization_id)

        return FinishedConnection(connected_account(account, await self.parts.database.transact(effective)))


def _required_id() -> list[dict[str, str]]:
    return [{"field": "connected_account_id", "code": "required"}]
