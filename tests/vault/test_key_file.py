"""The key file, and starting with one: no key, no start."""

import base64
import stat
from pathlib import Path

import pytest

from holdfast.app import open_vault
from holdfast.clock import FrozenClock
from holdfast.config import Config
from holdfast.errors import Misconfigured
from holdfast.vault import LocalKeyFile, Place, Secret, store


@pytest.fixture
def config(fresh_url: str, tmp_path: Path) -> Config:
    return Config(data_dir=tmp_path / "data", database=fresh_url)


async def _start(config: Config) -> None:
    database, _ = await open_vault(config, FrozenClock())
    await database.close()


async def _refusal(config: Config) -> str:
    with pytest.raises(Misconfigured) as raised:
        await _start(config)
    assert "\n" not in raised.value.message
    return raised.value.message


def test_a_new_key_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "holdfast.key"
    LocalKeyFile.create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    mark, key_id, key = path.read_text().split()
    assert (mark, len(key_id), len(base64.b64decode(key))) == ("holdfast-kek-1", 8, 32)


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "holdfast.key"
    LocalKeyFile.create(path)
    before = path.read_bytes()
    with pytest.raises(Misconfigured, match="File exists"):
        LocalKeyFile.create(path)
    assert path.read_bytes() == before


def test_a_dangling_link_in_the_key_files_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "holdfast.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Misconfigured):
        LocalKeyFile.create(tmp_path / "holdfast.key")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o644, 0o610])
def test_a_key_file_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "holdfast.key"
    LocalKeyFile.create(path)
    path.chmod(mode)
    with pytest.raises(Misconfigured, match="can be read by others: run chmod 600"):
        LocalKeyFile.load(path)
    path.chmod(0o400)
    LocalKeyFile.load(path)


KEY = base64.b64encode(b"k" * 32).decode()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("-----BEGIN PRIVATE KEY-----", "is not a Holdfast key file"),
        (f"holdfast-kek-2 a {KEY}", "is not a Holdfast key file"),
        ("holdfast-kek-1 a c2hvcnQ=", "holds a damaged key: a"),
        ("holdfast-kek-1 a ////", "holds a damaged key: a"),
        ("holdfast-kek-1 a !!!!", "holds a damaged key: a"),
        (f"holdfast-kek-1 a {KEY}\nholdfast-kek-1 b x", "holds a damaged key: b"),
    ],
)
def test_what_is_no_key_file_is_refused_in_one_line_without_showing_it(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "holdfast.key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(Misconfigured, match=words) as raised:
        LocalKeyFile.load(path)
    assert "\n" not in raised.value.message
    assert KEY not in raised.value.message


async def test_the_first_start_makes_the_key_file_and_later_ones_keep_it(config: Config) -> None:
    await _start(config)
    first = config.key_path().read_bytes()
    await _start(config)
    assert config.key_path().read_bytes() == first


async def test_a_sealed_database_without_its_key_file_does_not_start_and_no_new_file_is_made(config: Config) -> None:
    await _start(config)
    config.key_path().unlink()
    said = await _refusal(config)
    assert said == f"the key file {config.key_path()} is missing, and the database was sealed with it: restore the file"
    assert not config.key_path().exists()


async def test_a_key_of_another_installation_is_named_and_refused(config: Config, tmp_path: Path) -> None:
    await _start(config)
    was = config.key_path().read_text().split()[1]
    config.key_path().unlink()
    LocalKeyFile.create(config.key_path())
    assert await _refusal(config) == (
        f"the database was sealed with key {was}, which the key file does not hold: "
        "it is an older copy, or another installation's"
    )


async def test_a_key_with_the_right_name_and_the_wrong_bytes_is_refused(config: Config) -> None:
    await _start(config)
    mark, key_id, _ = config.key_path().read_text().split()
    config.key_path().write_text(f"{mark} {key_id} {KEY}\n")
    assert await _refusal(config) == (f"key {key_id} does not unwrap this database's data key: wrong or altered key")


async def test_a_second_line_becomes_the_key_that_wraps_and_the_first_still_unwraps(config: Config) -> None:
    database, vault = await open_vault(config, FrozenClock())
    await vault.add_environment("env-1")
    place = Place("env-1", "record", "access", 1)
    sealed = vault.seal(Secret("canary-4f2a9c"), place)
    await database.close()
    first_id = config.key_path().read_text().split()[1]
    with config.key_path().open("a") as file:
        file.write(f"holdfast-kek-1 newer {KEY}\n")
    database, vault = await open_vault(config, FrozenClock())
    assert vault.open(sealed, place).reveal() == "canary-4f2a9c"
    await vault.add_environment("env-2")
    rows = await database.transact(store.load)
    await database.close()
    assert {owner: wrapped_by for owner, _, _, wrapped_by, _ in rows if owner.startswith("env-")} == {
        "env-1": first_id,
        "env-2": "newer",
    }


async def test_hashes_that_things_are_found_by_stay_equal_over_restarts_and_differ_by_purpose(config: Config) -> None:
    hashes = []
    for _ in range(2):
        database, vault = await open_vault(config, FrozenClock())
        hashes.append((vault.lookup_hash("api_key", "sk_canary"), vault.lookup_hash("link", "sk_canary")))
        await database.close()
    assert hashes[0] == hashes[1]
    assert hashes[0][0] != hashes[0][1]
    assert "canary" not in hashes[0][0]
