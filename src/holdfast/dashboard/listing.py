"""What a list of accounts is filtered by, as its address says it and as a store understands it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from holdfast.accounts import Listing, Status

STATUSES: tuple[tuple[str, str], ...] = (
    ("", "Any status"),
    ("active", "Active"),
    ("pending", "Pending"),
    ("verifying", "Verifying"),
    ("expired", "Expired"),
    ("error", "Error"),
    ("revoked", "Disconnected"),
    ("suspended", "Suspended"),
)


@dataclass(frozen=True, slots=True)
class Filters:
    status: str = ""
    connection: str = ""
    owner: str = ""
    q: str = ""

    @classmethod
    def read(cls, say: Callable[[str], str]) -> "Filters":
        """Read the filters from a query or a form; a status that is none is no filter."""
        status = say("status")
        known = status if status in Status.__members__.values() else ""
        return cls(known, say("connection").strip(), say("owner").strip(), say("q").strip())

    def listing(self) -> Listing:
        return Listing(
            statuses=(Status(self.status),) if self.status else (),
            connection_ids=(self.connection,) if self.connection else None,
            owner=self.owner,
            text=self.q,
        )

    def given(self) -> Mapping[str, str]:
        """Return the filters that are set, by their names in the address."""
        said = {"status": self.status, "connection": self.connection, "owner": self.owner, "q": self.q}
        return {name: value for name, value in said.items() if value}

    def query(self, **more: str) -> str:
        return "?" + urlencode({**self.given(), **more})
