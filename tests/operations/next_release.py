"""The release after this one, as far as its schema goes: a copy of the source with one more migration, which adds a
table, a column that may be NULL and one with a default, and code that knows of them."""

import shutil
from pathlib import Path

import holdfast
from holdfast.storage.migrations import HEAD

NEXT = f"{int(HEAD) + 1:04d}"

_EXPAND = f'''"""What the next release adds."""

import sqlalchemy as sa
from alembic import op

revision = "{NEXT}"
down_revision = "{HEAD}"
min_compatible = "{{oldest}}"


def upgrade() -> None:
    op.add_column("accounts", sa.Column("colour", sa.Text(), nullable=True))
    op.add_column("entries", sa.Column("weight", sa.Integer(), nullable=False, server_default="1"))
    op.create_index("ix_accounts_colour", "accounts", ["environment_id", "colour"])
    op.create_table(
        "notes",
        sa.Column("environment_id", sa.String(length=26), primary_key=True),
        sa.Column("id", sa.String(length=26), primary_key=True),
    )
'''


def make(folder: Path, *, oldest: str = HEAD) -> Path:
    """Write the next release's source below `folder`; return what goes into PYTHONPATH. `oldest` is the version of the
    code that its migration says still works."""
    target = folder / "holdfast"
    shutil.copytree(Path(holdfast.__file__).parent, target, ignore=shutil.ignore_patterns("__pycache__"))
    migrations = target / "storage" / "migrations"
    (migrations / "versions" / f"v{NEXT}.py").write_text(_EXPAND.format(oldest=oldest))
    _replace(migrations / "__init__.py", f'HEAD = "{HEAD}"', f'HEAD = "{NEXT}"')
    store = target / "accounts" / "store" / "table.py"
    version = 'Column("version", Count, nullable=False),'
    _replace(store, version, f'Column("colour", Text), {version}')
    return folder


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, (path, old)
    path.write_text(text.replace(old, new))
