"""Verifying a user: the app that made the link says whose browser came back, and only then can the account be used."""

import hmac

from holdfast.accounts import Accounts
from holdfast.authorization import store
from holdfast.authorization.attempt import Attempt, Stage
from holdfast.authorization.begin import attempt_entry
from holdfast.authorization.pending import end_refused, take_up
from holdfast.authorization.settle import SUCCESS_PATH, emptied, plan_of
from holdfast.connections import store as connection_store
from holdfast.errors import HoldfastError, NotFound, Refused
from holdfast.events import Action, Actor
from holdfast.events import store as log
from holdfast.storage import Connection as Tx

AUTH_REQUEST_GONE = "auth request not found or no longer valid"
"""Clients look for these words."""


class Verify:
    def __init__(self, accounts: Accounts, *, base_url: str) -> None:
        self._accounts, self._success = accounts, base_url + SUCCESS_PATH

    async def verify(
        self, environment_id: str, auth_request_id: str, identifier: str, actor: Actor, request_id: str = ""
    ) -> str:
        """Connect the account of an attempt whose user is `identifier`; return where to send the browser.

        An id is used up by its first use, right or wrong, so that identifiers cannot be tried. Raises NotFound
        `auth_request_not_found` for an id that is unknown, used, or too old; Refused `identifier_mismatch` if the link
        was made for somebody else; and what connecting raises (another person at the provider, a paused account).
        """
        accounts = self._accounts
        await accounts.vault.ready(environment_id)
        hashed = accounts.vault.lookup_hash("auth_request", auth_request_id)
        problem = await accounts.database.transact(
            lambda tx: self._verify(tx, environment_id, hashed, identifier, actor, request_id)
        )
        if problem is not None:  # returned, not raised: the id's being used up is to be committed
            raise problem
        return self._success

    def _verify(
        self, tx: Tx, environment_id: str, hashed: str, identifier: str, actor: Actor, request_id: str
    ) -> HoldfastError | None:
        accounts = self._accounts
        attempt = store.by_connect_code(tx, environment_id, hashed)
        if attempt is None or attempt.stage is not Stage.VERIFYING or attempt.pending is None:
            return _gone()
        connection = connection_store.by_id(tx, environment_id, attempt.connection_id)
        if connection is None:
            return _gone()
        now = accounts.clock.now()
        problem = _problem(attempt, identifier, now)
        credential, identity, config = take_up(attempt, attempt.pending, accounts.vault)
        effective = accounts.connections.effective(tx, connection, attempt.owner.organization_id)
        if problem is None:
            try:
                with tx.begin_nested():
                    plan = plan_of(attempt, effective, credential, identity, actor, config)
                    accounts.connect_in(tx, plan)
            except HoldfastError as error:
                problem = error
        if problem is None:
            store.advance(tx, emptied(attempt, Stage.FINISHED), from_stages=(Stage.VERIFYING,))
            return None
        store.advance(tx, emptied(attempt, Stage.FAILED), from_stages=(Stage.VERIFYING,))
        end_refused(tx, accounts, attempt, effective, credential, identity)
        entry = attempt_entry(attempt, connection.name, Action.VERIFICATION_REFUSED, actor, now, why=problem.code)
        log.append(tx, entry)
        return problem


def _problem(attempt: Attempt, identifier: str, now: float) -> HoldfastError | None:
    if attempt.connect_code_ends is None or attempt.connect_code_ends <= now:
        return _gone()
    owner = attempt.owner.user_id or attempt.owner.organization_id
    if not hmac.compare_digest(owner.encode(), identifier.encode()):
        return Refused(
            "this is not the user whom the link was made for: send that user a new link", code="identifier_mismatch"
        )
    return None


def _gone() -> NotFound:
    return NotFound(AUTH_REQUEST_GONE, code="auth_request_not_found")
