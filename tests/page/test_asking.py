"""The page keeps on its feet: names that JavaScript knows, hostile text, a server that is gone."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Route, expect

from chalicelib.page.document import page
from tests.page.browser import MARKS, Visit, started, visit, wait_for_verdict
from tests.page.states import COMMIT, OLDER, deploy, opened, state_with

pytestmark = MARKS

ADDRESS = "http://pulley.test/"
KNOWN_NAMES = (
    "name",
    "length",
    "caller",
    "arguments",
    "prototype",
    "constructor",
    "toString",
    "__proto__",
)
MOST_FAILURES = 20  # of page.js
# Notes each pause before the page asks again, and takes no time for the first `most` of them.
PAUSES = """
const later = setTimeout;
window.pauses = [];
window.setTimeout = (what, pause) => {
  if (what.name !== "ask") return later(what, pause);
  pauses.push(pause);
  return pauses.length <= MOST ? later(what, 0) : 0;
};
"""
REVERSED = "\u202egnihton si siht"


@dataclass
class Server:
    """Answers a page, by the file's name: with a status and a body, or not at all."""

    answers: dict[str, tuple[int, object] | None]
    asked: Counter[str] = field(default_factory=Counter)

    def answer(self, route: Route) -> None:
        name = route.request.url.removeprefix(ADDRESS).partition("?")[0]
        if not name:
            route.fulfill(body=page(), content_type="text/html")
            return
        self.asked[name] += 1
        answer = self.answers[name]
        if answer is None:
            route.abort()
        else:
            route.fulfill(status=answer[0], body=json.dumps(answer[1]))


@contextmanager
def served(browser: Browser, server: Server, view: str = "", *, pauses: int = 0) -> Iterator[Visit]:
    """A page that asks a server, and waits for nothing before the first `pauses` times."""
    with visit(browser, "about:blank") as seen:
        seen.page.add_init_script(PAUSES.replace("MOST", str(pauses)))
        seen.page.route(f"{ADDRESS}**", server.answer)
        seen.page.goto(f"{ADDRESS}#{view}")
        yield seen


def pauses_of(seen: Visit) -> list[int]:
    made: list[int] = seen.page.evaluate("pauses")
    return made


def paused(seen: Visit, times: int) -> None:
    """Wait until the page has paused so often."""
    seen.page.wait_for_function("times => pauses.length >= times", arg=times)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started() as opened:
        yield opened


class TestNames:
    @pytest.mark.parametrize("name", KNOWN_NAMES)
    def test_target_may_have_a_name_that_javascript_knows(
        self, browser: Browser, name: str
    ) -> None:
        state = state_with({}, target=name, environment=name, newest=deploy())
        server = Server(
            {"state.json": (200, state), "history.json": (200, {"entries": [deploy()]})}
        )
        with served(browser, server, name, pauses=3) as seen:
            expect(seen.page.locator(".deploys li")).to_have_count(1)
            paused(seen, 4)
            assert server.asked == {"state.json": 4, "history.json": 1}
            assert seen.complaints == []

    @pytest.mark.parametrize("name", KNOWN_NAMES)
    def test_so_may_everything_else_that_is_looked_up(
        self, browser: Browser, tmp_path: Path, name: str
    ) -> None:
        state = state_with(
            {"state": name, "there": False, "commit": name},
            wanted={"commit": name},
            next=[{"action": name, "commit": COMMIT, "reason": "why not", "hosts": 1}],
            waiting={"commit": name, "tag": "v1", "gates": []},
        )
        with opened(browser, state, tmp_path, history={}) as seen:
            expect(seen.page.locator(".strip .cell")).to_have_text("\N{EN DASH}")
            expect(seen.page.locator("dl")).to_contain_text(f"{name} for 1 host: why not.")
            assert "native code" not in seen.page.content()
            assert seen.complaints == []
        past = {"web": [deploy(state=name, commit=name)]}
        with opened(browser, state, tmp_path, view="web", history=past) as seen:
            expect(seen.page.locator(".deploys .cell")).to_have_text("✕")
            assert "native code" not in seen.page.content()
            assert seen.complaints == []
        state["targets"][0]["target"] = name
        with opened(browser, state, tmp_path, view=name, history={}) as seen:
            seen.page.wait_for_selector("h3 + p:text('Asking AWS')")
            assert seen.complaints == []

    @pytest.mark.parametrize("view", ["%", "%E0%A4%A", "nobody"])
    def test_address_that_names_no_target_shows_all(
        self, browser: Browser, tmp_path: Path, view: str
    ) -> None:
        with opened(browser, state_with({}), tmp_path, view=view) as seen:
            wait_for_verdict(seen, "Every host is where it should be")
            assert seen.complaints == []
        with served(browser, Server({"state.json": (200, state_with({}))}), view) as seen:
            wait_for_verdict(seen, "Every host is where it should be")
            assert seen.complaints == []


