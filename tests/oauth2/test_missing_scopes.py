import pytest

from holdfast.oauth2 import missing

IMPLIES = {"repo": ("repo:status", "public_repo"), "public_repo": ("metadata",), "a": ("b",), "b": ("a",)}


@pytest.mark.parametrize(
    ("requested", "granted", "lacking"),
    [
        (["x", "y"], ["y"], ("x",)),
        (["c", "b2", "a2"], [], ("c", "b2", "a2")),
        (["repo:status", "metadata", "user"], ["repo"], ("user",)),
        (["repo"], ["repo:status"], ("repo",)),
        (["a", "b"], ["b"], ()),
        (["x", "x"], [], ("x",)),
        ([], ["anything"], ()),
    ],
)
def test_missing_is_what_was_asked_for_and_neither_granted_nor_implied(
    requested: list[str], granted: list[str], lacking: tuple[str, ...]
) -> None:
    assert missing(requested, granted, IMPLIES) == lacking
