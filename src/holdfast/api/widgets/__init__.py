"""The door of our own web component: `/widgets/api`, a small JSON for `<holdfast-connections>`.

Beside it the vendor's widget has its own shapes in `api.workos.widgets`; both ask the same room, `authorization.Mine`.
"""

from holdfast.api.widgets.own import Own
from holdfast.api.widgets.parts import WidgetParts

__all__ = ["Own", "WidgetParts"]
