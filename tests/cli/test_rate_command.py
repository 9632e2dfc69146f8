# SPDX-License-Identifier: Apache-2.0
"""``bidsqa-rate``: the command line, the running app without a browser, a kill and going on, the other commands."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bidsqa.cli import rate
from bidsqa.cli.rate_options import ARTIFACTS, PLANES, TASKS
from bidsqa.errors import UsageError
from bidsqa.rating import items, read_items, read_ratings
from bidsqa.rating import tasks as rating_tasks
from bidsqa.rating.store import Store
from bidsqa.rulers import shipped_rulers, write_ruler


@contextmanager
def running(root: Path, ratings: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The command in a process of its own, and the addresses that it prints."""
    command = [sys.executable, "-P", "-m", "bidsqa.cli.rate", str(root), str(ratings), *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True
    )
    addresses: list[str] = []
    said = ""
    try:
        assert process.stdout
        for line in process.stdout:
            said += line
            addresses += re.findall(r"http://\S+", line)
            if line.startswith("Each address"):
                break
        assert addresses, said
        yield process, addresses
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


class Browserless:
    """Speaks HTTP like the app's own page."""

    def __init__(self, address: str) -> None:
        match = re.fullmatch(r"http://(127\.0\.0\.1:(\d+))(/\?token=[0-9a-f]{32})", address)
        assert match
        self.host, self.port, self.token = match[1], int(match[2]), match[3]
        self.cookie = ""

    def ask(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, bytes, http.client.HTTPMessage]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {"Host": self.host, "Origin": f"http://{self.host}", "Cookie": self.cookie, **headers}
        connection.request(method, path, None if body is None else json.dumps(body), sent)
        reply = connection.getresponse()
        content = reply.read()
        connection.close()
        return reply.status, content, reply.headers

    def come_in(self, name: str | None = "Ann") -> None:
        status, _, headers = self.ask("GET", self.token)
        assert status == 303
        cookie = headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        self.cookie = cookie.split(";")[0]
        if name is not None:
            assert self.ask("POST", "/reader", {"name": name})[0] == 200

    def next(self, task: str) -> dict[str, Any]:
        status, content, _ = self.ask("GET", f"/api/{task}/next")
        assert status == 200
        return json.loads(content)

    def answer(self, task: str, value: str, nonce: str) -> int:
        trial = self.next(task)["trial"]
        sent = {"trial": trial["code"], "value": value, "nonce": nonce, "supersedes": trial["supersedes"], "rt_ms": 900}
        return self.ask("POST", f"/api/{task}/answer", sent)[0]


@pytest.mark.slow
def test_a_kill_costs_no_answer_and_everybody_goes_on(bids_dataset: Callable[..., Path], tmp_path: Path) -> None:
    root, ratings = bids_dataset("sub-01_T1w", "sub-02_T1w", "sub-03_T1w"), tmp_path / "ratings"
    with running(root, ratings, "--tasks", "likert", "--per-scan", "4", "--practice", "1") as (process, addresses):
        visitor = Browserless(addresses[0])
        visitor.come_in()
        for number in range(5):
            assert visitor.answer("likert", "4", f"answer-{number:08d}") == 200
        waiting = visitor.next("likert")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert len(read_ratings(ratings, kinds=("main", "practice", "catch", "repeat"))) == 5
    with running(root, ratings, "--tasks", "likert", "--per-scan", "4", "--practice", "1") as (process, addresses):
        visitor = Browserless(addresses[0])
        visitor.come_in("ANN")
        assert visitor.next("likert") == waiting
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "every answer is saved" in said
        assert "Traceback" not in said


