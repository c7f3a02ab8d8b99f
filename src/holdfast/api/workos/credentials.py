"""Handing credentials out and putting them in: operations 11 to 16."""

import hashlib
from dataclasses import dataclass

import msgspec

from holdfast.accounts import Account, ApiKey, ClientCredential, Connecting, Credential, IdempotentUse, Owner
from holdfast.accounts import store as account_store
from holdfast.api.operations import Answer, Call, Handler, Nothing, Operation
from holdfast.api.workos.inputs import (
    CreateApiKey,
    CreateClientCredentials,
    PutApiKey,
    PutClientCredentials,
    Vend,
)
from holdfast.api.workos.naming import account_id, owner_of
from holdfast.api.workos.outputs import (
    AccessToken,
    ConnectedAccount,
    CredentialReply,
    TokenReply,
    VendedCredential,
)
from holdfast.api.workos.parts import Parts
from holdfast.api.workos.rendering import connected_account, shown_method
from holdfast.api.workos.warnings import warnings
from holdfast.clock import iso
from holdfast.connections import Effective
from holdfast.errors import Invalid, NotFound
from holdfast.providers.entry import Method
from holdfast.providers.templates import check_config
from holdfast.secret import Secret
from holdfast.storage import Connection as Tx
from holdfast.tokens import Ask, Inactive, Vended

TAG = "Credentials"


