"""What the operation layer makes of a request: which operation, with which values, and what it answers."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from holdfast.api.decoding import BodyDecoder
from holdfast.errors import Invalid
from tests.api.demo_door import CANARY, MOST_BYTES, Note, demo_door

AUTHORIZED = {"authorization": "Bearer sk_demo"}


def client(app: Any = None, **headers: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app or demo_door()),
        base_url="http://holdfast.test",
        headers={**AUTHORIZED, **headers},
    )


@pytest.fixture
async def door() -> AsyncIterator[httpx2.AsyncClient]:
    async with client() as opened:
        yield opened


def body_of(**members: Any) -> bytes:
    return json.dumps({"name": "n", **members}).encode()


# Finding the operation


async def test_an_encoded_slash_stays_in_its_segment_and_arrives_decoded(door: httpx2.AsyncClient) -> None:
    reply = await door.get("/notes/provider%2Fslug")
    assert reply.json()["operation"] == "get"
    assert reply.json()["path"] == {"slug": "provider/slug"}


async def test_a_reserved_word_goes_before_a_parameter(door: httpx2.AsyncClient) -> None:
    assert (await door.post("/notes/finish", content=body_of())).json()["operation"] == "finish"
    assert (await door.post("/notes/other", content=body_of())).json()["operation"] == "put"


async def test_a_thing_named_like_a_reserved_word_is_still_reached_where_the_word_means_nothing(
    door: httpx2.AsyncClient,
) -> None:
    reply = await door.get("/notes/finish")
    assert reply.json()["path"] == {"slug": "finish"}


@pytest.mark.parametrize("path", ["/", "/nowhere", "/notes/a/b", "/notes//", "/notes/a%00b", "/notes/%2e%2e/x"])
async def test_an_unknown_address_is_404_in_the_doors_shape(door: httpx2.AsyncClient, path: str) -> None:
    reply = await door.get(httpx2.URL("http://holdfast.test", raw_path=path.encode()))
    assert reply.status_code == 404
    assert reply.json() == {"message": "there is nothing at this address", "code": "entity_not_found"}
    assert reply.headers["x-request-id"].startswith("req_")


async def test_a_wrong_method_is_405_and_names_the_right_ones(door: httpx2.AsyncClient) -> None:
    reply = await door.put("/notes/a", content=body_of())
    assert reply.status_code == 405
    assert reply.headers["allow"] == "DELETE, GET, HEAD, POST"
    assert reply.json()["code"] == "method_not_allowed"


async def test_head_is_get_without_the_body(door: httpx2.AsyncClient) -> None:
    got, headed = await door.get("/notes"), await door.head("/notes")
    assert (headed.status_code, headed.content) == (200, b"")
    assert headed.headers["content-length"] == str(len(got.content))


# Reading the body


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "invalid_json"),
        (b'{"name": "n"} more', "invalid_json"),
        (b'{"name": "\xff"}', "invalid_json"),
        (b'{"name": "\\ud800"}', "invalid_json"),
        (b'{"name": "a\x00"}', "invalid_json"),
        (b'{"name": "a\\u0000b"}', "invalid_json"),
        (b'{"name": "a\\\\\\u0000b"}', "invalid_json"),
    ],
)
async def test_a_body_that_is_not_usable_json_is_400(door: httpx2.AsyncClient, body: bytes, code: str) -> None:
    reply = await door.post("/notes/a", content=body)
    assert (reply.status_code, reply.json()["code"]) == (400, code)


def test_a_body_nested_beyond_reason_is_refused() -> None:
    # Straight to the decoder: the demo's size limit would stop it first, a server's of a megabyte would not.
    with pytest.raises(Invalid, match="nested too deeply"):
        BodyDecoder(Note).decode(b'{"name": "n", "x": ' + b"[" * 100_000)


async def test_a_backslash_followed_by_u0000_is_plain_text(door: httpx2.AsyncClient) -> None:
    reply = await door.post("/notes/a", content=b'{"name": "a\\\\u0000b"}')
    assert reply.json()["body"]["name"] == "a\\u0000b"


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        (b"{}", "name", "name is required"),
        (b"", "name", "name is required"),
        (b"null", "body", "the request body: expected `object`"),
        (b"[]", "body", "the request body: expected `object`"),
        (body_of(name=1), "name", "expected `str`, got `int`"),
        (body_of(name=""), "name", "length >= 1"),
        (body_of(size="3"), "size", "expected `int | null`, got `str`"),
        (body_of(kind="green"), "kind", "kind: must be one of plain, ruled"),
        (body_of(parts=[{"kind": "plain"}, {"kind": "green"}]), "parts[1].kind", "must be one of plain, ruled"),
        (body_of(parts=[{}]), "parts[0].kind", "parts[0].kind is required"),
        (body_of(config={"a": 1}), "config[...]", "expected `str`, got `int`"),
        (body_of(config={"a" * 9: "1"}), "config", "a key of config: expected `str` of length <= 8"),
    ],
)
async def test_a_body_that_does_not_fit_is_422_and_names_the_member(
    door: httpx2.AsyncClient, body: bytes, field: str, words: str
) -> None:
    reply = await door.post("/notes/a", content=body)
    assert reply.status_code == 422
    found = reply.json()
    assert words in found["message"]
    assert [error["field"] for error in found["errors"]] == [field]
    assert found["errors"][0]["code"] == ("required" if words.endswith("required") else "invalid")


async def test_null_omitted_and_given_are_three_different_things(door: httpx2.AsyncClient) -> None:
    async def label(**members: Any) -> Any:
        return (await door.post("/notes/a", content=body_of(**members))).json()["body"].get("label", "omitted")

    assert [await label(), await label(label=None), await label(label="x")] == ["omitted", None, "x"]


async def test_members_nobody_declared_are_ignored(door: httpx2.AsyncClient) -> None:
    reply = await door.post("/notes/a", content=body_of(surprise={"deep": [1, 2]}))
    assert reply.status_code == 200
    assert "surprise" not in reply.json()["body"]


async def test_a_json_content_type_on_a_request_without_body_is_fine() -> None:
    async with client(**{"content-type": "application/json"}) as door:
        assert (await door.get("/notes/a")).status_code == 200
        removed = await door.delete("/notes/a")
    assert (removed.status_code, removed.content) == (204, b"")
    assert "content-type" not in removed.headers


async def _in_pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 100):
        yield data[start : start + 100]


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_413(door: httpx2.AsyncClient, chunked: bool) -> None:
    fitting = body_of(label="x" * (MOST_BYTES - len(body_of(label=""))))
    over = fitting[:-2] + b'y"}'
    assert (len(fitting), len(over)) == (MOST_BYTES, MOST_BYTES + 1)
    replies = [await door.post("/notes/a", content=_in_pieces(b) if chunked else b) for b in (fitting, over)]
    assert [reply.status_code for reply in replies] == [200, 413]
    assert replies[1].json()["code"] == "request_body_too_large"


# Reading the query


async def test_a_query_is_read_by_its_types(door: httpx2.AsyncClient) -> None:
    reply = await door.get("/notes?limit=100&deep=true&note=null&unknown=1")
    assert reply.json()["query"] == {"limit": 100, "deep": True, "kinds": [], "note": "null"}


@pytest.mark.parametrize("query", ["kinds=plain%2Cruled", "kinds=plain&kinds=ruled", "kinds[]=plain&kinds[]=ruled"])
async def test_a_list_may_be_joined_or_repeated(door: httpx2.AsyncClient, query: str) -> None:
    assert (await door.get("/notes?" + query)).json()["query"]["kinds"] == ["plain", "ruled"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=", "limit"),
        ("limit=ten", "limit"),
        ("deep=maybe", "deep"),
        ("kinds=plain,green", "kinds[1]"),
    ],
)
async def test_a_query_that_does_not_fit_is_422_and_names_the_parameter(
    door: httpx2.AsyncClient, query: str, field: str
) -> None:
    reply = await door.get("/notes?" + query)
    assert reply.status_code == 422
    assert reply.json()["errors"] == [{"field": field, "code": "invalid"}]


@pytest.mark.parametrize("query", ["note=%ff", "note=a%00b", "&".join(f"a{i}=1" for i in range(101))])
async def test_a_query_that_cannot_be_read_is_400(door: httpx2.AsyncClient, query: str) -> None:
    reply = await door.get("/notes?" + query)
    assert (reply.status_code, reply.json()["code"]) == (400, "invalid_query")


# Around the operation


@pytest.mark.parametrize("value", [None, "sk_demo", "Basic sk_demo", "Bearer", "Bearer  ", "Bearer pk_demo"])
async def test_without_a_known_key_nothing_is_answered_but_401(value: str | None) -> None:
    async with client() as door:
        del door.headers["authorization"]
        reply = await door.get("/notes", headers={} if value is None else {"authorization": value})
    assert reply.status_code == 401
    assert set(reply.json()) == {"message", "code"}


async def test_each_answer_carries_the_request_id_that_the_handler_knows(door: httpx2.AsyncClient) -> None:
    first, second = await door.get("/notes"), await door.get("/notes")
    assert first.headers["x-request-id"] == first.json()["request_id"]
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


async def test_answers_are_json_that_nobody_keeps_or_sniffs(door: httpx2.AsyncClient) -> None:
    for reply in (await door.get("/notes"), await door.get("/nowhere"), await door.put("/notes/a")):
        assert reply.headers["content-type"].startswith("application/json")
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-content-type-options"] == "nosniff"


async def test_an_idempotency_key_reaches_only_the_operation_that_knows_it(door: httpx2.AsyncClient) -> None:
    headers = {"idempotency-key": "retry-1"}
    known = await door.post("/notes/finish", content=body_of(), headers=headers)
    unknown = await door.post("/notes/a", content=body_of(), headers=headers)
    assert (known.status_code, known.json()["idempotency_key"]) == (201, "retry-1")
    assert unknown.json()["idempotency_key"] is None
    long = await door.post("/notes/finish", content=body_of(), headers={"idempotency-key": "k" * 256})
    assert long.status_code == 400


@pytest.mark.parametrize("slug", ["bug", "misconfigured"])
async def test_an_unexpected_error_tells_the_caller_and_the_log_nothing_of_its_text(
    door: httpx2.AsyncClient, slug: str
) -> None:
    with capture_logs() as logs:
        reply = await door.get(f"/data-integrations/{slug}")
    assert reply.status_code == 500
    assert reply.json()["code"] == "internal_error"
    assert CANARY not in reply.text + str(logs)


@pytest.mark.parametrize(("slug", "kind"), [("bug", "ValueError"), ("misconfigured", "Misconfigured")])
async def test_the_log_says_where_an_unexpected_error_came_from_and_for_which_request(
    door: httpx2.AsyncClient, slug: str, kind: str
) -> None:
    with capture_logs() as logs:
        reply = await door.get(f"/data-integrations/{slug}")
    assert [(entry["error"], entry["request_id"]) for entry in logs] == [(kind, reply.headers["x-request-id"])]
    assert logs[0]["at"].startswith("demo_door.py:")


async def test_a_database_that_is_away_is_503_and_worth_a_retry(door: httpx2.AsyncClient) -> None:
    with capture_logs() as logs:
        reply = await door.get("/data-integrations/no-database")
    assert (reply.status_code, reply.json()["code"]) == (503, "database_unavailable")
    assert int(reply.headers["retry-after"]) >= 1
    assert CANARY not in reply.text + str(logs)


async def test_a_caller_over_the_rate_is_told_how_long_to_wait_and_others_are_not_held_up() -> None:
    async with client(demo_door(per_minute=2)) as door:
        replies = [await door.get("/notes") for _ in range(3)]
        other = await door.get("/notes", headers={"authorization": "Bearer sk_other"})
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert replies[2].headers["retry-after"] == "30"
    assert replies[2].json()["retry_after"] == 30
    assert other.status_code == 200
