"""What a caller may like to know of a credential that is served all the same."""

from collections.abc import Sequence

WARNING_HEADER = "x-holdfast-warning"


def warnings(words: Sequence[str]) -> dict[str, str]:
    """Return the words in a header that the SDKs ignore: printable ASCII, 500 characters at most."""
    said = "; ".join(words)
    safe = "".join(c if 32 <= ord(c) < 127 else " " for c in said)
    return {WARNING_HEADER: safe[:500]} if safe else {}
