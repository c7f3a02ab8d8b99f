"""Page tokens: where a page begins, in at most 32 characters that only we can make, for one list of one caller."""

import base64
import binascii
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from holdfast import ids
from holdfast.api.scalekit.rpc import Call
from holdfast.errors import Invalid
from holdfast.vault import Vault

T = TypeVar("T")
_MAC_BYTES = 6
_FORWARD, _BACK = 0, 1


@dataclass(frozen=True, slots=True)
class Start:
    """Rows after this id in the list's order, or before it. None and None = the first page."""

    after: str | None = None
    before: str | None = None

    def cut(self, found: Sequence[T], size: int) -> tuple[list[T], bool, bool]:
        """Cut what was fetched (up to size + 1 rows) to the page; tell whether there is more after it, and before."""
        backwards, more = self.before is not None, len(found) > size
        rows = list(found[-size:] if backwards else found[:size])
        if not rows:
            return rows, False, False
        return (rows, True, more) if backwards else (rows, more, self.after is not None)


class Pages:
    """Issues and reads page tokens. A token of another list, filter or environment is refused like a made-up one."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def start(self, call: Call, token: str, *what: str) -> Start:
        """Return where a page begins. `what`: the filters that the list was asked with. Raises Invalid."""
        if not token:
            return Start()
        refused = Invalid("the page token is not valid for this list", code="invalid_page_token", fields=[_FIELD])
        try:
            data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise refused from None
        if len(data) != 17 + _MAC_BYTES or data[0] not in (_FORWARD, _BACK):
            raise refused
        if not hmac.compare_digest(data[17:], self._mac(call, data[:17], what)):
            raise refused
        found = ids.encode(int.from_bytes(data[1:17]))
        return Start(after=found) if data[0] == _FORWARD else Start(before=found)

    def after(self, call: Call, row_id: str, *what: str) -> str:
        """Return the token of the page that follows this row."""
        return self._token(call, _FORWARD, row_id, what)

    def before(self, call: Call, row_id: str, *what: str) -> str:
        """Return the token of the page that ends before this row."""
        return self._token(call, _BACK, row_id, what)

    def _token(self, call: Call, direction: int, row_id: str, what: tuple[str, ...]) -> str:
        data = bytes([direction]) + ids.decode(row_id).to_bytes(16)
        return base64.urlsafe_b64encode(data + self._mac(call, data, what)).decode().rstrip("=")

    def _mac(self, call: Call, data: bytes, what: tuple[str, ...]) -> bytes:
        text = "\x00".join((call.environment_id, call.method.name, *what, data.hex()))
        return bytes.fromhex(self._vault.lookup_hash("page token", text))[:_MAC_BYTES]


_FIELD = {"field": "page_token", "description": "is not valid for this list", "code": "page_token"}
