"""The doors' common ground: an operation is described once, and decoding, dispatch and OpenAPI follow from that.

`operations` holds the description, `routing` finds it, `dispatch` runs it, `document` writes the OpenAPI document,
`rate` slows a caller down. Leaves each wire's shapes, words and error bodies to its door (`workos`).
"""

from holdfast.api.operations import Answer, Call, Operation

__all__ = ["Answer", "Call", "Operation"]
