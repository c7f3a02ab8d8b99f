"""An outbound HTTP exchange as two values, so that rooms can build and read one without doing I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """What to send. The headers and the body may hold secrets and are left out of the repr, as is the query."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)

    @property
    def shown_url(self) -> str:
        """Return the URL without query and fragment: fit for a log."""
        return self.url.split("#", 1)[0].split("?", 1)[0]


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. Header names are lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
