"""Finishing a session-bound attempt: the app that began it proves so with its verifier, and only then is an account
stored. A connect code is used up by its first use, right or wrong."""

from holdfast.accounts import Account, Accounts
from holdfast.authorization import store
from holdfast.authorization.attempt import Attempt, Stage
from holdfast.authorization.begin import attempt_entry
from holdfast.authorization.pending import end_refused, take_up
from holdfast.authorization.settle import emptied, plan_of
from holdfast.connections import store as connection_store
from holdfast.errors import HoldfastError, Invalid
from holdfast.events import Action, Actor
from holdfast.events import store as log
from holdfast.oauth2 import pkce
from holdfast.storage import Connection as Tx


class Finish:
    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def finish(self, environment_id: str, connect_code: str, verifier: str, actor: Actor) -> Account:
        """Store the account of an authorized attempt. Raises Invalid `invalid_connect_code` and what `connect` raises.

        The code is used up in every case, so that a verifier cannot be guessed at.
        """
        accounts = self._accounts
        await accounts.vault.ready(environment_id)
        hashed = accounts.vault.lookup_hash("connect_code", connect_code)
        result = await accounts.database.transact(lambda tx: self._finish(tx, environment_id, hashed, verifier, actor))
        if isinstance(result, HoldfastError):  # returned, not raised: the code's being used up is to be committed
            raise result
        return result

    def _finish(self, tx: Tx, environment_id: str, hashed: str, verifier: str, actor: Actor) -> Account | HoldfastError:
        accounts = self._accounts
        attempt = store.by_connect_code(tx, environment_id, hashed)
        if attempt is None or attempt.stage is not Stage.AUTHORIZED or attempt.pending is None:
            return _invalid("the connect_code is unknown or was used already")
        now = accounts.clock.now()
        problem = _problem(attempt, verifier, now)
        connection = connection_store.by_id(tx, environment_id, attempt.connection_id)
        if problem is not None or connection is None:
            store.advance(tx, emptied(attempt, Stage.FAILED), from_stages=(Stage.AUTHORIZED,))
            name = connection.name if connection else ""
            log.append(tx, attempt_entry(attempt, name, Action.ATTEMPT_REFUSED, actor, now, why=problem))
            if connection is None:
                return Invalid("the data integration was deleted meanwhile", code="target_deleted")
            credential, identity, _ = take_up(attempt, attempt.pending, accounts.vault)
            effective = accounts.connections.effective(tx, connection, attempt.owner.organization_id)
            end_refused(tx, accounts, attempt, effective, credential, identity)
            return _invalid(f"{problem}: the user has to connect again")
        credential, identity, _ = take_up(attempt, attempt.pending, accounts.vault)
        effective = accounts.connections.effective(tx, connection, attempt.owner.organization_id)
        store.advance(tx, emptied(attempt, Stage.FINISHED), from_stages=(Stage.AUTHORIZED,))
        try:
            with tx.begin_nested():
                return accounts.connect_in(tx, plan_of(attempt, effective, credential, identity, actor))
        except HoldfastError as error:
            end_refused(tx, accounts, attempt, effective, credential, identity)
            return error


def _problem(attempt: Attempt, verifier: str, now: float) -> str | None:
    if attempt.connect_code_ends is None or attempt.connect_code_ends <= now:
        return "the connect_code has expired"
    if attempt.code_challenge is None or not pkce.matches(verifier, attempt.code_challenge):
        return "the code_verifier does not belong to the code_challenge"
    return None


def _invalid(message: str) -> Invalid:
    return Invalid(message, code="invalid_connect_code")