@pytest.mark.slow
def test_only_its_own_page_and_one_browser_a_token_get_in(bids_dataset: Callable[..., Path], tmp_path: Path) -> None:
    root = bids_dataset("sub-01_T1w")
    options = ("--tasks", "pairwise", "likert", "--raters", "Ann", "Ben", "--seed", "3")
    with running(root, tmp_path / "ratings", *options) as (_, addresses):
        assert len(addresses) == 2
        ann, ben, stranger = (Browserless(address) for address in (*addresses, addresses[0]))
        assert stranger.ask("GET", "/")[0] == 403
        assert stranger.ask("GET", "/api/likert/next")[0] == 403
        ann.come_in(None)
        ben.come_in(None)
        assert stranger.ask("GET", stranger.token)[0] == 403, "a token opens once"
        trial = ann.next("pairwise")["trial"]["code"]
        assert ann.ask("GET", f"/image/{trial}/left/0.png")[1].startswith(b"\x89PNG")
        assert ben.ask("GET", f"/image/{trial}/left/0.png")[0] == 404, "another reader's picture"
        for slot in ("reference", "image", "v0", "left/../right"):
            assert ann.ask("GET", f"/image/{trial}/{slot}/0.png")[0] == 404
        assert ann.ask("GET", f"/image/{trial}/left/999.png")[0] == 404
        sent = {"trial": trial, "value": "left", "nonce": "0123456789"}
        assert ben.ask("POST", "/api/pairwise/answer", sent)[0] == 404
        assert ann.ask("POST", "/api/likert/answer", {**sent, "value": "3"})[0] == 404
        assert ann.ask("POST", "/api/pairwise/answer", sent, Origin="http://evil.example")[0] == 403
        assert ann.ask("GET", "/", Host="evil.example")[0] == 403
        assert ann.ask("POST", "/api/pairwise/answer", {**sent, "value": "<script>"})[0] == 400
        assert ann.ask("POST", "/api/pairwise/answer", [1])[0] == 400
        assert ann.ask("GET", "/api/diagnostic/next")[0] == 404
        for path in ("/static/../app.py", "/static/app.py", "/static/%2e%2e%2fapp.py", "/nothing"):
            assert ann.ask("GET", path)[0] in (403, 404)
        assert ann.ask("POST", "/api/pairwise/answer", sent)[0] == 200
        assert ann.ask("POST", "/api/pairwise/answer", sent)[0] == 200, "the same answer again"
        assert ann.ask("POST", "/api/pairwise/answer", {**sent, "nonce": "another-one"})[0] == 409
        assert json.loads(ann.ask("POST", "/api/pairwise/undo", {})[1]) == {"undone": True}
        status, page, headers = ann.ask("GET", "/rate/pairwise")
        assert status == 200
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store"
        assert b"sub-" not in page
        assert "sub-" not in json.dumps(ann.next("pairwise"))


@pytest.mark.slow
def test_two_apps_on_one_store(bids_dataset: Callable[..., Path], tmp_path: Path) -> None:
    root, ratings = bids_dataset("sub-01_T1w", "sub-02_T1w"), tmp_path / "ratings"
    options = ("--tasks", "likert", "--practice", "0", "--per-scan", "3")
    with running(root, ratings, *options) as (_, first), running(root, ratings, *options) as (_, second):
        ann, ben = Browserless(first[0]), Browserless(second[0])
        ann.come_in("Ann")
        ben.come_in("Ben")
        for number in range(4):
            assert ann.answer("likert", "2", f"ann-{number:08d}") == 200
            assert ben.answer("likert", "3", f"ben-{number:08d}") == 200
    table = read_ratings(ratings)
    assert sorted(table.groupby("rater").size()) == [4, 4]


@pytest.mark.slow
def test_the_shipped_rulers_are_asked_about_where_no_others_are_given(
    bids_dataset: Callable[..., Path], tmp_path: Path
) -> None:
    root, ratings = bids_dataset("sub-01_T1w"), tmp_path / "ratings"
    with running(root, ratings, "--tasks", "ruler_threshold", "ruler_score", "--practice", "0") as (_, addresses):
        visitor = Browserless(addresses[0])
        visitor.come_in()
        for number in range(2):
            assert len(visitor.next("ruler_threshold")["trial"]["series"]) == 8
            assert visitor.answer("ruler_threshold", "4.5", f"answer-{number:08d}") == 200
        assert visitor.next("ruler_threshold")["trial"] is None
        assert visitor.next("ruler_score")["goal"] == 1
    table, about = read_ratings(ratings, "ruler_threshold"), read_items(ratings)
    assert {about[code]["series"]["ruler"] for code in table["item"]} == {"T1w-2D", "T1w-3D"}
    assert set(table["sha256"]) == {one.sha256 for one in shipped_rulers() if one.kind.suffix == "T1w"}
    made = tmp_path / "made"
    with running(root, made, "--tasks", "ruler_threshold", "--practice", "0", "--rulers-from-scans") as (_, addresses):
        visitor = Browserless(addresses[0])
        visitor.come_in()
        assert visitor.answer("ruler_threshold", "4", "answer-made") == 200
    assert read_ratings(made)["subject"].tolist() == ["01"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "missing"),
        (["DATA"], "RATINGS"),
        (["DATA", "OUT", "--tasks", "guess"], "--tasks"),
        (["DATA", "OUT", "--classes", "4"], "--classes"),
        (["DATA", "OUT", "--degraded", "1.5"], "--degraded"),
        (["DATA", "OUT", "--versions", "1"], "--versions"),
        (["DATA", "OUT", "--artifacts", "moton"], "Did you mean 'motion'?"),
        (["DATA", "OUT", "--artifacts", "slice_motion"], "for slices"),
        (["DATA", "OUT", "--tasks", "ruler_threshold", "--rulers", "OUT"], "there is no ruler"),
        (["DATA", "OUT", "--rulers", "OUT"], "--rulers would do nothing"),
        (["DATA", "OUT", "--rulers-from-scans"], "--rulers-from-scans would do nothing"),
        (["DATA", "OUT", "--tasks", "likert", "--rulers-from-scans"], "--tasks likert ruler_threshold"),
        (["DATA", "OUT", "--tasks", "ruler_score", "--rulers", "FLAIR"], "None of the rulers is of a kind"),
        (["DATA", "OUT", "--rulers", "OUT", "--rulers-from-scans"], "both"),
        (["DATA", "OUT", "--artifact-list", "OUT/none.txt"], "can't be read"),
        (["DATA", "OUT", "--raters", "Ann", " "], "no reader's name"),
        (["DATA", "OUT", "--raters", "x" * 101], "1 to 100 letters"),
        (["DATA", "OUT", "--participant-label", "77"], "77"),
        (["DATA", "OUT", "--modalities", "PDw"], "no structural scan"),
        (["DATA", "DATA/ratings"], "inside the dataset"),
        (["NOWHERE", "OUT"], "doesn't exist"),
        (["agreement", "OUT"], "no ratings"),
        (["export", "OUT", "OUT/bids"], "no ratings"),
        (["import", "OUT"], "FILE"),
    ],
)
def test_wrong_usage_is_told(
    bids_dataset: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    told: str,
) -> None:
    places = {"DATA": bids_dataset("sub-01_T1w"), "OUT": tmp_path / "out", "NOWHERE": tmp_path / "nowhere"}
    places["FLAIR"] = tmp_path / "rulers"
    write_ruler(next(one for one in shipped_rulers() if one.kind.suffix == "FLAIR"), tmp_path / "rulers" / "ours")
    (tmp_path / "out").mkdir()
    filled = [re.sub(r"^(DATA|OUT|NOWHERE|FLAIR)", lambda match: str(places[match[0]]), word) for word in arguments]
    assert rate.main(filled) == 2
    assert told in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate, "PACKAGES", ("starlette", "no_such_package"))
    with pytest.raises(UsageError, match="no_such_package") as error:
        rate.check_packages()
    assert "bidsqa[rating]" in error.value.hint


