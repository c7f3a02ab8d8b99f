"""`holdfast settings`: every setting, read from the Config class itself so that none is left out."""

import ast
import inspect
from dataclasses import fields

from rich.console import Console
from rich.table import Table

from holdfast import config


def described() -> list[tuple[str, str, str]]:
    """Return (variable, default, meaning) of each setting."""
    body = ast.parse(inspect.getsource(config.Config)).body[0]
    assert isinstance(body, ast.ClassDef)  # noqa: S101  (the parser's type, not a check)
    meanings: dict[str, str] = {}
    for item, follower in zip(body.body, body.body[1:], strict=False):
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            meaning = follower.value if isinstance(follower, ast.Expr) else None
            if isinstance(meaning, ast.Constant) and isinstance(meaning.value, str):
                meanings[item.target.id] = " ".join(meaning.value.split())
    defaults = config.Config()
    return [
        (f"HOLDFAST_{item.name.upper()}", _shown(getattr(defaults, item.name)), meanings.get(item.name, ""))
        for item in fields(config.Config)
    ]


def _shown(value: object) -> str:
    return "" if value in (None, {}) else str(value)


def show(console: Console) -> None:
    table = Table("Variable", "Default", "Meaning")
    for row in described():
        table.add_row(*row)
    console.print(table)
