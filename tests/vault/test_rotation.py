"""Changing the vault's keys: what each step leaves, and what keeps two machines from using different files."""

import shutil
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from holdfast import rotation
from holdfast.access import Environment, ensure_environment
from holdfast.app import open_vault
from holdfast.clock import FrozenClock
from holdfast.config import Config
from holdfast.errors import Conflict, Misconfigured, NotFound
from holdfast.events import Action, Actor
from holdfast.events import store as log
from holdfast.rotation import SEALED, Rotation
from holdfast.storage import Database
from holdfast.storage.tables import metadata
from holdfast.vault import LocalKeyFile, Place, Secret, Vault, store
from holdfast.webhooks import store as webhook_store
from holdfast.webhooks.endpoint import Endpoint

NO_SECRETS = {
    "branding.logo_data",
    "data_keys.wrapped",
    "entries.marks",
    "seals.entry_hashes",
    "seals.previous",
    "seals.hash",
    "checkpoints.hash",
    "checkpoints.signature",
    "checkpoint_keys.public",
}
"""Columns of bytes that hold no sealed value."""


@dataclass
class House:
    config: Config
    database: Database
    vault: Vault
    clock: FrozenClock
    environment: Environment

    @property
    def rotation(self) -> Rotation:
        keys = LocalKeyFile.load(self.config.key_path())
        return Rotation(self.database, self.vault, keys, self.clock, Actor("operator"))

    async def keep(self, number: int, text: str) -> Endpoint:
        """Seal something where it belongs: a webhook's secret."""
        record = f"01J{number:023d}"
        place = Place(self.environment.id, record, "webhook_secret", 1)
        endpoint = Endpoint(
            environment_id=self.environment.id,
            id=record,
            url=f"https://app.example.com/{number}",
            status="enabled",
            events=("*",),
            secret=self.vault.seal(Secret(text), place),
            created_at=1.0,
            updated_at=1.0,
        )
        await self.database.transact(lambda tx: webhook_store.save(tx, endpoint))
        return endpoint

    async def kept(self, endpoint: Endpoint) -> tuple[str, int]:
        found = await self.database.transact(lambda tx: webhook_store.get(tx, self.environment.id, endpoint.id))
        assert found is not None
        return self.vault.open(found.secret, found.secret_place()).reveal(), found.secret.key_version

    async def reseal(self) -> int:
        return [progress.resealed async for progress in self.rotation.reseal()][-1]

    async def entries(self, action: Action) -> list[dict[str, object]]:
        found = await self.database.transact(
            lambda tx: log.list_entries(tx, self.environment.id, kinds=[log.Kind(action)], limit=100)
        )
        return [dict(entry.data) for entry in found]


@pytest.fixture
async def house(fresh_url: str, tmp_path: Path) -> AsyncIterator[House]:
    config, clock = Config(data_dir=tmp_path / "data", database=fresh_url), FrozenClock()
    database, vault = await open_vault(config, clock)
    environment, _ = await ensure_environment(database, vault, clock, "default")
    yield House(config, database, vault, clock, environment)
    await database.close()


def test_every_column_of_bytes_is_sealed_anew_or_known_to_hold_no_secret() -> None:
    blobs = {
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if type(column.type).__name__ in ("_Blob", "LargeBinary")
    }
    sealed = {f"{one.table.name}.{one.column.name}" for one in SEALED}
    assert blobs - sealed == NO_SECRETS
    assert sealed <= blobs


async def test_a_new_key_wraps_every_data_key_and_the_old_one_can_then_be_retired(house: House) -> None:
    kept = await house.keep(1, "canary-1")
    old = house.rotation._keys.current_id
    new = await house.rotation.replace()
    assert stat.S_IMODE(house.config.key_path().stat().st_mode) == 0o600
    assert [path.name for path in house.config.data_dir.glob("*.key*")] == ["holdfast.key"], "nothing is left beside it"
    with pytest.raises(Conflict, match=f"key {old} still wraps 2 data keys"):
        await house.rotation.retire(old)
    assert await house.rotation.rewrap() == 2
    assert await house.rotation.rewrap() == 0
    standing = await house.rotation.standing()
    assert (standing.wraps, standing.current, standing.held) == ({new: 2}, new, (old, new))
    with pytest.raises(Conflict, match="is the current one"):
        await house.rotation.retire(new)
    with pytest.raises(NotFound):
        await house.rotation.retire("nothere0")
    await house.rotation.retire(old)
    assert old not in house.config.key_path().read_text()
    assert await house.entries(Action.VAULT_KEY_REWRAPPED) == [{"version": 1, "key_id": new, "former_key_id": old}]
    assert await house.entries(Action.VAULT_KEY_RETIRED) == [{"key_id": old}]
    database, vault = await open_vault(house.config, house.clock)  # a restart with the new file
    house.vault = vault
    assert await house.kept(kept) == ("canary-1", 1)
    await database.close()