def test_all_options_reach_the_settings(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("Metal\n\n Eye <b>movement</b>\n")
    words = (
        "study out --tasks diagnostic likert --goal 9 --classes 2 --practice 0 --unit volume --plane coronal "
        "--per-scan 2 --versions 4 --artifacts blur --degraded 0.5 --reference --radiological --port 4711 --seed 5 "
        "--raters ann ben --participant-label 01 --modalities T1w --skip-bids-validation "
        f"--artifact-list {listed} --rulers {tmp_path}"
    ).split()
    _, _, options = rate.parse(words)
    assert rate.settings_of(options) == items.Settings(
        tasks=("diagnostic", "likert"), unit="volume", plane="coronal", per_scan=2, versions=4, artifacts=("blur",),
        degraded=0.5, classes=2, reference=True, practice=0, goal=9, seed=5,
    )  # fmt: skip
    assert options["raters"] == ("ann", "ben")
    assert options["port"] == 4711
    assert options["radiological"]
    assert options["rulers"] == tmp_path
    assert not options["rulers_from_scans"]
    assert [(one.name, one.words) for one in rate.read_artifact_list(options["artifact_list"])] == [
        ("metal", "Metal"),
        ("eye_b_movement_b", "Eye <b>movement</b>"),
    ]


def test_the_parsers_words_are_the_rating_packages() -> None:
    from bidsqa.image.slices import PLANES as KNOWN

    assert tuple(rating_tasks.TASKS) == TASKS
    assert items.ARTIFACTS == ARTIFACTS
    assert KNOWN == PLANES


def test_export_import_and_agreement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, rubbish = tmp_path / "rating.json", tmp_path / "rubbish.json"
    file.write_text(json.dumps({"dataset": "d", "subject": "sub-01_T1w", "rating": "3", "artifacts": []}))
    rubbish.write_text("{")
    ratings = str(tmp_path / "ratings")
    assert rate.main(["import", ratings, str(rubbish)]) == 1
    assert "0 ratings imported" in capsys.readouterr().out
    assert not Path(ratings).exists()
    assert rate.main(["import", ratings, str(file), "--rater", "Ann"]) == 0
    assert "1 rating imported" in capsys.readouterr().out
    assert rate.main(["import", ratings, str(file), str(rubbish)]) == 1
    said = capsys.readouterr()
    assert "1 known already" in said.out
    assert "rubbish.json: it is no JSON" in said.err
    assert rate.main(["export", ratings, str(tmp_path / "bids")]) == 0
    assert (tmp_path / "bids" / "desc-mriqc_ratings.tsv").is_file()
    assert rate.main(["agreement", ratings]) == 0
    told = capsys.readouterr().out
    assert "n/a" in told
    assert re.search(r"^  r\w{4}  Ann$", told, re.M), "who the codes are"
    assert (tmp_path / "ratings" / "agreement" / "desc-mriqc_agreement.tsv").is_file()
    assert [reader.name for reader in Store(tmp_path / "ratings" / "ratings.sqlite").readers()] == ["Ann"]


def test_a_taken_port_is_told() -> None:
    import socket

    from bidsqa.rating.serving import Place

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(UsageError, match="--port"):
            Place(other.getsockname()[1])
