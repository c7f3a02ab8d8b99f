"""Which sites' pages may use a widget's token from a browser (the Fetch standard's CORS protocol).

A list of its own, and not the origins of the redirect URIs: to send a browser to a site is one thing, to let its script
act for a user another. In development loopback origins need no registration. An origin is compared as the browser
writes it: scheme, host and port, no slash.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from holdfast.access.redirects import split_redirect
from holdfast.access.widgets import store
from holdfast.errors import Invalid
from holdfast.storage import Database

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
LONGEST_ORIGIN = 300
_USUAL_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class CorsOrigin:
    environment_id: str
    id: str
    origin: str
    created_at: float


def check_origin(text: str) -> str:
    """Return the origin as browsers write it. Raises Invalid for what is none, and for http beyond loopback."""
    try:
        parts = split_redirect(text)
    except Invalid as error:
        raise Invalid(error.message.replace("return_to", "origin", 1), code="invalid_origin") from None
    if parts.path not in ("", "/") or parts.query or parts.fragment or text.endswith(("?", "#")):
        raise Invalid("origin must be scheme, host and port only", code="invalid_origin")
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, _USUAL_PORTS[parts.scheme]) else f":{parts.port}"
    origin = f"{parts.scheme}://{host}{port}"
    if len(origin) > LONGEST_ORIGIN:
        raise Invalid(f"origin is longer than {LONGEST_ORIGIN} characters", code="invalid_origin")
    return origin


class Origins:
    def __init__(self, database: Database, *, base_url: str, dev: bool) -> None:
        self._database, self._dev = database, dev
        self._own = "{0.scheme}://{0.netloc}".format(urlsplit(base_url))

    async def allows(self, origin: str, environment_id: str | None) -> bool:
        """Tell whether pages of `origin` may ask. None: in any environment, for a preflight, which bears no token."""
        if origin == self._own:
            return True
        try:
            if check_origin(origin) != origin:
                return False
        except Invalid:
            return False
        if self._dev and split_redirect(origin).hostname in _LOOPBACK:
            return True
        return await self._database.transact(lambda tx: store.has_origin(tx, origin, environment_id))
