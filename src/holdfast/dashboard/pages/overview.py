"""The front page of an environment: what needs somebody, and what has happened."""

from starlette.responses import Response
from starlette.routing import BaseRoute

from holdfast.dashboard.frame import Frame, Visit


class OverviewPages:
    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[BaseRoute]:
        return [self._frame.get("", self.overview)]

    async def overview(self, visit: Visit) -> Response:
        return self._frame.page(visit, "overview.html")
