"""Who gets to see the hosted page, and what a stranger gets: the same 404, and no call to AWS."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.core.errors import UnavailableError
from chalicelib.core.page_access import PageKey, cookie_name, make_cookie, make_link
from chalicelib.edges.aws import Deadline
from chalicelib.page.hosted import (
    MOST_BYTES,
    STRANGER_SECONDS,
    VIEW_SECONDS,
    Answer,
    Asked,
    HostedPage,
    not_found,
)
from chalicelib.page.kept import Kept
from tests.fakes import STAGE, FakeJournal

NOW = datetime(2030, 1, 10, 12, 0, tzinfo=UTC)
COOKIE = cookie_name(STAGE)
KEY = PageKey("a key that nobody can guess", 3)
NONCE = "N" * 22
STATE = {"targets": [], "failed": [{"target": "web"}]}


@dataclass
class Keys:
    """The page key; None for a stage without one."""

    found: PageKey | None = KEY
    error: Exception | None = None
    used: set[str] = field(default_factory=set)
    asked: int = 0

    def key(self, version: int | None = None) -> PageKey | None:
        del version
        self.asked += 1
        if self.error:
            raise self.error
        return self.found

    def use(self, nonce: str, *, now: datetime) -> bool:
        del now
        is_new = nonce not in self.used
        self.used.add(nonce)
        return is_new


@dataclass
class Reading:
    """A stage with the target web, which has a badge."""

    error: Exception | None = None
    reads: int = 0
    shown: Mapping[str, Any] = field(default_factory=lambda: STATE)

    def state(self, *, now: datetime) -> Mapping[str, Any]:
        del now
        self.reads += 1
        if self.error:
            raise self.error
        return self.shown

    def past(self, target: str, *, now: datetime) -> Mapping[str, Any] | None:
        del now
        return {"entries": []} if target == "web" else None

    def badges(self, *, now: datetime) -> Mapping[str, str]:
        del now
        self.reads += 1
        if self.error:
            raise self.error
        return {"web": "<svg>web</svg>"}


class Site:
    """A hosted page, and a browser's side of it."""

    def __init__(self) -> None:
        self.keys, self.reading, self.journal = Keys(), Reading(), FakeJournal()
        self.deadline = Deadline()
        self.page = HostedPage(
            stage=STAGE,
            keys=self.keys,
            reading=self.reading,  # type: ignore[arg-type] # its methods
            journal=self.journal,
            nonce=lambda: NONCE,
            deadline=self.deadline,
            kept=Kept(3),
            badges=Kept(60),
        )

    def get(self, path: str, *, cookie: str = "", now: datetime = NOW, **query: str) -> Answer:
        header = f"other=1; {COOKIE}={cookie}" if cookie else ""
        return self.page.answer(Asked(path, query, header), now=now)


@pytest.fixture
def site() -> Site:
    return Site()


def link(key: PageKey = KEY, stage: str = STAGE, now: datetime = NOW) -> str:
    return make_link(key, stage, now=now, nonce=NONCE)


def cookie(key: PageKey = KEY, stage: str = STAGE, now: datetime = NOW) -> str:
    return make_cookie(key, stage, now=now, nonce=NONCE)


def cookie_in(answer: Answer) -> str:
    name, _, rest = answer.headers["Set-Cookie"].partition("=")
    assert name == COOKIE
    return rest.partition(";")[0]


PATHS = ("/", "/state.json", "/history.json")


class TestStranger:
    @pytest.mark.parametrize("path", [*PATHS, "/badge/other.svg", "/badge/web", "/badge/", "/x"])
    def test_every_path_is_the_same_404(self, site: Site, path: str) -> None:
        assert site.get(path) == not_found()
        # Only the list of badges tells that a target has none; it is kept for a minute.
        assert site.reading.reads == (path == "/badge/other.svg")

    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize(
        "value",
        [
            "",
            "x",
            f"{cookie()}x",
            cookie(now=NOW - timedelta(hours=12)),
            cookie(now=NOW + timedelta(days=300)),
        ],
    )
    def test_what_no_key_could_have_signed_costs_no_call(
        self, site: Site, path: str, value: str
    ) -> None:
        assert site.get(path, cookie=value) == not_found()
        assert site.keys.asked == 0
        assert site.reading.reads == 0

    @pytest.mark.parametrize(
        "value",
        [
            cookie(PageKey("another key, which is as long", 3)),
            cookie(PageKey(KEY.value, 2)),
            cookie(stage="other"),
            link(),
        ],
    )
    def test_cookie_of_another_key_version_or_stage_is_a_strangers(
        self, site: Site, value: str
    ) -> None:
        assert site.get("/", cookie=value) == not_found()

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "forged",
            cookie(),
            link(PageKey("another key, which is as long", 3)),
            link(stage="other"),
            link(now=NOW - timedelta(minutes=2)),
        ],
    )
    def test_wrong_link_is_the_same_404_and_uses_up_nothing(self, site: Site, value: str) -> None:
        assert site.get("/", link=value) == not_found()
        assert not site.keys.used

    def test_error_of_aws_is_the_same_404_and_is_logged(self, site: Site) -> None:
        site.keys.error = UnavailableError("AWS is too busy", detail="for reading the page key")
        assert site.get("/", cookie=cookie()) == not_found()
        assert site.get("/", link=link()) == not_found()
        (one, _) = site.journal.decisions
        assert (one.about, one.facts["reason"]) == ("page", site.keys.error.in_full)

    def test_defect_is_the_same_404_and_its_words_are_not_logged(self, site: Site) -> None:
        site.keys.error = KeyError("a secret")
        assert site.get("/", cookie=cookie()) == not_found()
        assert site.get("/badge/web.svg") == not_found()
        assert [one.facts["reason"] for one in site.journal.decisions] == ["KeyError"] * 2

    def test_slow_aws_may_keep_a_stranger_less_long_than_a_visitor(self, site: Site) -> None:
        site.get("/", cookie=cookie(stage="other"))
        assert 0 < site.deadline.left() < STRANGER_SECONDS
        site.get("/", cookie=cookie())
        assert STRANGER_SECONDS < site.deadline.left() < VIEW_SECONDS

    def test_stage_without_a_key_has_no_page_and_no_badge(self, site: Site) -> None:
        site.keys.found = None
        answers = [site.get(one, cookie=cookie()) for one in (*PATHS, "/badge/web.svg")]
        assert answers == [not_found()] * 4
        assert site.get("/", link=link()) == not_found()


