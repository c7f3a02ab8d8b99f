"""Rules of calls that need approval: whatever could be read as a call that one names is taken."""

import pytest

from holdfast.connections.approval_rules import takes
from holdfast.connections.rules import BadRule, checked


@pytest.mark.parametrize(
    ("rule", "taken", "free"),
    (
        ("POST *", ["POST /", "POST /a//b", "post /a", "POST /a%3Fb"], ["GET /", "PUT /a"]),
        ("GET /a", ["GET /a", "HEAD /a"], ["POST /a", "GET /b"]),
        (
            "POST /v1/charges",
            [
                "POST /v1/charges",
                "Post /v1/charges",
                "POST /V1/Charges",
                "POST /v1/charges/",
                "POST /v1//charges",
                "POST /v1/%63harges",
                "POST /v1/%2563harges",
                "POST /v1/%252563harges",
                "POST /v1%2Fcharges",
                "POST /v1/charges;a=b",
                "POST /v1/charges%20",
                "POST /v1/charges.",
                "POST /v1/charges.json",
                "POST /v1/charges%3Fx",
                "POST /elsewhere%3F",
                "POST /x%252Fy",
                "POST /v1/%EF%BD%83harges",
            ],
            [
                "POST /v1/charges/1",
                "POST /v1",
                "POST /v1/refunds",
                "POST /v1/charges2",
                "GET /v1/charges",
                "GET /x%252Fy",
            ],
        ),
        (
            "DELETE /projects/*/issues/**",
            [
                "DELETE /projects/1/issues",
                "DELETE /projects/1/issues/2/3",
                "DELETE /projects/a%2Fb/issues/2",
                "DELETE /projects/1%2Fissues%2F2",
                "DELETE /projects//issues/1",
            ],
            ["DELETE /projects/1", "DELETE /projects/1/labels/issues", "GET /projects/1/issues"],
        ),
        (
            "PUT /files/report.json",
            ["PUT /files/report", "PUT /files/REPORT.json", "PUT /files/report.xml"],
            ["PUT /f"],
        ),
        ("PUT /v1.2/a", ["PUT /v1.2/a"], ["PUT /v1.3/a"]),
        ("POST /caf%C3%89", ["POST /caf%C3%A9", "POST /cafe%CC%81"], ["POST /cafe"]),
        ("POST /a%2Fb", ["POST /a%2Fb", "POST /a/b"], ["POST /a"]),
    ),
)
def test_what_could_be_read_as_named_by_a_rule_is_taken(rule: str, taken: list[str], free: list[str]) -> None:
    rules = checked([rule], "approval_rules")
    for text in taken:
        assert takes(rules, *text.split(" ", 1)), text
    for text in free:
        assert not takes(rules, *text.split(" ", 1)), text


def test_a_call_that_may_be_another_method_is_taken_by_a_rule_of_any() -> None:
    assert takes(("DELETE /a",), None, "/a")
    assert not takes(("DELETE /a",), None, "/b")
    assert not takes((), None, "/a")


def test_what_is_wrong_with_a_rule_is_told_of_its_own_field() -> None:
    with pytest.raises(BadRule) as raised:
        checked(["get /a"], "approval_rules")
    assert [one["field"] for one in raised.value.fields] == ["approval_rules"]
