"""Dotted paths into a JSON document: `authed_user.id`, `data[0].id`, `[0].code`."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from holdfast.oauth2.dialect import Path

_STEP = re.compile(r"\[(?P<index>[0-9]+)\]|(?:^|(?<=.)\.)(?P<name>[^.\[\]]+)")


def first(document: object, path: Path | None) -> object | None:
    """Return what `path` leads to, or None. Of several paths the first that leads to something counts."""
    if path is None:
        return None
    if isinstance(path, str):
        return _follow(document, path)
    for one in path:
        found = _follow(document, one)
        if found is not None:
            return found
    return None


def _follow(document: object, path: str) -> object | None:
    steps = steps_of(path)
    if len(steps) == 1 and document.__class__ is dict:
        return document.get(steps[0])
    for step in steps:
        if isinstance(step, int):
            if not isinstance(document, Sequence) or isinstance(document, str) or step >= len(document):
                return None
            document = document[step]
        else:
            # A plain dict is what every reply is made of; the wider question costs ten times as much.
            if not isinstance(document, dict) and not isinstance(document, Mapping):
                return None
            document = document.get(step)
    return document


@lru_cache(maxsize=2048)
def steps_of(path: str) -> tuple[str | int, ...]:
    """Split a path. Raises ValueError if it is not one: paths come from the catalogue, not from replies."""
    steps: list[str | int] = []
    at = 0
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            raise ValueError(f"not a path: {path!r}")
        steps.append(match["name"] if match["index"] is None else int(match["index"]))
        at = match.end()
    if not steps:
        raise ValueError("an empty path leads nowhere")
    return tuple(steps)