async def test_an_older_copy_of_the_key_file_does_not_start(house: House, tmp_path: Path) -> None:
    former = tmp_path / "former.key"
    shutil.copy2(house.config.key_path(), former)
    new = await house.rotation.replace()
    await house.rotation.rewrap()
    shutil.copy2(former, house.config.key_path())
    with pytest.raises(Misconfigured) as raised:
        await open_vault(house.config, house.clock)
    assert raised.value.message == (
        f"the database was sealed with key {new}, which the key file does not hold: "
        "it is an older copy, or another installation's"
    )


async def test_a_running_server_takes_a_changed_key_file_over(house: House) -> None:
    """It has read the file before the rotation, and the old key is gone from it since."""
    old = house.rotation._keys.current_id
    new = await house.rotation.replace()
    await house.rotation.rewrap()
    await house.rotation.retire(old)
    await house.vault.add_environment("01JNEWENVIRONMENT000000000")
    assert (await house.rotation.standing()).wraps == {new: 3}


async def test_another_machine_whose_file_was_not_brought_up_to_date_wraps_nothing(
    house: House, tmp_path: Path
) -> None:
    """With a prepared key it serves on, and refuses what would need the file that it has not."""
    prepared = await house.rotation.prepare()
    assert await house.rotation.prepare() == prepared
    theirs = tmp_path / "their.key"
    shutil.copy2(house.config.key_path(), theirs)
    there = Vault(house.database, LocalKeyFile.load(theirs), house.clock)
    await there.start()
    assert await house.rotation.replace() == prepared
    await house.rotation.rewrap()
    kept = await house.keep(1, "canary-1")
    again = Vault(house.database, LocalKeyFile.load(theirs), house.clock)
    await again.start()  # the prepared key unwraps
    assert again.open(kept.secret, kept.secret_place()).reveal() == "canary-1"
    for vault in (there, again):
        with pytest.raises(Misconfigured, match="is an older copy: bring the one that `holdfast vault rotate`"):
            await vault.add_environment("01JNEWENVIRONMENT000000000")
    shutil.copy2(house.config.key_path(), theirs)
    await there.add_environment("01JNEWENVIRONMENT000000000")
    assert (await house.rotation.standing()).wraps == {prepared: 3}


async def test_a_new_data_key_seals_only_when_every_server_can_open_it(house: House) -> None:
    kept = await house.keep(1, "canary-1")
    other = Vault(house.database, LocalKeyFile.load(house.config.key_path()), house.clock)
    await other.start()
    assert await house.rotation.add_data_keys(30.0) == house.clock.now() + 30
    await other.look()
    for vault in (house.vault, other):
        assert vault.seal(Secret("x"), kept.secret_place()).key_version == 1
    house.clock.advance(30)
    for vault, opener in ((house.vault, other), (other, house.vault)):
        sealed = vault.seal(Secret("canary-2"), kept.secret_place())
        assert sealed.key_version == 2
        assert opener.open(sealed, kept.secret_place()).reveal() == "canary-2"
    started = Vault(house.database, LocalKeyFile.load(house.config.key_path()), house.clock)
    await started.start()
    assert started.seal(Secret("x"), kept.secret_place()).key_version == 2


async def test_what_former_data_keys_have_sealed_is_sealed_anew_in_batches(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "BATCH", 3)
    kept = [await house.keep(number, f"canary-{number}") for number in range(8)]
    await house.rotation.add_data_keys(0)
    before = await house.rotation.standing()
    mine = house.environment.id
    assert (before.seals, before.to_seal) == (
        {(mine, 1): 8, (mine, 2): 0, ("system", 1): 0, ("system", 2): 0},
        8,
    )
    seen = set()
    async for progress in house.rotation.reseal():
        seen.add(progress.resealed)
    assert {3, 6, 8} <= seen
    assert [await house.kept(one) for one in kept] == [(f"canary-{number}", 2) for number in range(8)]
    after = await house.rotation.standing()
    assert (after.seals[mine, 1], after.seals[mine, 2], after.to_seal) == (0, 8, 0)
    assert await house.reseal() == 0
    assert await house.entries(Action.VAULT_RESEALED) == [{"version": 2, "count": 8}]


async def test_a_run_that_ended_in_the_middle_is_gone_on_with(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "BATCH", 3)
    for number in range(8):
        await house.keep(number, f"canary-{number}")
    await house.rotation.add_data_keys(0)
    run = house.rotation.reseal()
    await anext(run)
    await run.aclose()
    assert (await house.rotation.standing()).to_seal == 5
    await house.rotation.add_data_keys(0)
    assert await house.reseal() == 8, "the first run's new key sealed something, so the second one has made another"
    assert (await house.rotation.standing()).to_seal == 0


