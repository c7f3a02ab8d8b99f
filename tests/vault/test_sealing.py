"""Sealing: a secret opens in its own place, under its own key, unaltered; and prints as nothing at all."""

import asyncio
import copy
import json
import logging
import pickle
from dataclasses import dataclass

import msgspec
import pytest
from msgspec.structs import replace

from holdfast.clock import FrozenClock
from holdfast.errors import Misconfigured
from holdfast.ids import new_id
from holdfast.storage import Database
from holdfast.vault import LocalKeyFile, Place, Sealed, Secret, Vault, store
from holdfast.vault.sealed import SEAL_LIMIT, CannotOpen

TEXT = "canary-4f2a9c"


@pytest.fixture
async def vault(database: Database, tmp_path_factory: pytest.TempPathFactory, environment_id: str) -> Vault:
    path = tmp_path_factory.mktemp("keys") / "holdfast.key"
    made = Vault(database, LocalKeyFile.create(path), FrozenClock())
    await made.add_environment(environment_id)
    return made


@pytest.fixture
def elsewhere(vault: Vault, database: Database) -> Vault:
    """The vault of another process with the same key file."""
    return Vault(database, vault._provider, FrozenClock())


def _place(environment_id: str, **changes: object) -> Place:
    return replace(Place(environment_id, "record", "access", 3), **changes)


async def test_what_was_sealed_opens_in_its_place(vault: Vault, environment_id: str) -> None:
    place = _place(environment_id)
    for text in (TEXT, "", "ünï \U0001f511" * 500):
        sealed = vault.seal(Secret(text), place)
        assert vault.open(sealed, place).reveal() == text
        assert text == "" or text.encode() not in sealed.data


async def test_the_same_secret_is_never_sealed_to_the_same_bytes(vault: Vault, environment_id: str) -> None:
    place = _place(environment_id)
    assert len({vault.seal(Secret(TEXT), place).data for _ in range(50)}) == 50


@pytest.mark.parametrize(
    "changes",
    [{"record": "other"}, {"field": "grant"}, {"version": 2}, {"version": 4}, {"record": "record\x00access"}],
    ids=["a swapped row", "a swapped field", "a newer version rolled back", "a version ahead", "a shifted border"],
)
async def test_a_secret_does_not_open_in_another_place(
    vault: Vault, environment_id: str, changes: dict[str, object]
) -> None:
    sealed = vault.seal(Secret(TEXT), _place(environment_id))
    with pytest.raises(CannotOpen, match="altered, moved or rolled back") as raised:
        vault.open(sealed, _place(environment_id, **changes))
    assert TEXT not in str(raised.value)


async def test_a_secret_does_not_open_in_another_environment(vault: Vault, environment_id: str) -> None:
    other = new_id()
    await vault.add_environment(other)
    sealed = vault.seal(Secret(TEXT), _place(environment_id))
    with pytest.raises(CannotOpen):
        vault.open(sealed, _place(other))


async def test_every_byte_of_a_sealed_secret_counts(vault: Vault, environment_id: str) -> None:
    place = _place(environment_id)
    data = vault.seal(Secret(TEXT), place).data
    for at in range(len(data)):
        altered = bytearray(data)
        altered[at] ^= 1
        with pytest.raises(CannotOpen):
            vault.open(Sealed(bytes(altered)), place)
    for cut in (data[:-1], data + b"\x00"):
        with pytest.raises(CannotOpen):
            vault.open(Sealed(cut), place)


@pytest.mark.parametrize("stored", [b"", TEXT.encode(), b"\x02" + b"x" * 60, b"\x00" * 60])
async def test_what_is_not_marked_as_sealed_is_refused_and_not_read_as_plain_text(
    vault: Vault, environment_id: str, stored: bytes
) -> None:
    with pytest.raises(CannotOpen, match="not in the sealed format") as raised:
        vault.open(Sealed(stored), _place(environment_id))
    assert TEXT not in str(raised.value)


