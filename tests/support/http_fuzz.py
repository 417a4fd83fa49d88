"""Requests that nobody would send, and whether an answer to one is as the server's own openapi.json says."""

import json
from dataclasses import dataclass
from urllib.parse import quote, quote_from_bytes, unquote

from hypothesis import strategies as st
from jsonschema import Draft202012Validator

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
ENDPOINTS = ("/predict", "/predict/batch", "/features/known", "/model", "/health", "/ready", "/metrics", "/")
# Made by FastAPI for people, documented nowhere.
PAGES = {"/docs": "text/html", "/docs/oauth2-redirect": "text/html", "/redoc": "text/html"}
DESCRIPTION = "/openapi.json"
_FEATURES = "/features/{user_id}"


@dataclass(frozen=True)
class Sent:
    """One request; the path is percent-encoded, header values are Latin-1."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=8,
)
_user = st.sampled_from(["known", "offline", "holed", "partial", "nobody", "7590-VHVEG"]) | st.text(max_size=70) | _json
_bodies = st.one_of(
    st.binary(max_size=200),
    _json.map(json.dumps).map(str.encode),
    _user.map(lambda user: json.dumps({"user_id": user}).encode()),
    st.lists(_user, max_size=12).map(lambda users: json.dumps({"user_ids": users}).encode()),
    st.sampled_from(
        [
            b"[" * 5000,
            b'{"user_id":' * 900,
            b"x" * (256 * 1024 + 1),
            b'{"user_id": "' + b"a" * 262_000 + b'"}',
            b'{"user_id": "\\ud800"}',
            b'{"user_id": "known"} {}',
            b'{"user_id": "known", "user_id": "nobody"}',
            b'\xef\xbb\xbf{"user_id": "known"}',
            '{"user_id": "known"}'.encode("utf-16"),
            b'{"user_id": "\xff\xfe"}',
            json.dumps({"user_ids": ["u"] * 1001}).encode(),
        ]
    ),
)
_paths = st.one_of(
    st.sampled_from(["/predict", "/predict/batch"]),
    st.sampled_from([*ENDPOINTS, *PAGES, DESCRIPTION]),
    st.sampled_from(ENDPOINTS).flatmap(
        lambda path: st.sampled_from([f"{path}/", f"{path}//", f"{path}%20", path[:-1] or "/"])
    ),
    st.text(max_size=70).map(lambda user: "/features/" + quote(user, safe="", errors="replace")),
    st.binary(max_size=30).map(lambda user: "/features/" + quote_from_bytes(user, safe="")),
    st.binary(max_size=30).map(lambda path: "/" + quote_from_bytes(path)),
)
_kinds = st.sampled_from(
    [
        "application/json",
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/problem+json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "application/xml",
        ";",
        "",
        "\xff\xfe",
    ]
)
_visible = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=40)
_headers = st.lists(
    st.one_of(
        st.tuples(st.just("content-type"), _kinds),
        st.tuples(st.just("content-type"), _visible),
        st.tuples(
            st.sampled_from(["accept", "accept-encoding", "accept-language", "origin", "cookie", "range"]), _visible
        ),
        st.tuples(st.sampled_from(["authorization", "x-request-id", "x-forwarded-for", "forwarded"]), _visible),
        # Ray reads them.
        st.tuples(
            st.sampled_from(
                ["serve_multiplexed_model_id", "x-session-id", "x-request-disconnect-disabled", "traceparent"]
            ),
            _visible,
        ),
        st.tuples(st.from_regex(r"x-[a-z0-9-]{1,12}", fullmatch=True), _visible),
    ),
    max_size=3,
    unique_by=lambda header: header[0],
).map(tuple)
_queries = st.just("") | st.binary(max_size=20).map(lambda query: "?" + quote_from_bytes(query, safe="=&"))


def requests():
    """Strategy of requests: most with the method that their path is for, half of them nearly right."""
    return _paths.flatmap(
        lambda path: st.builds(Sent, _methods(path), st.just(path), _queries, _headers, _bodies),
    )


def _methods(path):
    return st.sampled_from(("POST" if path.startswith("/predict") else "GET",) * 12 + METHODS)


class Documented:
    """What an openapi.json says about answers."""

    def __init__(self, openapi):
        self._openapi = openapi

    def complaint(self, sent, status, headers, body):
        """Why this answer is none that the description tells of; None if it is as described."""
        if status >= 500:
            return f"status {status}: {body[:200]!r}"
        path = unquote(sent.path, errors="replace")
        kind = headers.get("content-type", "").partition(";")[0]
        if sent.method == "HEAD" and body:
            return "a body for HEAD"
        if path in PAGES or path == DESCRIPTION:
            wanted = PAGES.get(path, "application/json")
            return self._other(sent, status, kind, body, 405) if status != 200 else self._kind(kind, wanted)
        operations = self._openapi["paths"].get(_FEATURES if path.startswith("/features/") else path)
        if operations is None:
            return self._other(sent, status, kind, body, 404)
        if sent.method.lower() not in operations:
            if headers.get("allow", "").lower() not in operations:
                return f"Allow is {headers.get('allow')!r}, documented are {list(operations)}"
            return self._other(sent, status, kind, body, 405)
        answer = operations[sent.method.lower()]["responses"].get(str(status))
        if answer is None:
            return f"status {status} is not documented: {body[:200]!r}"
        (wanted,) = answer["content"]
        return self._kind(kind, wanted) or self._shape(answer["content"][wanted].get("schema"), wanted, body)

    def _other(self, sent, status, kind, body, wanted):
        if status != wanted:
            return f"status {status}, not {wanted}: {body[:200]!r}"
        if sent.method == "HEAD":
            return None
        return self._kind(kind, "application/json") or self._shape(
            {"$ref": "#/components/schemas/ErrorAnswer"}, "application/json", body
        )

    @staticmethod
    def _kind(kind, wanted):
        return None if kind == wanted else f"Content-Type is {kind!r}, documented is {wanted!r}"

    def _shape(self, schema, kind, body):
        if kind != "application/json":
            return None
        validator = Draft202012Validator({**schema, "components": self._openapi["components"]})
        problem = next(validator.iter_errors(json.loads(body)), None)
        return problem and f"the body is not as documented: {problem.message[:300]}"