class TestLink:
    def test_link_becomes_a_cookie_that_opens_the_page(self, site: Site) -> None:
        answer = site.get("/", link=link())
        assert answer.status == 200
        rules = answer.headers["Set-Cookie"].partition("; ")[2]
        assert rules == "Path=/; Max-Age=43200; Secure; HttpOnly; SameSite=Strict"
        assert site.get("/", cookie=cookie_in(answer)).body.startswith("<!doctype html>")

    def test_link_works_once(self, site: Site) -> None:
        assert site.get("/", link=link()).status == 200
        assert site.get("/", link=link()) == not_found()

    def test_reload_of_a_used_link_leads_to_the_page_for_whom_it_let_in(self, site: Site) -> None:
        mine = cookie_in(site.get("/", link=link()))
        again = site.get("/", cookie=mine, link=link(), target="web")
        assert 'content="0;url=./#web"' in again.body
        assert "Set-Cookie" not in again.headers

    @pytest.mark.parametrize(
        ("target", "place"), [("web", "./#web"), ("", "./"), ('"><script>', "./"), ("//evil", "./")]
    )
    def test_link_leads_to_a_targets_view_and_nowhere_else(
        self, site: Site, target: str, place: str
    ) -> None:
        body = site.get("/", link=link(), target=target).body
        assert f'content="0;url={place}"' in body
        assert "script" not in body


class TestVisitor:
    def test_page_and_its_facts_are_shown_and_kept_for_some_seconds(self, site: Site) -> None:
        page = site.get("/", cookie=cookie())
        assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        state = [site.get("/state.json", cookie=cookie()) for _ in range(3)]
        assert [json.loads(one.body) for one in state] == [STATE] * 3
        assert site.reading.reads == 1
        assert {one.headers["Cache-Control"] for one in (page, *state)} == {"no-store"}

    def test_past_of_a_target_is_shown_and_an_unknown_one_is_not_found(self, site: Site) -> None:
        past = site.get("/history.json", cookie=cookie(), target="web")
        assert json.loads(past.body) == {"entries": []}
        assert site.get("/history.json", cookie=cookie(), target="x") == not_found()
        assert site.get("/history.json", cookie=cookie()) == not_found()

    def test_new_key_ends_the_session(self, site: Site) -> None:
        site.keys.found = PageKey("the next key, which is as long", 4)
        assert site.get("/", cookie=cookie()) == not_found()

    def test_error_of_aws_is_told_without_its_detail(self, site: Site) -> None:
        site.reading.error = UnavailableError("AWS is too busy", detail="arn:aws:secret")
        answer = site.get("/state.json", cookie=cookie())
        assert (answer.status, answer.body) == (503, '{"error": "AWS is too busy"}')
        assert site.get("/state.json", cookie=cookie()) == answer
        (noted,) = site.journal.decisions
        assert noted.facts["reason"] == site.reading.error.in_full

    def test_defect_is_told_without_its_words(self, site: Site) -> None:
        site.reading.error = KeyError("a secret")
        answer = site.get("/state.json", cookie=cookie())
        assert (answer.status, "secret" in answer.body) == (503, False)
        assert [one.facts["reason"] for one in site.journal.decisions] == ["KeyError"]

    def test_words_in_other_scripts_are_no_longer_than_they_are(self, site: Site) -> None:
        site.reading.shown = {"targets": [{"subject": "дом 家 🏠"}]}
        body = site.get("/state.json", cookie=cookie()).body
        assert "дом 家 🏠" in body

    def test_state_that_lambda_could_not_send_is_an_error_that_says_so(self, site: Site) -> None:
        site.reading.shown = {"targets": ["家" * (MOST_BYTES // 3)]}
        answer = site.get("/state.json", cookie=cookie())
        assert (answer.status, "use `pulley open`" in answer.body) == (503, True)


class TestBadge:
    def test_badge_is_for_everybody_and_read_once_a_minute(self, site: Site) -> None:
        answers = [site.get("/badge/web.svg") for _ in range(5)]
        assert {(one.status, one.headers["Content-Type"]) for one in answers} == {
            (200, "image/svg+xml")
        }
        assert answers[0].headers["Cache-Control"] == "max-age=60"
        assert answers[0].body == "<svg>web</svg>"
        assert site.get("/badge/other.svg") == not_found()
        assert site.reading.reads == 1

    def test_error_of_aws_costs_one_reading_for_all_badges_and_is_logged_once(
        self, site: Site
    ) -> None:
        site.reading.error = UnavailableError("AWS is too busy")
        for _ in range(5):
            assert site.get("/badge/web.svg") == not_found()
            assert site.get("/badge/other.svg") == not_found()
        assert site.reading.reads == len(site.journal.decisions) == 1