async def test_hashes_that_things_are_found_by_stay_equal_over_a_rotation(house: House) -> None:
    before = house.vault.lookup_hash("api_key", "sk_canary")
    await house.rotation.replace()
    await house.rotation.rewrap()
    await house.rotation.add_data_keys(0)
    again = Vault(house.database, LocalKeyFile.load(house.config.key_path()), house.clock)
    await again.start()
    assert again.lookup_hash("api_key", "sk_canary") == house.vault.lookup_hash("api_key", "sk_canary") == before


async def test_what_was_sealed_meanwhile_stays(house: House) -> None:
    kept = await house.keep(1, "canary-old")
    column = next(one for one in SEALED if one.column is webhook_store.webhook_endpoints.c.secret)
    meanwhile = house.vault.seal(Secret("canary-meanwhile"), kept.secret_place())
    late = house.vault.seal(Secret("canary-old"), kept.secret_place())
    name = house.environment.id
    for was, to_be, count in ((kept.secret, meanwhile, 1), (kept.secret, late, 0)):
        pairs = {kept.id: (was.data, to_be.data)}
        done = await house.database.transact(
            lambda tx, pairs=pairs: store.replace_sealed(tx, column, name, pairs)  # type: ignore[misc]
        )
        assert done == count
    assert await house.kept(kept) == ("canary-meanwhile", 1)


async def test_a_value_that_does_not_open_is_named_and_left_as_it_is(house: House) -> None:
    one, other = await house.keep(1, "canary-1"), await house.keep(2, "canary-2")
    column = next(at for at in SEALED if at.column is webhook_store.webhook_endpoints.c.secret)
    name, swapped = house.environment.id, {one.id: (one.secret.data, other.secret.data)}
    await house.database.transact(lambda tx: store.replace_sealed(tx, column, name, swapped))
    await house.rotation.add_data_keys(0)
    progress = [found async for found in house.rotation.reseal()][-1]
    assert (progress.resealed, progress.stuck) == (1, {f"webhook_secret of {one.id}"})
    assert (await house.rotation.standing()).to_seal == 1


def test_a_prepared_key_alone_is_no_key_file(tmp_path: Path) -> None:
    path = tmp_path / "holdfast.key"
    LocalKeyFile.create(path)
    path.write_text(path.read_text().rstrip("\n") + " prepared\n")
    with pytest.raises(Misconfigured, match="is empty"):
        LocalKeyFile.load(path)


def test_a_key_file_that_cannot_be_changed_is_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "holdfast.key"
    keys = LocalKeyFile.create(path)
    path.unlink()
    with pytest.raises(Misconfigured, match="cannot change the key file"):
        keys.add(prepared=False)
    assert list(path.parent.iterdir()) == []


async def test_a_key_that_is_retired_while_something_is_wrapped_with_it_wraps_nothing(house: House) -> None:
    """One run has wrapped with the key and not written yet, when another makes a new one and retires it."""
    await house.rotation.replace()
    file = LocalKeyFile.load(house.config.key_path())
    retired: list[str] = []

    class Slow(LocalKeyFile):
        async def wrap(self, data_key: bytes, context: bytes) -> bytes:
            wrapped = await super().wrap(data_key, context)
            if not retired:
                retired.append(self.current_id)
                await house.rotation.replace()
                await house.rotation.retire(retired[0])
            return wrapped

    slow = Vault(house.database, Slow(house.config.key_path(), file.held, (0, 0)), house.clock)
    await slow.start()
    await Rotation(house.database, slow, file, house.clock, Actor("operator")).rewrap()
    standing = await house.rotation.standing()
    assert retired and set(standing.wraps) <= set(standing.held)
    again = Vault(house.database, LocalKeyFile.load(house.config.key_path()), house.clock)
    await again.start()


async def test_an_older_copy_of_the_key_file_does_not_take_a_rotation_back(house: House, tmp_path: Path) -> None:
    """It has the new key as a prepared one: it could unwrap everything, and wrap it with the key that was replaced."""
    prepared = await house.rotation.prepare()
    theirs = tmp_path / "their.key"
    shutil.copy2(house.config.key_path(), theirs)
    await house.rotation.replace()
    await house.rotation.rewrap()
    there = Vault(house.database, LocalKeyFile.load(theirs), house.clock)
    await there.start()
    with pytest.raises(Misconfigured, match="is an older copy"):
        await Rotation(house.database, there, LocalKeyFile.load(theirs), house.clock, Actor("operator")).rewrap()
    assert (await house.rotation.standing()).wraps == {prepared: 2}


async def test_an_environment_made_meanwhile_gets_a_new_data_key_like_the_others(house: House) -> None:
    other = Vault(house.database, LocalKeyFile.load(house.config.key_path()), house.clock)
    await other.start()
    await other.add_environment("01JNEWENVIRONMENT000000000")
    await house.rotation.add_data_keys()
    assert ("01JNEWENVIRONMENT000000000", 2) in (await house.rotation.standing()).seals
