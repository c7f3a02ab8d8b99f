"""Scopes as sets of words: what was asked for and not granted."""

from collections.abc import Mapping, Sequence


def missing(
    requested: Sequence[str], granted: Sequence[str], implies: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """Return the requested scopes that were not granted, in the order requested.

    A granted scope brings those it implies, and those they imply: GitHub answers `repo` to a request for
    `repo` and `repo:status`
    (https://docs.github.com/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps#normalized-scopes).
    """
    held: set[str] = set()
    queue = list(granted)
    while queue:
        scope = queue.pop()
        if scope not in held:
            held.add(scope)
            queue.extend(implies.get(scope, ()))
    return tuple(scope for scope in dict.fromkeys(requested) if scope not in held)