async def test_after_rotation_the_old_opens_and_the_new_seals(vault: Vault, environment_id: str) -> None:
    place = _place(environment_id)
    before = vault.seal(Secret(TEXT), place)
    assert await vault.rotate(environment_id) == 2
    after = vault.seal(Secret(TEXT), place)
    assert (before.key_version, after.key_version) == (1, 2)
    assert vault.open(before, place) == vault.open(after, place) == Secret(TEXT)


async def test_a_process_that_has_not_heard_of_a_rotation_fetches_the_key(
    vault: Vault, elsewhere: Vault, environment_id: str
) -> None:
    await elsewhere.ready(environment_id)
    await vault.rotate(environment_id)
    place = _place(environment_id)
    sealed = vault.seal(Secret(TEXT), place)
    with pytest.raises(CannotOpen, match="not loaded"):
        elsewhere.open(sealed, place)
    assert (await elsewhere.open_fresh(sealed, place)).reveal() == TEXT


async def test_two_processes_that_make_an_environments_key_at_once_agree_on_one(
    vault: Vault, elsewhere: Vault, database: Database
) -> None:
    environment_id = new_id()
    await asyncio.gather(vault.add_environment(environment_id), elsewhere.add_environment(environment_id))
    place = _place(environment_id)
    assert elsewhere.open(vault.seal(Secret(TEXT), place), place).reveal() == TEXT
    assert len(await database.transact(lambda tx: store.load(tx, environment_id))) == 1


async def test_a_data_key_copied_to_another_environment_does_not_unwrap(
    vault: Vault, database: Database, environment_id: str
) -> None:
    [(_, version, wrapped, wrapped_by, _)] = await database.transact(lambda tx: store.load(tx, environment_id))
    thief = new_id()
    await database.transact(lambda tx: store.add(tx, thief, version, wrapped, wrapped_by, 1.0))
    with pytest.raises(Misconfigured, match="does not unwrap"):
        await vault.ready(thief)
    with pytest.raises(CannotOpen):
        vault.seal(Secret(TEXT), _place(thief))


async def test_a_worn_out_key_seals_no_more(vault: Vault, environment_id: str) -> None:
    vault._rings[environment_id].sealed = SEAL_LIMIT
    with pytest.raises(CannotOpen, match="rotate it"):
        vault.seal(Secret(TEXT), _place(environment_id))
    await vault.rotate(environment_id)
    vault.seal(Secret(TEXT), _place(environment_id))


@dataclass(frozen=True)
class _Record:
    secret: Secret
    sealed: Sealed


async def test_secrets_and_sealed_secrets_print_as_sealed(vault: Vault, environment_id: str) -> None:
    secret = Secret(TEXT)
    sealed = vault.seal(secret, _place(environment_id))
    record = _Record(secret, sealed)
    for one in (secret, sealed):
        assert {repr(one), str(one), f"{one}", f"{one!r}", "%s" % one, "{}".format(one)} == {"<sealed>"}  # noqa: UP031, UP032
    shown = [f"{secret:>20}", repr(record), repr([secret, {"a": sealed}]), str(KeyError(secret, sealed))]
    logged = logging.LogRecord("x", logging.INFO, "x", 1, "a %s and %r", (secret, sealed), None).getMessage()
    for text in (*shown, logged):
        assert "<sealed>" in text
        assert TEXT not in text
        assert sealed.data.hex() not in text


def test_a_secret_is_not_pickled_copied_or_encoded_by_accident() -> None:
    secret = Secret(TEXT)
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps, msgspec.json.encode):
        with pytest.raises(TypeError) as raised:
            attempt(secret)
        assert TEXT not in str(raised.value)
    assert not hasattr(secret, "__dict__")


def test_secrets_compare_by_their_text_and_with_nothing_else() -> None:
    assert Secret(TEXT) == Secret(TEXT)
    assert Secret(TEXT) != Secret("other")
    assert Secret(TEXT) != TEXT
    assert (bool(Secret("")), bool(Secret("x"))) == (False, True)
