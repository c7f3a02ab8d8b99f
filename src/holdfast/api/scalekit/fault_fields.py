"""A refusal that names the field it is about."""

from holdfast.errors import Unprocessable


def bad(field: str, description: str, constraint: str) -> Unprocessable:
    """Return the error of one field: INVALID_ARGUMENT with one violation."""
    return Unprocessable(
        f"{field}: {description}",
        fields=[{"field": field, "description": description, "code": constraint}],
        code="validation_failed",
    )