class TestAsking:
    @pytest.mark.parametrize(
        "gone", [None, (404, {"error": "not found"}), (503, {"error": "busy"})]
    )
    def test_page_slows_down_and_stops_when_nothing_answers(
        self, browser: Browser, gone: tuple[int, object] | None
    ) -> None:
        server = Server({"state.json": gone})
        with served(browser, server, pauses=99) as seen:
            expect(seen.page.locator("#trouble")).to_contain_text("stopped asking")
            assert pauses_of(seen) == [20_000, 40_000, *[60_000] * (MOST_FAILURES - 3)]
            assert server.asked["state.json"] == MOST_FAILURES
            assert seen.text("#verdict") == "Nothing can be shown"
            assert seen.text("#trouble div:last-child") == (
                "The page has stopped asking. Reload it to start again."
            )
            seen.page.wait_for_timeout(200)
            assert server.asked["state.json"] == MOST_FAILURES

    def test_visible_again_it_asks_again(self, browser: Browser) -> None:
        server = Server({"state.json": None})
        with served(browser, server, pauses=99) as seen:
            expect(seen.page.locator("#trouble")).to_contain_text("stopped asking")
            server.answers["state.json"] = (200, state_with({}))
            seen.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
            wait_for_verdict(seen, "Every host is where it should be")
            assert not seen.page.is_visible("#trouble")

    def test_trouble_stays_while_somebody_looks_around_and_ends_with_an_answer(
        self, browser: Browser
    ) -> None:
        state = state_with({"state": "running"})
        server = Server({"state.json": (200, state), "history.json": (200, {"entries": []})})
        with served(browser, server) as seen:
            wait_for_verdict(seen, "a deploy is running")
            paused(seen, 1)
            server.answers["state.json"] = (404, {"error": "not found"})
            seen.page.evaluate("ask()")
            paused(seen, 2)
            seen.page.click("h2 a")
            seen.page.wait_for_selector(".hosts")
            assert seen.text("#trouble") == (
                "This is not new any more. "
                "You are not signed in any more: run pulley open --hosted again."
            )
            server.answers["state.json"] = (200, state)
            seen.page.evaluate("ask()")
            expect(seen.page.locator("#trouble")).to_be_hidden()
            paused(seen, 3)
            assert pauses_of(seen) == [3_000, 6_000, 3_000]

    @pytest.mark.parametrize("code", [404, 503])
    def test_past_that_cannot_be_read_is_asked_for_a_limited_number_of_times(
        self, browser: Browser, code: int
    ) -> None:
        server = Server(
            {"state.json": (200, state_with({})), "history.json": (code, {"error": "not found"})}
        )
        with served(browser, server, "web", pauses=2 * MOST_FAILURES) as seen:
            words = "The past cannot be read: not found"
            expect(seen.page.locator("h3 + p")).to_have_text(words)
            paused(seen, 2 * MOST_FAILURES + 1)
            assert server.asked["history.json"] == MOST_FAILURES
            assert seen.text("h3 + p") == words
            assert not seen.page.is_visible("#trouble")

    def test_past_is_asked_again_once_with_each_state_until_it_is_read(
        self, browser: Browser
    ) -> None:
        server = Server({"state.json": (200, state_with({})), "history.json": None})
        with served(browser, server, "web") as seen:
            seen.page.wait_for_selector("p:text('The past cannot be read')")
            seen.page.wait_for_timeout(200)
            assert server.asked["history.json"] == 1
            server.answers["history.json"] = (200, {"entries": [deploy()]})
            seen.page.evaluate("ask()")
            seen.page.wait_for_selector(".deploys")
            seen.page.evaluate("ask()")
            paused(seen, 3)
            assert server.asked == {"state.json": 3, "history.json": 2}


class TestDirections:
    """Characters that turn the direction of text turn only the text that they stand in."""

    def test_subject_does_not_turn_what_stands_behind_it(
        self, browser: Browser, tmp_path: Path
    ) -> None:
        state = state_with(
            {"there": False, "state": "behind", "commit": OLDER}, subjects={COMMIT: REVERSED}
        )
        with opened(browser, state, tmp_path) as seen:
            place = "one => document.querySelector(one).getBoundingClientRect().toJSON()"
            subject = seen.page.evaluate(place, ".subject bdi")
            link = seen.page.evaluate(place, ".subject > a")
            assert link["left"] >= subject["right"]

    def test_each_hostile_text_is_alone(self, browser: Browser, tmp_path: Path) -> None:
        row = {
            "host": REVERSED,
            "state": "failed",
            "there": False,
            "last": REVERSED,
            "output": REVERSED,
            "set_aside": REVERSED,
        }
        gate = {"name": "after", "state": "closed", "reason": REVERSED}
        state: dict[str, Any] = state_with(
            row,
            row | {"host": "web-2"},
            subjects={COMMIT: REVERSED},
            pinned={"state": "pinned", "reason": REVERSED, "by": REVERSED, "until": None},
            waiting={"commit": COMMIT, "tag": "", "gates": [gate]},
            next=[{"action": "wait", "commit": COMMIT, "reason": REVERSED, "hosts": 1}],
        )
        mixed = """() => {
          const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
          while (walker.nextNode()) {
            const text = walker.currentNode, around = text.parentElement;
            if (!text.data.includes("\u202e") || around.matches("script")) continue;
            const how = getComputedStyle(around).unicodeBidi;
            if (!how.includes("isolate")) found.push(around.outerHTML);
          }
          return found;
        }"""
        past = {"web": [deploy(subject=REVERSED, description=REVERSED)]}
        for view in ("", "web"):
            with opened(browser, state, tmp_path, view=view, history=past) as seen:
                seen.page.wait_for_selector("article")
                assert seen.text("body").count("\u202e") >= 6
                assert seen.page.evaluate(mixed) == []

    def test_headline_has_none(self, browser: Browser, tmp_path: Path) -> None:
        away = {"host": REVERSED, "state": "asleep", "there": False, "online": False}
        with opened(browser, state_with({}, away), tmp_path) as seen:
            said = "1 of 2 hosts on 4d5e6f7, gnihton si siht is offline"
            assert seen.text(".top .is") == said
