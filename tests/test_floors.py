"""The house itself: floors, where SQL and providers' names may stand, and that no setting is undocumented."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.cli.settings import described

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "holdfast"
FILES = sorted(SOURCE.rglob("*.py"))

_SQL_ROOMS = {"storage"}
_MAY_BE_IMPORTED = {"Connection", "DBAPIError", "IntegrityError", "OperationalError", "SQLAlchemyError"}

# Of the catalogue's names those that are no common words. `google.protobuf`, `.rpc` and `.api` are packages.
_NAMES = re.compile(
    r"(?<![a-z])(airtable|anthropic|asana|atlassian|discord|dropbox|github|gitlab|gmail"
    r"|google(?!\.(?:protobuf|rpc|api)\b)"
    r"|hubspot|intercom|jira"
    r"|microsoft|openai|outlook|quickbooks|salesforce|sendgrid|shopify|slack|stripe|xero|zendesk|zoom)(?![a-z])",
    re.IGNORECASE,
)


def _is_store(path: Path) -> bool:
    """A room's SQL is its `store.py`, or, where that grew too long for one file, the files of its `store` package."""
    return path.name == "store.py" or path.parent.name == "store"


def _room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0]


def test_a_room_imports_only_from_the_floors_below_it() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]


def _sqlalchemy_imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sqlalchemy":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "sqlalchemy")


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if _room(path) not in _SQL_ROOMS and not _is_store(path)],
    ids=lambda path: path.relative_to(SOURCE).as_posix(),
)
def test_sql_stands_in_stores_and_in_storage_only(path: Path) -> None:
    text = path.read_text()
    assert set(_sqlalchemy_imports(ast.parse(text))) <= _MAY_BE_IMPORTED
    assert "exec_driver_sql" not in text


def _words(tree: ast.AST) -> Iterator[str]:
    """Return the names and strings of a module that do something: no comment, no documentation."""
    explained = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) or (isinstance(node, ast.keyword) and node.arg == "help")
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in explained:
            yield node.value
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if _room(path) != "lab" and path.parent.name != "proto"],
    ids=lambda path: path.relative_to(SOURCE).as_posix(),
)
def test_what_a_provider_does_differently_is_data_and_not_python(path: Path) -> None:
    assert [word for word in _words(ast.parse(path.read_text())) if _NAMES.search(word)] == []


def test_the_names_looked_for_are_in_the_catalogue() -> None:
    slugs = {path.stem for path in (SOURCE / "providers" / "catalog").glob("*.yaml")}
    assert len([slug for slug in slugs if _NAMES.search(slug)]) > 20
    assert list(filter(_NAMES.search, _words(ast.parse("if provider == 'github': slack_quirk()")))) == [
        "github",
        "slack_quirk",
    ]


def _documented() -> dict[str, tuple[str, str]]:
    page = (ROOT / "docs" / "operating.md").read_text()
    rows = re.findall(r"^\| `(HOLDFAST_\w+)` \| (.*?) \| (.*?) \|$", page, re.MULTILINE)
    return {name: (default.strip("` "), meaning) for name, default, meaning in rows}


def test_every_setting_is_described_in_the_operators_page_as_the_code_has_it() -> None:
    assert _documented() == {name: (default, meaning) for name, default, meaning in described()}


def test_every_setting_says_what_it_is_for() -> None:
    assert [name for name, _, meaning in described() if len(meaning) < 10] == []
