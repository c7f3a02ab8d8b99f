"""What the commands share: options that several take, the settings, and the loop that they run on."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from holdfast import config

T = TypeVar("T")

DataDir = Annotated[Path | None, typer.Option(help="Where the embedded database and the key file live.")]
InEnvironment = Annotated[
    str | None, typer.Option("--environment", help="The environment's name or id. Without it, the first one.")
]
DatabaseUrl = Annotated[str | None, typer.Option(help="sqlite:///path or postgresql://user@host/name")]


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run on uvloop where there is one: it costs half of what asyncio's own loop does per request."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def settings_of(**overrides: Any) -> config.Config:
    return config.load(**overrides)
