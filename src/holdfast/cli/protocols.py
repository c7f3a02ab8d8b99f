"""One port for HTTP/1.1 and HTTP/2: told apart by ALPN under TLS, and in clear by the first bytes (prior knowledge,
RFC 9113 section 3.3). Each with what one turn of the loop writes joined."""

import asyncio
from typing import Any, ClassVar

import zttp
from uvicorn.config import Config
from uvicorn.protocols.http.auto_zttp_impl import HTTP2_PREFACE, AutoZttpProtocol
from uvicorn.protocols.http.zttp_h2_impl import ZttpH2Protocol
from uvicorn.server import ServerState

from holdfast.cli.corked import Corked
from holdfast.cli.http_protocol import HEAD_SECONDS, BoundedHttpProtocol

H2_IDLE_SECONDS = 1200
"""gRPC clients keep a channel open and idle: one pings every minute and lets go after 240 s, another looks after 15
minutes. Closing first would race with their next call."""

MOST_CALLS = 3072
"""On one HTTP/2 connection; then its caller is asked to open another, as other servers do. zttp takes the 4097th stream
of a connection for a flood, however long it took to come to that, and with it ends all that are open."""
LEAVING_SECONDS = 5
"""For which a connection whose caller was asked to leave stays open with nothing under way."""
_ANY_STREAM = 2**31 - 1
"""Named as the last one by the first of two GOAWAY frames: what is on its way is served too. RFC 9113 section 6.8"""


class CorkedH2Protocol(ZttpH2Protocol):
    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.timeout_keep_alive = H2_IDLE_SECONDS
        self._calls_left = MOST_CALLS
        self._preface_left = len(HTTP2_PREFACE)
        self._preface_ends: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Corked(transport, self.loop))  # type: ignore[arg-type]
        self._preface_ends = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        if self._preface_ends is not None:
            self._preface_left -= len(data)
            if self._preface_left <= 0:  # wrong ones are zttp's to refuse
                self._in_time()
        super().data_received(data)

    def handle_request(self, event: zttp.Request) -> None:
        super().handle_request(event)
        self._calls_left -= 1
        if self._calls_left == 0:  # who has been asked and goes on none the less is zttp's to end
            self.conn.close(zttp.H2ErrorCode.NO_ERROR, _ANY_STREAM)
            self.timeout_keep_alive = LEAVING_SECONDS

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        super().connection_lost(exc)

    def _in_time(self) -> None:
        if self._preface_ends is not None:
            self._preface_ends.cancel()
            self._preface_ends = None


class AnyHttpProtocol(AutoZttpProtocol):
    # The server's choice where a client offers both. Browsers and proxies do, and HTTP/1.1 is the older code here;
    # gRPC clients offer h2 alone.
    alpn_protocols: ClassVar[list[str]] = ["http/1.1", "h2"]

    def _switch(self, http2: bool, initial_data: bytes = b"") -> None:
        kind = CorkedH2Protocol if http2 else BoundedHttpProtocol
        protocol = kind(self.config, self.server_state, self.app_state, self.loop)
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        if initial_data:
            protocol.data_received(initial_data)
