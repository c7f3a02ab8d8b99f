"""A judge, a rig and a sheet of figures for each fault."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.figures import Figures, keep, seed
from tests.faults.rig import Rig
from tests.faults.telling import TOLD
from tests.parts.postgres import Postgres
from tests.parts.rotating_provider import RotatingProvider


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Iterator[Figures]:
    """This fault's figures: printed when all tests are done, and kept."""
    name = request.node.name.removeprefix("test_").replace("[", " ").rstrip("]")
    sheet = Figures(name, seed())
    yield sheet
    if sheet.values:
        keep(sheet)
        TOLD.append(sheet.line())


@pytest.fixture(scope="session")
def running_judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RotatingProvider]:
    provider = RotatingProvider(tmp_path_factory.mktemp("judge") / "server.log")
    yield provider
    provider.stop()


@pytest.fixture
def judge(running_judge: RotatingProvider) -> RotatingProvider:
    """The token server, with nothing seen yet."""
    running_judge.reset()
    return running_judge


@pytest.fixture
def dsn(postgres: Postgres) -> Iterator[str]:
    made = postgres.fresh_database()
    yield made
    postgres.drop(made)


@pytest.fixture
def rigs(judge: RotatingProvider, tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """Make rigs; whatever they have started is ended after the test."""
    made: list[Rig] = []

    def make(**options: object) -> Rig:
        made.append(Rig(judge, options.pop("data_dir", tmp_path / "data"), **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for rig in made:
        rig.close()
