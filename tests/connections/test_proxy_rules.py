"""Rules of a connection's calls: their grammar, what is wrong with others, and what each lets through."""

import pytest

from holdfast.connections.rules import LONGEST_RULE, MOST_RULES, BadRule, allows, allows_every_method, checked


@pytest.mark.parametrize(
    ("rule", "let", "held"),
    (
        ("GET *", ["GET /", "GET /a/b", "GET /a//b/", "GET /a%3Fb"], ["POST /", "HEAD /", "get /"]),
        ("* /**", ["GET /", "PURGE /a/b"], []),
        ("* *", ["GET /", "DELETE /a%2Fb"], []),
        (
            "* /v1/charges",
            ["GET /v1/charges", "POST /v1/%63harges", "GET /%761/charge%73"],
            ["GET /v1/Charges", "GET /v1/charges/", "GET /v1/charges/1", "GET /v1", "GET /v1/charges;a=b"],
        ),
        (
            "POST /v1/messages/*",
            [
                "POST /v1/messages/1",
                "POST /v1/messages/a%20b",
                "POST /v1/messages/caf%C3%A9",
                "POST /v1/messages/1;v=2",
            ],
            [
                "POST /v1/messages",
                "POST /v1/messages/",
                "POST /v1/messages/1/x",
                "GET /v1/messages/1",
                "POST /v1/messages/1%3F",
                "POST /v1/messages/1%2523",
                "POST /v1/messages/1%252Fx",
                "POST /v1/messages/1%255Cx",
                "POST /v1/messages/;x",
            ],
        ),
        ("GET /v1/*/refund", ["GET /v1/1/refund"], ["GET /v1//refund", "GET /v1/;x/refund", "GET /v1/a%3F/refund"]),
        (
            "GET|HEAD /repos/**",
            ["GET /repos", "HEAD /repos/", "GET /repos/a/b/c", "GET /repos//a"],
            ["GET /repository", "GET /a/repos/b", "POST /repos/a", "GET /repos/..%255C..%255Cadmin"],
        ),
        ("GET /a/*/**", ["GET /a/b", "GET /a/b/c/d"], ["GET /a", "GET /a/", "GET /b/b"]),
        ("GET /", ["GET /"], ["GET /a"]),
        ("GET /a/", ["GET /a/"], ["GET /a"]),
        ("GET /groups/a%2fb/*", ["GET /groups/a%2Fb/issues"], ["GET /groups/a/b/issues", "GET /groups/a/b"]),
        ("GET /a/%2A", ["GET /a/*", "GET /a/%2a"], ["GET /a/b"]),
        ("GET /a/%ff", ["GET /a/%FF"], ["GET /a/%FE"]),
    ),
)
def test_a_rule_lets_through_what_it_names_and_nothing_else(rule: str, let: list[str], held: list[str]) -> None:
    rules = checked([rule])
    assert [call for call in let if not allows(rules, *call.split())] == []
    assert [call for call in held if allows(rules, *call.split())] == []


def test_without_rules_everything_goes_and_with_several_any_of_them_will_do() -> None:
    assert allows((), "DELETE", "/a") and allows_every_method((), "/a")
    rules = checked(["GET /a", "* /b"])
    assert allows(rules, "GET", "/a") and allows(rules, "PUT", "/b") and not allows(rules, "PUT", "/a")
    assert allows_every_method(rules, "/b") and not allows_every_method(rules, "/a")


@pytest.mark.parametrize(
    ("text", "why"),
    (
        ("", "a method and a path"),
        ("GET", "a method and a path"),
        ("GET /a /b", "a method and a path"),
        ("get /a", "in capitals"),
        ("GET,POST /a", "in capitals"),
        ("GET| /a", "in capitals"),
        ("*|GET /a", "in capitals"),
        ("CONNECT /a", "neither CONNECT nor TRACE"),
        ("GET a", "begins with a slash"),
        ("GET https://api.example.com/a", "begins with a slash"),
        ("GET /a?b=c", "question mark"),
        ("GET /a#b", "question mark"),
        ("GET /a*", "whole segment"),
        ("GET /**/a", "at the end only"),
        ("GET /a/**/**", "at the end only"),
        ("GET **", "begins with a slash"),
        ("GET //a", "two slashes"),
        ("GET /a//", "two slashes"),
        ("GET /a//**", "two slashes"),
        ("GET /a/../b", "'.' or '..'"),
        ("GET /%2e%2e/b", "'.' or '..'"),
        ("GET /a%2", "percent"),
        ("GET /a\\b", "percent"),
        ("GET /caf\u00e9", "percent"),
        ("GET /a%3Fb", "differently"),
        ("GET /;a/b", "differently"),
        ("GET /" + "x" * LONGEST_RULE, "300 characters"),
    ),
)
def test_a_bad_rule_is_one_error_that_says_which_and_why(text: str, why: str) -> None:
    with pytest.raises(BadRule) as raised:
        checked(["GET /fine", text])
    error = raised.value
    assert error.message.startswith("rule 2 (") and why in error.message
    assert len(error.message) < 250
    assert [(one["field"], one["message"]) for one in error.fields] == [("proxy_rules", error.message)]


def test_there_are_a_hundred_rules_at_most() -> None:
    assert len(checked(["GET /a"] * MOST_RULES)) == MOST_RULES
    with pytest.raises(BadRule, match="100 rules at most: these are 101"):
        checked(["GET /a"] * (MOST_RULES + 1))
