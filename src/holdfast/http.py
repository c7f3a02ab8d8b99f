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

    @property
    def retry_seconds(self) -> float:
        """The seconds to wait that it asks for (RFC 9110 section 10.2.3, the number only), 0 if it does not."""
        text = self.headers.get("retry-after", "")
        return float(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0.0
