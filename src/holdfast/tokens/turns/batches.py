"""Turns taken and settled many at once. What can go wrong here is left to the slow path, which meets it again."""

import contextlib
import functools
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import structlog

from holdfast import ids
from holdfast.accounts import Account, Status
from holdfast.accounts.account import snapshot
from holdfast.accounts.expiry import sweep_at
from holdfast.clock import Clock
from holdfast.connections import Connections, Effective
from holdfast.connections import store as connection_store
from holdfast.connections.connection import Client
from holdfast.errors import HoldfastError
from holdfast.secret import Secret
from holdfast.storage import Connection as Tx
from holdfast.storage import Database
from holdfast.storage.joined import Joined
from holdfast.tokens import policy
from holdfast.tokens.outcome import Refreshed
from holdfast.tokens.turns.reading import Reading
from holdfast.tokens.turns.store import Pair, SettlePairs, Stamps, Take, Written
from holdfast.tokens.verdict import Turn, Verdict, grant_of, needs_intent, print_of
from holdfast.vault import Vault

_log = structlog.get_logger("holdfast.tokens")

MOST_SETTINGS = 4096
"""Connections kept worked out, with what an organization has set for them."""

SettingPlace = tuple[str, str, str, str]
"""Environment, connection, organization and client: what an account's turn is worked out from."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A connection as it stands for some owner. It is used only where the statement finds its stamp unchanged."""

    stamp: str
    effective: Effective
    client: Client | None


