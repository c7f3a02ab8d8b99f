"""`holdfast audit` as an operator meets it."""

import json
import sqlite3
import time
from pathlib import Path

import pytest

from tests.cli.test_transcripts import holdfast, one_line
from tests.parts.server import HoldfastProcess


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """The data directory of a server that has sealed its log and written a checkpoint, and was stopped."""
    kept = tmp_path / "kept" / "checkpoints.jsonl"
    kept.parent.mkdir()
    data_dir = tmp_path / "data"
    env = {"HOLDFAST_SEAL_INTERVAL": "0.05", "HOLDFAST_CHECKPOINT_FILE": str(kept)}
    for _ in range(2):  # the checkpoint is due when the server starts, and by then it has nothing to tell
        server = HoldfastProcess(data_dir, env=env)
        until = time.monotonic() + 20
        while not _seals(data_dir) and time.monotonic() < until:
            time.sleep(0.05)
        server.stop()
    until = time.monotonic() + 20
    assert kept.exists()
    return data_dir


def _seals(data_dir: Path) -> int:
    with sqlite3.connect(data_dir / "holdfast.db") as connection:
        return int(connection.execute("SELECT count(*) FROM seals").fetchone()[0])


def _tamper(data_dir: Path, statement: str) -> None:
    with sqlite3.connect(data_dir / "holdfast.db") as connection:
        assert connection.execute(statement).rowcount > 0


def test_the_log_is_verified_exported_and_what_was_done_to_it_is_told(sealed: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept" / "checkpoints.jsonl"
    done = holdfast("audit", "verify", "--data-dir", sealed, "--checkpoint", kept)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 2, "the environment, and the installation's own"
    assert all("  good: " in line for line in done.stdout.splitlines())
    only = ("--environment", "default")
    done = holdfast("audit", "verify", "--data-dir", sealed, "--checkpoint", kept, *only)
    environment_id, _, told = done.stdout.strip().partition("  ")
    assert told == "good: 3 entries, 1 seals, 2 checkpoints"

    done = holdfast("audit", "export", "--data-dir", sealed, "--environment", "default")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["entry"]["action"] for line in lines if "entry" in line] == [
        "environment.created",
        "api_key.created",
        "client.created",
    ]
    assert lines[0]["environment_id"] == environment_id

    _tamper(sealed, "UPDATE entries SET actor_id = 'somebody' WHERE action = 'api_key.created'")
    done = holdfast("audit", "verify", "--data-dir", sealed, *only)
    assert done.returncode == 1
    assert done.stdout == (f"{environment_id}  BAD at seal 1: an entry was changed. Entry {lines[2]['entry']['id']}.\n")

    for table in ("entries", "seals", "checkpoints", "log_cursors"):
        _tamper(sealed, f"DELETE FROM {table}")
    assert holdfast("audit", "verify", "--data-dir", sealed).returncode == 0, "nothing is left to compare with"
    done = holdfast("audit", "verify", "--data-dir", sealed, "--checkpoint", kept)
    assert done.returncode == 1
    assert "tail is cut" in done.stdout


def test_a_file_without_checkpoints_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("hello\n")
    said = one_line(holdfast("audit", "verify", "--data-dir", tmp_path, "--checkpoint", tmp_path / "other.txt"))
    assert said == f"there is no checkpoint in {tmp_path / 'other.txt'}"
    said = one_line(holdfast("audit", "verify", "--data-dir", tmp_path / "new"))
    assert "start the server once" in said
