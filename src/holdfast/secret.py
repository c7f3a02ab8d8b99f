"""A value that must not be seen. It prints as `<sealed>`, compares in constant time, and is shown only on request."""

import hmac
from typing import NoReturn


class Secret:
    """A secret in clear, in memory. `reveal()` is the one way to its text, so every use can be found by that word."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def last4(self) -> str:
        """Return the last four characters; of a secret under eight nothing, as four would be half of it."""
        return self._text[-4:] if len(self._text) >= 8 else ""

    def __repr__(self) -> str:
        return "<sealed>"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return "<sealed>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(("Secret", self._text))

    def __bool__(self) -> bool:
        return bool(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")


def scrub(text: str, *known: "Secret | str | None", limit: int = 500) -> str:
    """Return `text` with every known secret (of six characters or more) replaced, cut to `limit` characters."""
    for item in known:
        value = item.reveal() if isinstance(item, Secret) else item
        if value and len(value) >= 6:
            text = text.replace(value, "<sealed>")
    return text[:limit]
