"""What an operator reads who has made a mistake: one line that says what to do, no password, status 2."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_transcripts import holdfast, one_line
from tests.operations.fleet import free_port
from tests.parts.cluster import Server
from tests.parts.postgres import Postgres

CANARY = "canary%21word"
PLAIN = "canary!word"


@pytest.fixture(scope="module")
def guarded(postgres: Postgres) -> Iterator[Server]:
    """A server with a user who has a password."""
    server = Server(postgres.bin_path, postgres.data_dir.stat().st_uid, free_port())
    server.create()
    server.start()
    server.ask_for_a_password("keeper", "the right one")
    yield server
    server.remove()


def _refused(tmp_path: Path, *arguments: str, **env: str) -> str:
    said = one_line(holdfast("serve", "--port", "0", "--data-dir", tmp_path, *arguments, env=env))
    assert CANARY not in said
    assert PLAIN not in said
    assert not list(tmp_path.iterdir()), "nothing is made before it is known to work"
    return said


@pytest.mark.parametrize("workers", ["0", "-1", "1000", "65"])
def test_a_number_of_workers_that_cannot_be(tmp_path: Path, workers: str) -> None:
    said = "workers must be 1 to 64: one per core is enough"
    assert _refused(tmp_path, "--workers", workers) == said
    assert _refused(tmp_path, HOLDFAST_WORKERS=workers) == said


def test_workers_that_are_no_number(tmp_path: Path) -> None:
    assert "'--workers'" in _refused(tmp_path, "--workers", "many")
    assert _refused(tmp_path, HOLDFAST_WORKERS="many") == "HOLDFAST_WORKERS is not a valid int: 'many'"


def test_workers_on_sqlite(tmp_path: Path) -> None:
    said = "more than 1 worker needs PostgreSQL (HOLDFAST_DATABASE): on SQLite all would wait for one writer"
    assert _refused(tmp_path, "--workers", "2") == said


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_database_that_does_not_answer(tmp_path: Path, workers: str) -> None:
    said = _refused(
        tmp_path, "--workers", workers, "--database", f"postgresql://keeper:{CANARY}@127.0.0.1:{free_port()}/x"
    )
    assert said.startswith("cannot reach the PostgreSQL database: ")
    assert said.endswith("; check that it runs, and the host and port in HOLDFAST_DATABASE")


def test_a_host_that_nobody_knows(tmp_path: Path) -> None:
    said = _refused(tmp_path, "--database", f"postgresql://keeper:{CANARY}@no-such-host.invalid/x")
    assert said.startswith("cannot reach the PostgreSQL database: ")
    assert "check that it runs, and the host and port" in said


@pytest.mark.parametrize(
    "where", ["postgresql://keeper:{0}@127.0.0.1:{1}/x", "postgresql://keeper@127.0.0.1:{1}/x?password={0}"]
)
def test_a_wrong_password(tmp_path: Path, guarded: Server, where: str) -> None:
    said = _refused(tmp_path, "--database", where.format(CANARY, guarded.port))
    assert said == (
        'cannot reach the PostgreSQL database: password authentication failed for user "keeper"; '
        "check the user and the password in HOLDFAST_DATABASE"
    )


def test_a_database_that_is_not_there(tmp_path: Path, guarded: Server) -> None:
    said = _refused(tmp_path, "--database", f"postgresql://postgres@127.0.0.1:{guarded.port}/nowhere")
    assert 'database "nowhere" does not exist; create it (createdb), or correct its name' in said


def test_a_database_that_reports_as_done_what_is_not_on_disk(tmp_path: Path, guarded: Server) -> None:
    guarded.sql("CREATE ROLE hasty LOGIN SUPERUSER")
    address = f"postgresql://hasty@127.0.0.1:{guarded.port}/postgres"
    guarded.sql("ALTER ROLE hasty SET synchronous_commit = off")
    said = (
        "this PostgreSQL reports transactions as done before they are on disk (synchronous_commit = off): "
        "a token could leave with no entry of it; set synchronous_commit to on"
    )
    assert _refused(tmp_path, "--database", address) == said
    assert _refused(tmp_path, "--database", address, "--workers", "2") == said


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://keeper:{CANARY}/x@127.0.0.1/x",
        f"postgresql://keeper:{CANARY}#x@127.0.0.1/x",
        f"postgresql://keeper:{CANARY}?x@127.0.0.1/x",
        f"postgresql://keeper:{CANARY}@127.0.0.1:port/x",
        f"postgresql://keeper:{CANARY}@[::1/x",
        f"postgresql://keeper:{CANARY}@127.0.0.1/x?target_session_attrs=sideways",
        f"postgresql://keeper:{CANARY}@127.0.0.1/x?sslmode=perhaps",
    ],
)
def test_an_address_that_cannot_be_read(tmp_path: Path, url: str) -> None:
    said = _refused(tmp_path, "--database", url)
    assert said.startswith("the database's address cannot be read: it is postgresql://user:password@host:port/name")


@pytest.mark.parametrize("url", ["postgres", "mysql://a/b", "sqlite://relative.db", "http://db/x"])
def test_an_address_of_another_kind(tmp_path: Path, url: str) -> None:
    assert _refused(tmp_path, "--database", url) == "database must be sqlite:///path or postgresql://user@host/name"


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"HOLDFAST_DRAIN_DELAY": "-1"}, "drain_delay must be 0 to 300 seconds"),
        ({"HOLDFAST_DRAIN_DELAY": "soon"}, "HOLDFAST_DRAIN_DELAY is not a valid float: 'soon'"),
        ({"HOLDFAST_DATABASE_POOLER": "session"}, "database_pooler must be auto, none or transaction"),
        ({"HOLDFAST_DATABASE_CONNECTIONS": "1"}, "database_connections must be 2 to 500"),
        ({"HOLDFAST_MIGRATE": "perhaps"}, "migrate must be auto, always or never"),
        ({"HOLDFAST_MIN_TTL": "-1"}, "min_ttl must be 0 to 3600 seconds"),
        ({"HOLDFAST_MIN_TTL": "3601"}, "min_ttl must be 0 to 3600 seconds"),
        ({"HOLDFAST_MIN_TTL": "nan"}, "HOLDFAST_MIN_TTL is not a valid int: 'nan'"),
        ({"HOLDFAST_OUTBOUND_TIMEOUT": "nan"}, "outbound_timeout must be above 0"),
        ({"HOLDFAST_DRAIN_DELAY": "nan"}, "drain_delay must be 0 to 300 seconds"),
    ],
)
def test_a_setting_out_of_range(tmp_path: Path, env: dict[str, str], said: str) -> None:
    assert said in _refused(tmp_path, **env)


def test_a_password_is_not_in_what_a_good_start_prints(tmp_path: Path, guarded: Server) -> None:
    from tests.parts.server import HoldfastProcess

    guarded.sql("ALTER ROLE keeper SUPERUSER")
    address = f"postgresql://keeper@127.0.0.1:{guarded.port}/postgres?password=the%20right%20one"
    server = HoldfastProcess(tmp_path, database=address)
    assert server.announced["Database"] == f"postgresql://keeper@127.0.0.1:{guarded.port}/postgres"
    assert "right" not in server.log()
    assert server.stop() == 0
