"""What the page says of a state, word by word, in a real browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.page.browser import MARKS, started, wait_for_verdict
from tests.page.states import COMMIT, FROZEN, OLDER, deploy, opened, state_with

pytestmark = MARKS

NONE = "\N{EN DASH}"  # the glyph of "no commit is wanted"
AWAY = {"state": "asleep", "online": False}
AWAY_AND_BEHIND = AWAY | {"there": False, "commit": OLDER}
FAILED = {"state": "failed", "there": False, "commit": OLDER, "last": "failed: no space left"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started() as opened:
        yield opened


class TestOffline:
    def test_only_hosts_online_are_said_to_be_where_they_should_be(
        self, browser: Browser, tmp_path: Path
    ) -> None:
        state = state_with({}, AWAY_AND_BEHIND, AWAY)
        with opened(browser, state, tmp_path) as seen:
            wait_for_verdict(seen, "Every host online is where it should be, 2 offline")
            assert seen.text(".top .is") == "2 of 3 hosts on 4d5e6f7, web-2 is offline"
            assert seen.page.get_attribute("article", "class") == "held"

    def test_several_are_named(self, browser: Browser, tmp_path: Path) -> None:
        with opened(browser, state_with({}, *[AWAY_AND_BEHIND] * 5), tmp_path) as seen:
            verdict = "1 of 6 hosts on 4d5e6f7, web-2, web-3, web-4 and 2 more are offline"
            assert seen.text(".top .is") == verdict
        with opened(browser, state_with({}, *[AWAY_AND_BEHIND] * 2), tmp_path, view="web") as seen:
            wait_for_verdict(seen, "web: 1 of 3 hosts on 4d5e6f7, web-2, web-3 are offline")

    def test_host_that_went_offline_at_the_wanted_commit_is_well(
        self, browser: Browser, tmp_path: Path
    ) -> None:
        with opened(browser, state_with({}, AWAY), tmp_path) as seen:
            assert seen.text("#verdict") == "Every host is where it should be"
            assert seen.text(".top .is") == "2 of 2 hosts on 4d5e6f7, 1 offline"
            assert seen.page.get_attribute("article", "class") == "good"

    def test_frozen_target_stays_frozen(self, browser: Browser, tmp_path: Path) -> None:
        state = state_with({}, AWAY | {"there": None}, pinned=FROZEN, wanted=None)
        with opened(browser, state, tmp_path) as seen:
            assert seen.text(".top .is") == "frozen"


def test_target_that_cannot_be_read_is_in_the_headline(browser: Browser, tmp_path: Path) -> None:
    state = state_with({}) | {"failed": [{"target": "api", "reason": "AWS refused"}]}
    with opened(browser, state, tmp_path) as seen:
        wait_for_verdict(seen, "1 target could not be read")
        assert "AWS refused" in seen.text("#trouble")
        assert seen.page.get_attribute("#verdict", "class") == "bad"


class TestNext:
    def test_gate_says_its_reason_first(self, browser: Browser, tmp_path: Path) -> None:
        gates = [
            {"name": "after", "state": "closed", "reason": "waits for web"},
            {"name": "window", "state": "open", "reason": ""},
        ]
        waiting = {"commit": COMMIT, "tag": "", "gates": gates}
        with opened(browser, state_with({}, waiting=waiting), tmp_path) as seen:
            rows = seen.page.locator("dd li")
            assert rows.all_inner_texts() == [
                "waits for web (gate “after”, closed)",
                "gate “window” is open",
            ]
            assert rows.locator("b").all_inner_texts() == ["waits for web", "gate “window” is open"]
            assert seen.text("dd li .faint") == "(gate “after”, closed)"
            assert "4d5e6f7 goes out when every gate above is open." in seen.text("dl")

    def test_closed_gate_does_not_hide_when_a_failed_host_is_tried_again(
        self, browser: Browser, tmp_path: Path
    ) -> None:
        gate = {"name": "after", "state": "closed", "reason": "waits for web"}
        again = "it failed, and is tried again at 12:30 UTC"
        state = state_with(
            FAILED,
            waiting={"commit": COMMIT, "tag": "", "gates": [gate]},
            next=[{"action": "wait", "commit": COMMIT, "reason": again, "hosts": 1}],
        )
        with opened(browser, state, tmp_path) as seen:
            assert seen.page.locator("dt:text('Next') + dd li").all_inner_texts() == [
                "4d5e6f7 goes out when every gate above is open.",
                f"Nothing yet for 1 host: {again}.",
            ]

    def test_hold_is_said_once_and_hides_no_other_reason(
        self, browser: Browser, tmp_path: Path
    ) -> None:
        held = "4d5e6f7 is held: its roll-out was stopped"
        waits = {"action": "wait", "commit": COMMIT, "hosts": 2}
        entries = [waits | {"reason": held}, waits | {"reason": "it is offline"}]
        with opened(browser, state_with({}, held=held, next=entries), tmp_path) as seen:
            assert seen.page.locator("dt:text('Next') + dd li").all_inner_texts() == [
                held,
                "Nothing yet for 2 hosts: it is offline.",
            ]
        with opened(browser, state_with({}, held=held, next=entries[:1]), tmp_path) as seen:
            assert seen.text("dt:text('Next') + dd") == held

    def test_open_gates_say_what_the_next_round_sends(
        self, browser: Browser, tmp_path: Path
    ) -> None:
        gate = {"name": "after", "state": "open", "reason": "web is well"}
        waiting = {"commit": COMMIT, "tag": "", "gates": [gate]}
        with opened(browser, state_with({}, waiting=waiting), tmp_path) as seen:
            assert seen.text("dt:text('Next') + dd") == (
                "The next round sends 4d5e6f7: all gates are open."
            )


class TestCommits:
    def test_comparison_says_since_which_commit(self, browser: Browser, tmp_path: Path) -> None:
        with opened(browser, state_with(FAILED), tmp_path, view="web") as seen:
            links = seen.page.locator("a:text('changes since bbbbbbb')")
            assert links.count() == 2  # above, and in the host's row
            assert (links.first.get_attribute("href") or "").endswith(
                f"/octo/site/compare/{OLDER}...{COMMIT}"
            )

    @pytest.mark.parametrize("other", [COMMIT, OLDER])
    def test_last_deploy_names_its_commit_only_if_it_is_another(
        self, browser: Browser, tmp_path: Path, other: str
    ) -> None:
        with opened(browser, state_with({}, newest=deploy(commit=other)), tmp_path) as seen:
            said = seen.text("dt:text('Last deploy') + dd")
            assert said.startswith("success · 10 min ago · push by mona · took 60 s")
            assert (other[:7] in said) == (other != COMMIT)


class TestErrors:
    def test_targets_own_page_says_an_error_once(self, browser: Browser, tmp_path: Path) -> None:
        row = FAILED | {"local_commits": 1, "output": None}
        with opened(browser, state_with({}, row), tmp_path) as seen:
            assert seen.text(".why") == "web-2 failed: no space left"
            seen.page.click("h2 a")
            seen.page.wait_for_selector(".hosts")
            assert seen.text("body").count("no space left") == 1
            assert seen.page.locator(".why").count() == 0
            assert seen.text(".hosts .words") == "failed: no space left"
            assert "1 commit made on this host" in seen.text(".hosts")
            assert seen.page.locator(".hosts details").count() == 0
            assert seen.complaints == []

    def test_several_errors_are_grouped_also_there(self, browser: Browser, tmp_path: Path) -> None:
        state = state_with(FAILED, FAILED | {"local_commits": 2})
        with opened(browser, state, tmp_path, view="web") as seen:
            assert seen.text(".why") == "web-1, web-2 failed: no space left"
            assert "2 commits made on this host" in seen.text(".hosts")

    @pytest.mark.parametrize("is_dark", [False, True])
    def test_word_failed_has_the_colour_of_errors(
        self, browser: Browser, tmp_path: Path, *, is_dark: bool
    ) -> None:
        state = state_with(FAILED, {})
        with opened(browser, state, tmp_path, view="web", is_dark=is_dark) as seen:
            colour = "one => getComputedStyle(document.querySelector(one)).color"
            word, headline = (
                seen.page.evaluate(colour, one) for one in (".hosts .words b", "#verdict")
            )
            assert word == headline
            assert seen.page.evaluate(colour, ".hosts .words") != headline


class TestSquares:
    def test_legend_explains_each_square_and_does_not_move(
        self, browser: Browser, tmp_path: Path
    ) -> None:
        with opened(browser, state_with({"state": "running"}), tmp_path) as seen:
            legend = [one.split("\n") for one in seen.page.locator("#legend li").all_inner_texts()]
            assert [NONE, "no commit is wanted"] in legend
            assert ["»", "replaced: a deploy that a newer one replaced"] in legend
            glyphs = [glyph for glyph, _ in legend]
            assert len(set(glyphs)) == len(glyphs)
            moves = "one => getComputedStyle(document.querySelector(one)).animationName"
            cell = '.cell[data-is="running"]'
            assert seen.page.evaluate(moves, f"#targets {cell}") == "breathe"
            assert seen.page.evaluate(moves, f"#legend {cell}") == "none"

    def test_host_of_a_target_without_a_wanted_commit_has_the_legends_square(
        self, browser: Browser, tmp_path: Path
    ) -> None:
        state = state_with({"state": None, "there": None}, wanted=None, pinned=FROZEN)
        with opened(browser, state, tmp_path) as seen:
            assert seen.text(".strip .cell") == NONE

    @pytest.mark.parametrize("is_dark", [False, True])
    def test_replaced_deploy_is_not_shown_as_not_heard_of(
        self, browser: Browser, tmp_path: Path, *, is_dark: bool
    ) -> None:
        past = {"web": [deploy(), deploy(state="inactive", description="overtaken by 4d5e6f7")]}
        state = state_with({})
        with opened(browser, state, tmp_path, view="web", history=past, is_dark=is_dark) as seen:
            cells = seen.page.locator(".deploys .cell")
            assert cells.all_inner_texts() == ["✓", "»"]
            assert cells.last.get_attribute("title") == "replaced by a newer one"
            found = Axe().run(seen.page)
            assert found.violations_count == 0, found.generate_report()


def test_phone_has_one_column_and_the_verdict_below_the_name(
    browser: Browser, tmp_path: Path
) -> None:
    with opened(browser, state_with({}), tmp_path, width=390) as seen:
        place = "one => document.querySelector(one).getBoundingClientRect().toJSON()"
        name, verdict, term, told = (
            seen.page.evaluate(place, one) for one in ("h2", ".top .is", "dt", "dd")
        )
        assert verdict["top"] >= name["bottom"]
        assert told["top"] >= term["bottom"]
        assert verdict["left"] == name["left"]
        assert told["left"] == term["left"]
