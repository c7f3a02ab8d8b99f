"""The commands as an operator meets them: what is typed, what is printed, how it ends."""

import os
import re
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import httpx2
import pytest

from holdfast.config import Config
from tests.parts.server import HoldfastProcess


def holdfast(
    *arguments: str | Path, env: Mapping[str, str] | None = None, under: Sequence[str] = ()
) -> "subprocess.CompletedProcess[str]":
    """Run a command of ours; `under` another that runs it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    return subprocess.run(
        [*under, sys.executable, "-m", "holdfast.cli.main", *map(str, arguments)],
        env={**clean, "COLUMNS": "300", "NO_COLOR": "1", **(env or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def one_line(done: "subprocess.CompletedProcess[str]") -> str:
    """Return the one line that a refused start prints, having checked that it is one."""
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("holdfast: ")
    return done.stderr.removeprefix("holdfast: ").rstrip("\n")


# serve, refused


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"HOLDFAST_NONSENSE": "1"}, "unknown setting HOLDFAST_NONSENSE; `holdfast settings` lists the known ones"),
        ({"HOLDFAST_PORT": "many"}, "HOLDFAST_PORT is not a valid int: 'many'"),
        ({"HOLDFAST_PORT": "70000"}, "port must be 0 to 65535"),
        ({"HOLDFAST_DEV": "perhaps"}, "HOLDFAST_DEV is not a valid bool: 'perhaps'"),
        ({"HOLDFAST_OUTBOUND_TIMEOUT": "x"}, "HOLDFAST_OUTBOUND_TIMEOUT is not a valid float: 'x'"),
        ({"HOLDFAST_LEASE_SECONDS": "30"}, "lease_seconds must exceed twice outbound_timeout"),
        ({"HOLDFAST_ATTEMPT_LIFETIME": "601"}, "attempt_lifetime must be 30 to 600 seconds"),
        ({"HOLDFAST_LOG_LEVEL": "loud"}, "log_level must be debug, info, warning or error"),
        ({"HOLDFAST_BASE_URL": "connect.example.com"}, "base_url must be an origin"),
        ({"HOLDFAST_BASE_URL": "https://a.example/path"}, "base_url must be an origin"),
        ({"HOLDFAST_BASE_URL": "http://connect.example.com"}, "base_url must be https; plain http works on localhost"),
        ({"HOLDFAST_DATABASE": "mysql://x/y"}, "database must be sqlite:///path or postgresql://user@host/name"),
        ({"HOLDFAST_DATABASE": "postgresql://127.0.0.1:9/none"}, "cannot reach the PostgreSQL database"),
        ({"HOLDFAST_DATABASE": "sqlite:////proc/nowhere/x.db"}, "cannot open the SQLite database"),
        ({"HOLDFAST_PROVIDER_ORIGINS": "https://a=http://b"}, "provider_origins is for development"),
        ({"HOLDFAST_HOST": "203.0.113.7"}, "cannot listen on 203.0.113.7"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_serve_with_a_bad_setting_says_which_in_one_line(tmp_path: Path, env: dict[str, str], said: str) -> None:
    arguments = ("serve", "--data-dir", tmp_path, *(() if "HOLDFAST_PORT" in env else ("--port", "0")))
    assert said in one_line(holdfast(*arguments, env=env))


def test_serve_on_a_port_in_use_says_so(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = one_line(holdfast("serve", "--port", str(port), "--data-dir", tmp_path))
    assert said == f"cannot listen on 127.0.0.1 port {port}: the port is in use"
    assert not (tmp_path / "holdfast.key").exists(), "nothing is made before the port is ours"


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        (b"\x95\x00\xff" * 40, 0o600, "is not a Holdfast key file"),
        ("", 0o600, "is empty"),
        ("nonsense\n", 0o600, "is not a Holdfast key file"),
        ("holdfast-kek-1 ab12cd34 !!!\n", 0o600, "holds a damaged key: ab12cd34"),
        (None, 0o644, "can be read by others: run chmod 600 on it"),
    ],
    ids=["binary", "empty", "nonsense", "damaged", "readable by others"],
)
def test_serve_with_a_wrong_key_file_says_what_is_wrong_with_it(
    tmp_path: Path, text: str | bytes | None, mode: int, said: str
) -> None:
    HoldfastProcess(tmp_path).stop()
    key_file = tmp_path / "holdfast.key"
    if text is not None:
        key_file.write_bytes(text if isinstance(text, bytes) else text.encode())
    key_file.chmod(mode)
    assert said in one_line(holdfast("serve", "--port", "0", "--data-dir", tmp_path))


# Root may read and write everywhere but for this.
_BOUND = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search") if os.geteuid() == 0 else ()


@pytest.mark.skipif(bool(_BOUND) and shutil.which("setpriv") is None, reason="root without setpriv(1)")
@pytest.mark.parametrize(
    ("mode", "env", "said"),
    [
        (0o555, {"HOLDFAST_DATA_DIR": "{}"}, "cannot open the SQLite database {}/holdfast.db: unable to open"),
        (0o000, {"HOLDFAST_DATA_DIR": "{}"}, "cannot open the SQLite database {}/holdfast.db: unable to open"),
        (0o555, {"HOLDFAST_KEY_FILE": "{}/key"}, "cannot create the key file {}/key: Permission denied"),
        (0o000, {"HOLDFAST_KEY_FILE": "{}/key"}, "cannot read the key file {}/key: Permission denied"),
    ],
)
def test_serve_where_it_may_not_write_or_look_says_so(
    tmp_path: Path, mode: int, env: dict[str, str], said: str
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode)
    env = {"HOLDFAST_DATA_DIR": str(tmp_path), **{name: value.format(closed) for name, value in env.items()}}
    assert one_line(holdfast("serve", "--port", "0", env=env, under=_BOUND)).startswith(said.format(closed))


def test_a_password_in_the_database_address_is_not_printed(tmp_path: Path) -> None:
    address = "postgresql://someone:canary-password@127.0.0.1:9/none"
    done = holdfast("serve", "--port", "0", "--data-dir", tmp_path, "--database", address)
    assert "canary-password" not in one_line(done)


# serve


def test_serve_makes_the_key_file_for_its_owner_only_and_prints_the_key_once(tmp_path: Path) -> None:
    first = HoldfastProcess(tmp_path)
    key_file = tmp_path / "holdfast.key"
    made = key_file.read_bytes()
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert re.fullmatch("sk_[A-Za-z0-9]{43}", first.api_key)
    assert first.stop() == 0
    second = HoldfastProcess(tmp_path)
    assert second.api_key == ""
    assert key_file.read_bytes() == made
    assert second.stop() == 0
    assert first.api_key not in first.log()


# keys


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HoldfastProcess]:
    running = HoldfastProcess(tmp_path_factory.mktemp("keys"))
    yield running
    running.stop()


def _status(server: HoldfastProcess, key: str) -> int:
    headers = {"authorization": f"Bearer {key}"}
    return httpx2.get(f"{server.base_url}/data-integrations", headers=headers).status_code


def test_keys_are_made_listed_and_revoked_beside_a_running_server(server: HoldfastProcess) -> None:
    made = holdfast("keys", "create", "--name", "billing", "--data-dir", server.data_dir)
    assert made.returncode == 0
    key = made.stdout.strip()
    assert re.fullmatch("sk_[A-Za-z0-9]{43}", key), "standard output holds the key and nothing else"
    said = re.search(r"API key (\w{26}) \(billing\)\. It is shown this once:", made.stderr)
    assert said is not None
    assert key not in made.stderr
    assert _status(server, key) == 200

    listed = holdfast("keys", "list", "--data-dir", server.data_dir)
    assert listed.returncode == 0
    assert key not in listed.stdout
    assert "first key" in listed.stdout
    assert re.search(rf"{said[1]}.*billing.*{key[-4:]}", listed.stdout)

    revoked = holdfast("keys", "revoke", said[1], "--data-dir", server.data_dir)
    assert (revoked.returncode, revoked.stderr.strip()) == (0, f"API key {said[1]} is revoked.")
    assert _status(server, key) == 401, "at once"
    assert _status(server, server.api_key) == 200, "and this one only"


@pytest.mark.parametrize("key_id", ["01ARZ3NDEKTSV4RRFFQ69G5FAV", "nonsense", "%", ""])
def test_revoking_a_key_that_is_not_in_force_says_so(server: HoldfastProcess, key_id: str) -> None:
    said = one_line(holdfast("keys", "revoke", key_id, "--data-dir", server.data_dir))
    assert said == f"there is no API key {key_id} in force"


def test_a_key_that_was_revoked_cannot_be_revoked_again(server: HoldfastProcess) -> None:
    made = holdfast("keys", "create", "--data-dir", server.data_dir)
    key_id = re.findall(r"API key (\w{26})", made.stderr)[0]
    assert holdfast("keys", "revoke", key_id, "--data-dir", server.data_dir).returncode == 0
    assert "in force" in one_line(holdfast("keys", "revoke", key_id, "--data-dir", server.data_dir))


# the rest


def test_settings_lists_every_setting_with_its_meaning() -> None:
    done = holdfast("settings")
    assert done.returncode == 0
    for item in fields(Config):
        line = next((line for line in done.stdout.splitlines() if f"HOLDFAST_{item.name.upper()} " in line), "")
        assert line, item.name
        assert re.search(r"[a-z]{3}", line.split("│")[3]), f"{item.name} has no meaning"


def test_demo_once_walks_the_journey_and_ends_with_the_figures() -> None:
    pytest.importorskip("workos")
    done = holdfast("demo", "--once")
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.rstrip().splitlines()[-1]
    assert re.search(r"\d+\.\d+ s", last), last
    assert re.search(r"refresh\w* .*\d", last), last
    assert "status" in last


def test_the_version_is_printed() -> None:
    from holdfast import __version__

    assert holdfast("version").stdout.strip() == __version__


@pytest.mark.parametrize("arguments", [("--help",), ("serve", "--help"), ("keys", "--help")])
def test_help_is_there(arguments: tuple[str, ...]) -> None:
    done = holdfast(*arguments)
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_an_unknown_command_or_option_ends_with_status_two_and_no_traceback() -> None:
    for arguments in (("dance",), ("serve", "--fast")):
        done = holdfast(*arguments)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