class Turns:
    def __init__(
        self,
        database: Database,
        vault: Vault,
        clock: Clock,
        connections: Connections,
        *,
        owner: str,
        lease_seconds: float,
    ) -> None:
        self._database, self._vault, self._clock, self._connections = database, vault, clock, connections
        self.owner, self.lease_seconds = owner, lease_seconds
        self._settings: dict[SettingPlace, Setting] = {}
        self._taking: Joined[Account, Turn] = Joined(self._take)
        self._settling: Joined[Pair, Written] = Joined(self._settle)

    async def take(self, seen: Account) -> Turn | None:
        """Take the lease and write the intent down, if the account is as it was seen and nothing is in doubt.

        None: nothing was written that another turn has to heed, unless the database failed in between; then the lease
        runs out and the intent is resolved, as after a crash.
        """
        if seen.status is not Status.ACTIVE or seen.grant is None or seen.intent_at is not None:
            return None
        return await self._taking.ask(seen)

    async def settle(self, turn: Turn, verdict: Verdict, now: float, reading: Reading | None = None) -> Written | None:
        """Commit a verdict that brings new tokens, if the lease is ours and the account not changed meanwhile; with it
        the entry of `reading`, if what it waits for has come. None: nothing was written."""
        after, connection = verdict.account, turn.effective.connection
        plain = isinstance(verdict.result, Refreshed) and turn.account.status is Status.ACTIVE is after.status
        if not plain or after.access is None or is_refused(turn.effective, turn.account):
            return None
        if (after.refreshed_at, after.updated_at, after.credential_version) != (
            now,
            now,
            turn.account.credential_version + 1,
        ):  # the statement works these out
            return None
        if turn.actor.kind != "system":  # whose entries the statement writes
            return None
        read = reading if reading is not None and reading.is_content(after, now) else None
        pair = Pair(
            environment_id=after.environment_id,
            id=after.id,
            fence=turn.fence,
            former_version=turn.account.credential_version,
            scopes=_json(list(after.scopes)),
            kept=_json(dict(after.kept)),
            expires_at=after.expires_at,
            grant_expires_at=after.grant_expires_at,
            consent_ends_at=after.consent_ends_at,
            refresh_at=after.refresh_at,
            sweep_at=sweep_at(after),
            at=now,
            warning=after.warning,
            entry_id=ids.new_id(now),
            entry_data=_json(snapshot(after, connection.name)),
            read_entry_id=ids.new_id(now) if read else None,
            read_key_id=read.key_id if read else None,
            read_name=read.name if read else None,
            read_request_id=read.request_id if read else None,
            access=after.access.data,
            grant=None if after.grant is None else after.grant.data,
        )
        return await self._settling.ask(pair)

    def setting(self, place: SettingPlace) -> Setting | None:
        """Return what is known of a place, if a turn may be taken with it: its stamp is to be compared."""
        setting = self._settings.get(place)
        alert = None if setting is None else setting.effective.connection
        return None if alert is None or (alert.alert_at and alert.alert_client_ref == (place[3] or None)) else setting

    # Batches

    async def _take(self, seen: Sequence[Account]) -> Sequence[Turn | None]:
        turns = await self._try_to_take(seen)
        left = {number: place_of(seen[number]) for number, turn in enumerate(turns) if turn is None}
        if left:
            try:
                changed = await self._learn(list(dict.fromkeys(left.values())))
                again = [number for number, place in left.items() if place in changed]
                for number, turn in zip(
                    again, await self._try_to_take([seen[number] for number in again]), strict=True
                ):
                    turns[number] = turn
            except Exception as error:  # what has been taken must not be given up with what has not
                _log.warning("turns_left_to_the_slow_path", error=type(error).__name__)
        return turns

    async def _try_to_take(self, seen: Sequence[Account]) -> list[Turn | None]:
        """Take what is free and whose setting is known as it is now: the statement compares its stamp."""
        asks: list[tuple[int, str, int, str | None]] = []
        used: dict[SettingPlace, int] = {}
        able: list[tuple[int, Setting, Secret | None]] = []
        now = self._clock.now()
        for number, account in enumerate(seen):
            place = place_of(account)
            setting = self._settings.get(place)
            if setting is None or is_refused(setting.effective, account):
                continue
            if policy.too_early(account, setting.effective.provider.lifetime, now) is not None:
                continue
            with contextlib.suppress(HoldfastError):  # its stored secret does not open
                grant = grant_of(account, self._vault)
                wanted = needs_intent(account, setting.effective.provider.lifetime)
                intent = print_of(account) if wanted else None
                asks.append((used.setdefault(place, len(used)), account.id, account.version, intent))
                able.append((number, setting, grant))
        turns: list[Turn | None] = [None] * len(seen)
        if asks:
            settings = [(*place, self._settings[place].stamp) for place in used]
            taking = Take(settings, asks, self.owner, self.lease_seconds, now)
            for at, fence in (await self._database.direct(taking)).items():
                number, setting, grant = able[at]
                turns[number] = Turn(seen[number], fence, setting.effective, setting.client, policy.Normal(), grant)
        return turns

    async def _settle(self, pairs: Sequence[Pair]) -> Sequence[Written | None]:
        written = await self._database.direct(SettlePairs(pairs))
        return [written.get(place) for place in range(len(pairs))]

    # Settings

    async def _learn(self, places: Sequence[SettingPlace]) -> set[SettingPlace]:
        """Work out the settings that are new or have changed, and return which those were."""
        stamps = await self._database.direct(Stamps(places))
        found = {places[number]: stamp for number, stamp in stamps.items()}
        changed = {place for place, stamp in found.items() if not self._knows(place, stamp)}
        for place in changed:
            setting = await self._database.transact(functools.partial(self._load, place=place, stamp=found[place]))
            if len(self._settings) >= MOST_SETTINGS:
                self._settings.clear()
            if setting is not None:
                self._settings[place] = setting
        return changed

    def _knows(self, place: SettingPlace, stamp: str) -> bool:
        known = self._settings.get(place)
        return known is not None and known.stamp == stamp

    def _load(self, tx: Tx, *, place: SettingPlace, stamp: str) -> Setting | None:
        environment_id, connection_id, organization_id, client_ref = place
        connection = connection_store.by_id(tx, environment_id, connection_id)
        if connection is None:
            return None
        try:
            effective = self._connections.effective(tx, connection, organization_id)
        except HoldfastError:  # its provider's definition is gone
            return None
        client = connection_store.client(tx, environment_id, client_ref) if client_ref else None
        return Setting(stamp, effective, client)


def place_of(account: Account) -> SettingPlace:
    return account.environment_id, account.connection_id, account.owner.organization_id, account.client_ref or ""


def is_refused(effective: Effective, account: Account) -> bool:
    """Tell whether there is an alert about the account's client: to be heeded, or taken back."""
    connection = effective.connection
    return connection.alert_at is not None and connection.alert_client_ref == account.client_ref


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
