import pytest

from holdfast.oauth2 import first

DOCUMENT = {
    "a": {"b": [{"c": 1}, {"c": None}]},
    "zero": 0,
    "no": False,
    "text": "abc",
    "gone": None,
    "a.b": "dotted",
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.b[0].c", 1),
        ("a.b[1].c", None),
        ("a.b[2].c", None),
        ("a.b", [{"c": 1}, {"c": None}]),
        ("zero", 0),
        ("no", False),
        ("text[0]", None),
        ("text.x", None),
        ("a[0]", None),
        ("missing.deep[3].more", None),
        (("gone", "zero", "text"), 0),
        (("gone", "missing"), None),
        (None, None),
    ],
)
def test_a_path_leads_to_a_value_or_nowhere(path: str | tuple[str, ...] | None, found: object) -> None:
    assert first(DOCUMENT, path) == found


def test_a_list_at_the_top_is_entered_by_index() -> None:
    assert first([{"x": "y"}], "[0].x") == "y"
    assert first([[5]], "[0][0]") == 5


@pytest.mark.parametrize("path", ["", ".a", "a..b", "a[x]", "a[-1]", "a.[0]", "a[0", "a b]"])
def test_what_is_no_path_is_said_to_be_none(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        first({"a": [1]}, path)
