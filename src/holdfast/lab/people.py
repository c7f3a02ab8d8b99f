"""The sandbox's people and scopes. All are invented; `sub` never changes, so that an identity can be pinned to it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    sub: str
    name: str
    email: str


PEOPLE = (
    Person("usr_ada", "Ada Lindqvist", "ada@sandbox.test"),
    Person("usr_grace", "Grace Okonedo", "grace@sandbox.test"),
    Person("usr_linus", "Linus Tamm", "linus@sandbox.test"),
)

SCOPES = {
    "read": "Read what you keep in Sandbox",
    "write": "Change what you keep in Sandbox",
    "offline": "Stay connected while you are away",
    "profile": "See your name and email address",
}

DEFAULT_SCOPES = ("read",)
"""Granted when a request names none: RFC 6749 section 3.3 lets a server have a default."""


def person(name: str | None) -> Person | None:
    """Return the person with that `sub` or e-mail address, or None."""
    return next((known for known in PEOPLE if name in (known.sub, known.email)), None)
