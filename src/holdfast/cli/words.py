"""What commands say, and in whose name they act."""

from typing import Protocol

from rich.console import Console

from holdfast.events import Actor

OPERATOR = Actor("operator")


def say(words: str) -> None:
    """Tell the operator something that is no result: it goes to standard error."""
    Console(stderr=True, highlight=False).print(words)


class OfSomebody(Protocol):
    """An owner, or what names one; each "" where there is none."""

    @property
    def user_id(self) -> str: ...

    @property
    def organization_id(self) -> str: ...


def whose(one: OfSomebody) -> str:
    return " in ".join(filter(None, (one.user_id, one.organization_id)))