@dataclass(frozen=True)
class CredentialOperations:
    parts: Parts

    def operations(self) -> list[Operation]:
        vends = [
            Operation(
                method="POST",
                path="/data-integrations/{slug}/token",
                id="get_access_token",
                summary="Get a live access token, refreshed first if need be",
                handler=self.token,
                body=Vend,
                reply=TokenReply,
                errors=(403, 404, 409),
                tag=TAG,
            ),
            Operation(
                method="POST",
                path="/data-integrations/{slug}/credentials",
                id="create_data_integration_credential",
                summary="Get a live credential of any kind",
                handler=self.credentials,
                body=Vend,
                reply=CredentialReply,
                errors=(403, 404, 409),
                tag=TAG,
            ),
        ]
        created: list[tuple[str, str, Handler, type[msgspec.Struct]]] = [
            ("api-key", "create_data_integration_api_key", self.create_api_key, CreateApiKey),
            (
                "client-credentials",
                "create_data_integration_client_credential",
                self.create_client_credentials,
                CreateClientCredentials,
            ),
        ]
        put: list[tuple[str, str, Handler, type[msgspec.Struct]]] = [
            ("api-key", "update_data_integration_api_key", self.put_api_key, PutApiKey),
            (
                "client-credentials",
                "update_data_integration_client_credentials",
                self.put_client_credentials,
                PutClientCredentials,
            ),
        ]
        return [
            *vends,
            *(
                Operation(
                    method="POST",
                    path="/data-integrations/{slug}/" + kind,
                    id=name,
                    summary=f"Connect another account by {kind.replace('-', ' ')}",
                    handler=handler,
                    body=body,
                    reply=ConnectedAccount,
                    status=201,
                    errors=(403, 404, 409),
                    tag=TAG,
                    idempotent_key=True,
                )
                for kind, name, handler, body in created
            ),
            *(
                Operation(
                    method="PUT",
                    path="/data-integrations/{slug}/" + kind,
                    id=name,
                    summary=f"Replace the {kind.replace('-', ' ')} of an account, or connect the first one",
                    handler=handler,
                    body=body,
                    reply=ConnectedAccount,
                    errors=(403, 404, 409),
                    tag=TAG,
                )
                for kind, name, handler, body in put
            ),
        ]

    async def token(self, call: Call[Nothing, Vend]) -> Answer:
        found = await self._read(call, ("oauth",))
        if isinstance(found, Inactive):
            return Answer(200, TokenReply(active=False, error=found.why))
        account = found.account
        token = AccessToken(
            access_token=found.secret.reveal(),
            expires_at=None if account.expires_at is None else iso(account.expires_at),
            scopes=list(account.scopes),
            missing_scopes=list(found.missing_scopes),
        )
        return Answer(200, TokenReply(active=True, access_token=token), warnings(found.warnings))

    async def credentials(self, call: Call[Nothing, Vend]) -> Answer:
        found = await self._read(call, ("oauth", "api_key", "client_credentials"))
        if isinstance(found, Inactive):
            return Answer(200, CredentialReply(active=False, error=found.why))
        return Answer(200, CredentialReply(active=True, credential=_credential(found)), warnings(found.warnings))

    async def _read(self, call: Call[Nothing, Vend], methods: tuple[Method, ...]) -> Vended | Inactive:
        body = call.body
        return await self.parts.reader.read(
            Ask(
                environment_id=call.environment_id,
                name=call.path["slug"],
                owner=owner_of(body.user_id, body.organization_id, body.connection_owner),
                actor=call.principal.actor(),
                acting_user=body.user_id,
                account_id=account_id(body.connected_account_id),
                plural=body.supports_multiple_connections or False,
                min_ttl=body.min_ttl,
                methods=methods,
                request_id=call.request_id,
            )
        )

    async def create_api_key(self, call: Call[Nothing, CreateApiKey]) -> ConnectedAccount:
        return await self._add(call, ApiKey(Secret(call.body.secret)), {})

    async def create_client_credentials(self, call: Call[Nothing, CreateClientCredentials]) -> ConnectedAccount:
        given = ClientCredential(call.body.client_id, Secret(call.body.client_secret))
        return await self._add(call, given, call.body.config or {})

    async def put_api_key(self, call: Call[Nothing, PutApiKey]) -> ConnectedAccount:
        return await self._put(call, ApiKey(Secret(call.body.secret)), {})

    async def put_client_credentials(self, call: Call[Nothing, PutClientCredentials]) -> ConnectedAccount:
        given = ClientCredential(call.body.client_id, Secret(call.body.client_secret))
        return await self._put(call, given, call.body.config or {})

    async def _add(
        self,
        call: "Call[Nothing, CreateApiKey] | Call[Nothing, CreateClientCredentials]",
        credential: Credential,
        config: dict[str, str],
    ) -> ConnectedAccount:
        body = call.body
        owner = owner_of(body.user_id, body.organization_id, body.connection_owner)

        def plan(tx: Tx) -> Connecting:
            effective = self._usable(tx, call.environment_id, call.path["slug"], owner)
            return Connecting(
                effective=effective,
                owner=owner,
                credential=credential,
                intent="add",
                actor=call.principal.actor(),
                label=body.account_display_name,
                identifier=body.account_identifier,
                established_by=body.user_id,
                config=check_config(effective.provider, config, scope="installation", pinned=effective.config),
                request_id=call.request_id,
                idempotency=self.idempotent_use(call),
            )

        return await self._connect(await self.parts.database.transact(plan))

    async def _put(
        self,
        call: "Call[Nothing, PutApiKey] | Call[Nothing, PutClientCredentials]",
        credential: Credential,
        config: dict[str, str],
    ) -> ConnectedAccount:
        """Replace the account named, else the compatibility account; make that one if there is none yet."""
        body = call.body
        owner = owner_of(body.user_id, body.organization_id, body.connection_owner)
        target = account_id(body.connected_account_id)
        if body.connection_intent == "reauthorize" and target is None:
            raise Invalid("connection_intent=reauthorize needs connected_account_id")

        def plan(tx: Tx) -> Connecting:
            effective = self._usable(tx, call.environment_id, call.path["slug"], owner)
            return Connecting(
                effective=effective,
                owner=owner,
                credential=credential,
                intent="auto" if target is None else "reauthorize",
                account_id=target,
                actor=call.principal.actor(),
                label=body.account_display_name,
                identifier=body.account_identifier,
                established_by=body.user_id,
                config=check_config(effective.provider, config, scope="installation", pinned=effective.config),
                request_id=call.request_id,
            )

        return await self._connect(await self.parts.database.transact(plan))

    def _usable(self, tx: Tx, environment_id: str, slug: str, owner: Owner) -> Effective:
        connection = self.parts.connections.find(tx, environment_id, slug, owner.kind)
        effective = self.parts.connections.effective(tx, connection, owner.organization_id)
        if not effective.enabled:
            raise NotFound(f"the data integration '{slug}' is not enabled")
        return effective

    async def _connect(self, plan: Connecting) -> ConnectedAccount:
        account = await self.parts.accounts.connect(plan)
        return await self.shown(account, plan.effective, label_given=isinstance(plan.label, str))

    async def shown(self, account: Account, effective: Effective, *, label_given: bool) -> ConnectedAccount:
        """Render a written account, with a warning if the label it was given is another's too."""
        taken = label_given and await self.parts.database.transact(lambda tx: account_store.label_is_taken(tx, account))
        return connected_account(account, effective, duplicate_label=taken)

    def idempotent_use(self, call: "Call[object, object]") -> IdempotentUse | None:
        """Return the key and a keyed fingerprint of the request: its body may hold a secret."""
        if call.idempotency_key is None:
            return None
        asked = msgspec.json.encode([call.operation_id, call.path, call.query]) + call.raw_body
        digest = hashlib.sha256(asked).hexdigest()
        return IdempotentUse(call.idempotency_key, self.parts.vault.lookup_hash("idempotency", digest))


def _credential(found: Vended) -> VendedCredential:
    account, value = found.account, found.secret.reveal()
    if account.method == "api_key":
        return VendedCredential(auth_method="api_key", value=value, config=dict(found.config))
    return VendedCredential(
        auth_method=shown_method(account.method),
        value=value,
        expires_at=None if account.expires_at is None else iso(account.expires_at),
        scopes=list(account.scopes),
        missing_scopes=list(found.missing_scopes),
        metadata=dict(account.kept),
        config=dict(found.config),
    )
