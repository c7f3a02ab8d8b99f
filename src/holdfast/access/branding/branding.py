"""The record, and reading what an administrator typed."""

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from holdfast.errors import Unprocessable

LONGEST_NAME = 60
"""Characters: a heading of two lines on a phone."""
LONGEST_URL = 2000

_COLOUR = re.compile(r"#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Branding:
    """ "" stands for none: the server's own name, our colour, no way home, and the language that a browser asks for."""

    name: str = ""
    accent: str = ""
    """`#rrggbb`, small letters."""
    home_url: str = ""
    """Where "back to the app" leads where the app named no place to return to."""
    language: str = ""
    """For browsers that ask for none of ours."""
    logo: str = ""
    """The digest that the logo is served under."""


NO_BRANDING = Branding()


def read_branding(
    *, name: str, accent: str, home_url: str, language: str, languages: Collection[str], dev: bool
) -> Branding:
    """Return what was typed, without a logo. Raises Unprocessable with an item in `fields` for each that is wrong."""
    faults: list[dict[str, str]] = []

    def check(field: str, fits: bool, message: str) -> None:
        if not fits:
            faults.append({"field": field, "code": "invalid", "message": message})

    check("name", len(name) <= LONGEST_NAME, f"At most {LONGEST_NAME} characters.")
    # Cc, Cf: a name with marks that turn the direction of text could make a page's sentence say something else.
    printable = not any(unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp") for letter in name)
    check("name", printable, "It holds characters that cannot be seen.")
    check("accent", not accent or _COLOUR.fullmatch(accent) is not None, "Write it like #1b5bd7.")
    message = "An address like https://app.example.com" + (", or on this machine." if dev else ".")
    check("home_url", not home_url or _is_home(home_url, dev=dev), message)
    check("language", not language or language in languages, "Choose one of the list.")
    if faults:
        raise Unprocessable(faults[0]["message"], code="invalid_branding", fields=faults)
    return Branding(name, _plain(accent), home_url, language)


def _plain(accent: str) -> str:
    digits = accent.removeprefix("#").lower()
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    return f"#{digits}" if digits else ""


def _is_home(url: str, *, dev: bool) -> bool:
    """Tell whether this is a web page's absolute address: no script's, and no file's."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    host = parts.hostname or ""
    safe = parts.scheme == "https" or (dev and parts.scheme == "http" and host in _LOOPBACK)
    plain = url.isascii() and not any(letter <= " " or letter in '\\"<>' for letter in url)
    return bool(safe and host and plain and "@" not in parts.netloc and len(url) <= LONGEST_URL)
