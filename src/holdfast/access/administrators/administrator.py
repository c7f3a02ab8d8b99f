"""The records, and what each role may do."""

import re
from dataclasses import dataclass
from enum import StrEnum

from holdfast.errors import Unprocessable
from holdfast.events import Actor


class Role(StrEnum):
    OWNER = "owner"
    ADMIN = "admin"
    DEVELOPER = "developer"
    VIEWER = "viewer"


class Right(StrEnum):
    """What a page or an act of the dashboard asks for."""

    SEE = "see"
    """Look at everything that is no secret."""
    CONNECT = "connect"
    """Make links, refresh, suspend, resume, disconnect and delete accounts."""
    CONFIGURE = "configure"
    """Connections and their clients, providers, webhook endpoints, environment settings."""
    KEYS = "keys"
    """Make and revoke API keys and SDK clients, see webhook secrets."""
    PEOPLE = "people"
    """Invite, change and disable administrators below owner."""
    OWN = "own"
    """Make and unmake owners, make environments."""


_RIGHTS: dict[Role, frozenset[Right]] = {
    Role.VIEWER: frozenset({Right.SEE}),
    Role.DEVELOPER: frozenset({Right.SEE, Right.CONNECT, Right.CONFIGURE}),
    Role.ADMIN: frozenset({Right.SEE, Right.CONNECT, Right.CONFIGURE, Right.KEYS, Right.PEOPLE}),
    Role.OWNER: frozenset(Right),
}


def may(role: Role, right: Right) -> bool:
    return right in _RIGHTS[role]


@dataclass(frozen=True, slots=True, kw_only=True)
class Administrator:
    id: str
    email: str
    """Lower case; unique."""
    name: str
    role: Role
    created_at: float
    password: str | None = None
    """The argon2id hash; None for who signs in elsewhere."""
    subject: str | None = None
    """`issuer subject` of an OpenID Connect sign-in; pinned at the first one."""
    failures: int = 0
    """Wrong passwords since the last right one."""
    wait_until: float | None = None
    """No password is looked at before this time."""
    disabled_at: float | None = None

    def actor(self) -> Actor:
        return Actor("administrator", self.id)

    def __repr__(self) -> str:
        return f"Administrator({self.id} {self.role})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    id: str
    administrator_id: str
    hash: str
    created_at: float
    seen_at: float
    ends_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """A one-time link: to become an administrator, or to choose a new password."""

    id: str
    hash: str
    email: str
    """"" for the very first, who says who they are."""
    role: Role
    ends_at: float


FREE_TRIES = 5
LONGEST_WAIT = 900.0


def wait_after(failures: int) -> float:
    """Return the seconds to wait after so many wrong passwords: none for the first few, then doubling to 15 minutes."""
    if failures < FREE_TRIES:
        return 0.0
    return float(min(LONGEST_WAIT, 2 ** min(failures - FREE_TRIES + 1, 12)))


_EMAIL = re.compile(r"[^@\s<>\"'\\]{1,64}@[^@\s<>\"'\\]{1,190}\.[^@\s<>\"'\\.]{2,63}|[^@\s<>\"'\\]{1,64}@localhost")
SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 256
MOST_COMMON = frozenset(
    (
        "password1234",
        "passwordpassword",
        "password12345",
        "123456789012",
        "1234567890123",
        "qwertyuiop12",
        "qwertyuiopas",
        "letmeinletmein",
        "administrator",
        "iloveyou1234",
        "holdfastholdfast",
        "changemechangeme",
        "welcomewelcome",
    )
)


def checked_email(text: str) -> str:
    """Return the address in lower case. Raises Unprocessable naming the field `email`."""
    email = text.strip().lower()
    if _EMAIL.fullmatch(email) is None:
        raise refused("email", "this is not an e-mail address")
    return email


def checked_name(text: str) -> str:
    name = " ".join(text.split())
    if not 1 <= len(name) <= 100:
        raise refused("name", "a name of 1 to 100 characters, please")
    return name


def check_password(text: str, email: str) -> None:
    """Raise Unprocessable unless the password is long enough and no obvious one (NIST SP 800-63B 5.1.1.2)."""
    if len(text) < SHORTEST_PASSWORD:
        raise refused("password", f"a password of at least {SHORTEST_PASSWORD} characters, please")
    if len(text) > LONGEST_PASSWORD:
        raise refused("password", f"at most {LONGEST_PASSWORD} characters, please")
    lowered = text.lower()
    if lowered in MOST_COMMON or len(set(lowered)) < 4 or lowered in (email, email.split("@")[0]):
        raise refused("password", "this one is too easy to guess")


def refused(field: str, message: str) -> Unprocessable:
    return Unprocessable(message, code=f"invalid_{field}", fields=[{"field": field, "message": message}])
