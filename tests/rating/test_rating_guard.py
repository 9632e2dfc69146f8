# SPDX-License-Identifier: Apache-2.0
"""Who gets in: one browser a token, this machine's names, the app's own pages; and what answers may be."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.datastructures import Headers

from bidsqa.rating.app import RatingApp
from bidsqa.rating.guarding import Door, refuse
from bidsqa.rating.tasks import LIKERT, PAIRWISE, RULER_SCORE, artifact_choices, check_answer
from bidsqa.report.rating_form import ARTIFACTS

HOST = "127.0.0.1:4711"


def asked(method: str = "GET", **headers: str) -> str | None:
    return refuse(method, Headers({name.replace("_", "-"): value for name, value in {"host": HOST, **headers}.items()}))


def test_a_token_opens_once() -> None:
    door = Door("cookie")
    token = door.new_token(7)
    assert len(token) == 32
    assert int(token, 16) >= 0
    value = door.swap(token)
    assert value
    assert door.swap(token) is None
    visitor = door.visitor(value)
    assert visitor is not None
    assert visitor.reader == 7


def test_wrong_tokens_and_cookies_open_nothing() -> None:
    door = Door("cookie")
    token = door.new_token()
    assert door.swap(token[:-1] + ("0" if token[-1] != "0" else "1")) is None
    assert door.swap("") is None
    assert door.visitor(None) is None
    assert door.visitor(token) is None
    assert door.visitor("é\ud800") is None
    assert door.swap("é\ud800") is None


@pytest.mark.parametrize("host", [HOST, "localhost:1", "[::1]:80", "127.0.0.1"])
def test_this_machines_names_are_let_in_under_any_port(host: str) -> None:
    assert asked(host=host) is None


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "10.0.0.5:4711", "", "localhost.evil:1"])
def test_other_names_are_refused(host: str) -> None:
    assert "own address" in str(asked(host=host))


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "https://127.0.0.1:4711",
        "http://127.0.0.1:9",
        "null",
        "http://127.0.0.1:4711.evil",
        "http://[bad",
    ],
)
def test_other_sites_pages_are_refused(origin: str) -> None:
    assert "another site" in str(asked("POST", origin=origin, content_length="2"))
    assert "another site" in str(asked("GET", origin=origin))


def test_a_change_needs_an_origin_and_a_size() -> None:
    own = f"http://{HOST}"
    assert asked("POST", origin=own, content_length="20") is None
    assert "which page" in str(asked("POST", content_length="20"))
    assert "too large" in str(asked("POST", origin=own))
    assert "too large" in str(asked("POST", origin=own, content_length=str(10**9)))


NONCE = "0123456789abcdef"


@pytest.mark.parametrize(
    ("task", "sent", "why"),
    [
        (PAIRWISE, {"value": "up"}, "no answer"),
        (PAIRWISE, {"value": None}, "no answer"),
        (PAIRWISE, {"value": ["left"]}, "no answer"),
        (PAIRWISE, {"value": "left", "nonce": 5}, "number of its own"),
        (PAIRWISE, {"value": "left", "comment": "x" * 4001}, "longer"),
        (PAIRWISE, {"value": "left", "comment": {"a": 1}}, "longer"),
        (PAIRWISE, {"value": "left", "confidence": 9}, "confidence"),
        (PAIRWISE, {"value": "left", "confidence": True}, "confidence"),
        (PAIRWISE, {"value": "left", "supersedes": "1"}, "corrected"),
        (RULER_SCORE, {"value": "3"}, "acceptable"),
        (RULER_SCORE, {"value": "3", "acceptable": "yes"}, "neither"),
        (LIKERT, {"value": "3", "artifacts": ["nonsense"]}, "artifact"),
        (LIKERT, {"value": "3", "artifacts": "motion"}, "artifact"),
    ],
)
def test_what_is_no_answer_is_refused(task, sent: dict, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check_answer(task, {"nonce": NONCE, **sent}, ("motion",))


def test_an_answer_is_taken_and_a_broken_log_costs_nothing() -> None:
    view = [{"ms": 5, "what": "zoom", "value": 2}, {"ms": "x", "what": "zoom", "value": 2}, 7, {"what": "scroll"}]
    sent = {"value": "3", "nonce": NONCE, "artifacts": ["motion"], "rt_ms": float("inf"), "idle": 1, "view": view}
    given = check_answer(LIKERT, sent, ("motion",))
    assert given.value == "3"
    assert given.artifacts == ("motion",)
    assert given.rt_ms is None
    assert not given.idle
    assert given.view == ({"ms": 5, "what": "zoom", "value": 2.0},)
    odd = check_answer(LIKERT, {"value": "3", "nonce": NONCE, "rt_ms": 10**400, "comment": "half \ud83d"}, ())
    assert odd.rt_ms is None
    assert odd.comment == "half ?"


def test_what_cant_be_written_or_understood_is_an_answer_not_a_crash() -> None:
    def refuse(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    told: list[str] = []
    door = Door("cookie")
    session = SimpleNamespace(tasks={"likert": LIKERT}, answer=refuse, tell=told.append)
    app = RatingApp(session, door, ()).asgi()  # type: ignore[arg-type]
    headers = {"host": HOST, "origin": f"http://{HOST}", "cookie": f"cookie={door.swap(door.new_token(1))}"}

    def send(path: str, body: str) -> int:
        return asyncio.run(reply_to(app, path, body.encode(), headers))

    answer = json.dumps({"trial": "x", "value": "3", "nonce": NONCE})
    assert send("/api/likert/answer", answer) == 503, "the browser tries again"
    assert told == ["The ratings can't be read or written: database or disk is full."]
    for body in ("[" * 100_000, "\ud800".encode("utf-16", "surrogatepass").decode("latin-1"), "5", "{}"):
        assert send("/api/likert/answer", body) == 400
        assert send("/reader", body) == 400
    for name in ("", " \t", "x" * 101, "a\x07b", 5, None, ["Ann"]):
        assert send("/reader", json.dumps({"name": name})) == 400


async def reply_to(app: Any, path: str, body: bytes, headers: dict[str, str]) -> int:
    """Status of the reply to one request."""
    sent: list[Any] = []
    given = [(name.encode(), value.encode()) for name, value in {**headers, "content-length": str(len(body))}.items()]
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
             "headers": given, "scheme": "http", "http_version": "1.1"}  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return int(sent[0]["status"])


def test_artifacts_get_keys_of_their_own_that_nothing_else_uses() -> None:
    keys = [choice.key for choice in artifact_choices()]
    assert len(set(keys)) == len(keys) == 14
    assert not set(keys) & set("szuck?")
    on_the_page = {name: key for name, _, key in ARTIFACTS}
    same = [choice for choice in artifact_choices() if choice.key == on_the_page[choice.name]]
    assert len(same) == 12, "those of the scan's page but for the two that mean something else here"
    many = artifact_choices({f"a{number}": f"Artifact {number}" for number in range(40)})
    used = [choice.key for choice in many if choice.key]
    assert len(set(used)) == len(used)
    assert many[-1].key == ""
