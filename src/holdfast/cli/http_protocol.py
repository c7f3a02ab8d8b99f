"""uvicorn's HTTP protocol with a bound on what a request may hold before its body: address and headers.

httptools itself has none, so a caller without a key could fill the memory with one header that never ends.
"""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 65_536
"""Twice what browsers and proxies allow. What arrives with the last of it is let through: the bound is on memory."""


class BoundedHttpProtocol(HttpToolsProtocol):
    _in_head = True
    _head_bytes = 0

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)  # set back below where a head ends within this data
        super().data_received(data)
        if self._in_head and self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The request's headers are too large.")

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head, self._head_bytes = True, 0
