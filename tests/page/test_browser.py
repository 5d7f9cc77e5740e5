"""The page in a real browser, over a sandbox with real deploys."""

import os
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from chalicelib.core.decisions import Decision
from chalicelib.core.page_access import make_link
from chalicelib.core.stored import every_target
from chalicelib.edges.page_keys import PageKeys
from pulley.operator.hosts.ask import Checker
from pulley.operator.page.link import link_to, store_new_key
from pulley.operator.page.server import PageServer, reading_of
from pulley.operator.stage.stage import Stage, utc_now
from pulley.sandbox.sandbox import STAGE, Sandbox
from tests.page.browser import MARKS, Visit, started, visit, wait_for_verdict
from tests.page.states import COMMIT, FROZEN, opened, state_with

pytestmark = MARKS

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"
SLOW = (
    "#!/bin/sh\nmkdir -p build && cp health index.html build/\n"
    "while [ -e /tmp/{} ]; do sleep 0.1; done\n"
)


class Silent:
    """A log that nobody reads."""

    def note(self, decision: Decision) -> None:
        del decision


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started() as opened:
        yield opened


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(["web-1", "web-2", "web-3"]) as opened:
        yield opened


@pytest.fixture(scope="module")
def stage(sandbox: Sandbox) -> Iterator[Stage]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in sandbox.environ.items():
            patch.setenv(name, value)
        yield Stage(STAGE, environ={**os.environ, **sandbox.environ})


@pytest.fixture(scope="module")
def url(stage: Stage) -> Iterator[str]:
    """The address of the page, as `pulley open` serves it."""
    server = PageServer(reading_of(stage, Silent()))
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield server.url
    server.close()
    thread.join()


def push(sandbox: Sandbox, files: Mapping[str, str], subject: str) -> str:
    commit = sandbox.commit(files, subject)
    sandbox.developer.git.push("-q")
    return commit


def shows(seen: Visit, selector: str, words: str) -> None:
    """Wait until the first element that fits has these words."""
    expect(seen.page.locator(selector).first).to_contain_text(words, timeout=30_000)


class TestDeploy:
    def test_running_deploy_is_followed_to_its_end(
        self, browser: Browser, sandbox: Sandbox, url: str
    ) -> None:
        gate = Path(f"/tmp/{sandbox.directory.name}-gate")  # noqa: S108 - the hosts read it, too
        gate.touch()
        try:
            push(sandbox, {"deploy/after-pull": SLOW.format(gate.name)}, "Build slowly")
            with visit(browser, f"{url}#web") as seen:
                wait_for_verdict(seen, "web: deploying")
                seen.page.wait_for_selector('.strip .cell[data-is="running"]')
                gate.unlink()
                wait_for_verdict(seen, "web: 3 of 3 hosts on ")
                shows(seen, "article .subject", "Build slowly")
                shows(seen, ".deploys", "success: 3 of 3 hosts")
                seen.page.wait_for_selector("svg")
                assert seen.complaints == []
                assert {one.rpartition(":")[0] for one in seen.origins} == {"http://127.0.0.1"}
        finally:
            gate.unlink(missing_ok=True)
            sandbox.wait_until_quiet()

    def test_failed_host_is_named_with_its_reason_output_and_what_happens_next(
        self, browser: Browser, sandbox: Sandbox, url: str
    ) -> None:
        sandbox.machines[1].commit("index.html", "mine\n", "In the way")
        push(sandbox, {"index.html": "<h1>Two</h1>\n"}, "Greet in two languages")
        sandbox.wait_until_quiet()
        with visit(browser, url) as seen:
            wait_for_verdict(seen, "web: failed on 1 of 3 hosts")
            assert seen.text(".why").startswith("web-2 failed: conflict in index.html")
            assert "it failed, and is tried again at " in seen.text("dl")
            shows(seen, ".subject", "Greet in two languages")
            seen.page.click("h2 a")
            shows(seen, ".hosts li:first-child", "web-2")
            seen.page.click(".hosts li:first-child summary")
            shows(seen, ".hosts li:first-child pre", "CONFLICT (content)")
            assert seen.complaints == []

    def test_drifted_host_is_shown(
        self, browser: Browser, sandbox: Sandbox, stage: Stage, url: str
    ) -> None:
        sandbox.machines[0].git("reset", "-q", "--hard", "HEAD~1")
        targets, _ = every_target(stage.stored.every_repository())
        snapshot = stage.reader(Silent()).begin(targets, {}, now=utc_now())
        asked = {one: snapshot.fleet.of(one) for one in targets}
        Checker(stage, time.monotonic, time.sleep).ask(asked, issued=snapshot.issued)
        with visit(browser, url) as seen:
            wait_for_verdict(seen, "2 of 3 hosts")
            assert "web-1 drifted: somebody moved the checkout by hand" in seen.text(".why")
            assert seen.page.locator('.cell[data-is="drifted"]').count() == 2  # and the legend's


class TestHosted:
    def test_link_opens_the_page_once_and_a_wrong_one_never(
        self, browser: Browser, stage: Stage
    ) -> None:
        store_new_key(stage)
        link = link_to(stage, now=utc_now(), target="web")
        with visit(browser, link) as seen:
            wait_for_verdict(seen, "web: ")
            assert seen.page.url.endswith("/#web")
            (cookie,) = seen.context.cookies()
            assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (
                True,
                True,
                "Strict",
            )
            seen.page.reload()
            wait_for_verdict(seen, "web: ")
            assert seen.complaints == []
        key = PageKeys(stage.ssm, STAGE).key()
        assert key
        old = utc_now() - timedelta(minutes=3)
        base = link.partition("?")[0]
        expired = make_link(key, STAGE, now=old, nonce="N" * 22)
        for wrong in (link, f"{base}?link={expired}", f"{link}x", base):
            with visit(browser, wrong) as seen:
                assert "not found" in seen.text("body")
                assert seen.context.cookies() == []

    def test_new_key_ends_the_session(self, browser: Browser, stage: Stage) -> None:
        store_new_key(stage)
        with visit(browser, link_to(stage, now=utc_now())) as seen:
            seen.page.wait_for_selector("article")
            store_new_key(stage)
            with visit(browser, link_to(stage, now=utc_now())) as other:
                # Whoever presents the new version makes the app read it, after a second.
                other.page.wait_for_timeout(1100)
                other.page.goto(link_to(stage, now=utc_now()))
                other.page.wait_for_selector("article")
            seen.page.reload()
            assert "not found" in seen.text("body")


class TestLook:
    def test_hostile_text_is_shown_and_never_run(self, browser: Browser, tmp_path: Path) -> None:
        bad = {"host": HOSTILE, "state": "failed", "last": HOSTILE, "output": HOSTILE}
        state = state_with(
            bad | {"set_aside": HOSTILE},
            stage=HOSTILE,
            repository=HOSTILE,
            branch=HOSTILE,
            environment=HOSTILE,
            url=f"javascript:alert(3)//{HOSTILE}",
            subjects={COMMIT: HOSTILE},
            held=HOSTILE,
            pinned={"state": HOSTILE, "reason": HOSTILE, "by": HOSTILE, "until": None},
            waiting={
                "commit": COMMIT,
                "tag": HOSTILE,
                "gates": [{"name": HOSTILE, "state": HOSTILE, "reason": HOSTILE}],
            },
        )
        state |= {"stage": HOSTILE, "problems": [HOSTILE], "region": HOSTILE, "github": HOSTILE}
        state["failed"] = [{"target": HOSTILE, "reason": HOSTILE}]
        for place in ("", "#web"):
            with opened(browser, state, tmp_path) as seen:
                seen.page.goto(f"{seen.page.url.partition('#')[0]}{place}")
                seen.page.wait_for_selector("article")
                assert seen.text("body").count(HOSTILE) >= 8
                assert seen.page.locator("img, article script").count() == 0
                assert seen.page.locator('a[href^="javascript"]').count() == 0
                assert seen.complaints == []

    @pytest.mark.parametrize("is_dark", [False, True])
    @pytest.mark.parametrize("width", [360, 1280, 2560])
    def test_nothing_is_cut_off_and_axe_finds_nothing(
        self, browser: Browser, tmp_path: Path, width: int, *, is_dark: bool
    ) -> None:
        states = ("failed", "parked", "drifted", "behind", "running", "waiting", "asleep", "old")
        state = state_with(
            *({"state": one, "there": False, "last": f"{one}: a reason"} for one in states),
            {"output": "the end\n" * 30, "state": "failed", "there": False},
            pinned=FROZEN,
            subjects={COMMIT: "Show the prices in euros, and in every other money of the world"},
            next=[{"action": "send", "commit": COMMIT, "reason": "it is behind", "hosts": 3}],
        )
        for place in ("", "#web"):
            with opened(browser, state, tmp_path, width=width, is_dark=is_dark) as seen:
                seen.page.goto(f"{seen.page.url.partition('#')[0]}{place}")
                seen.page.reload()
                seen.page.wait_for_selector("article")
                assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
                found = Axe().run(seen.page)
                assert found.violations_count == 0, found.generate_report()
                assert seen.complaints == []

    def test_keyboard_alone_opens_a_target_and_comes_back(
        self, browser: Browser, tmp_path: Path
    ) -> None:
        with opened(browser, state_with({}), tmp_path) as seen:
            for _ in range(3):  # the skip link, the home link, the target
                seen.page.keyboard.press("Tab")
            assert seen.page.evaluate("document.activeElement.id") == "to-web"
            seen.page.keyboard.press("Enter")
            seen.page.wait_for_selector(".hosts")
            assert seen.page.evaluate("document.activeElement.id") == "main"
            seen.page.keyboard.press("Tab")  # to the link back
            seen.page.keyboard.press("Enter")
            seen.page.wait_for_selector("#targets:not(.one)")

    def test_skip_link_leads_to_the_targets_and_to_no_other_view(
        self, browser: Browser, tmp_path: Path
    ) -> None:
        with opened(browser, state_with({}, target="main"), tmp_path, view="main") as seen:
            seen.page.wait_for_selector("#targets.one")
            seen.page.evaluate("location.hash = ''")
            seen.page.wait_for_selector("#targets:not(.one)")
            seen.page.evaluate("document.querySelector('.skip').focus()")
            seen.page.keyboard.press("Enter")
            assert seen.page.evaluate("document.activeElement.id") == "main"
            assert seen.page.locator("#targets:not(.one)").count() == 1

    def test_thousand_hosts_are_few_elements_for_the_first_screen(
        self, browser: Browser, tmp_path: Path
    ) -> None:
        state = state_with(*({} for _ in range(1000)))
        with opened(browser, state, tmp_path) as seen:
            seen.page.wait_for_selector(".strip.many")
            assert seen.page.locator(".strip .cell").count() == 1000
            assert "1000 hosts: 1000 at it" in (
                seen.page.get_attribute(".strip", "aria-label") or ""
            )
            seen.page.click("h2 a")
            assert seen.page.locator(".hosts > li").count() == 1000
            # Rows outside the screen are not laid out until somebody scrolls to them.
            style = "getComputedStyle(document.querySelector('.hosts > li')).contentVisibility"
            assert seen.page.evaluate(style) == "auto"

    def test_wall_of_targets_shows_what_is_out_of_step_first(
        self, browser: Browser, tmp_path: Path
    ) -> None:
        calm, frozen, bad = state_with({}), state_with({}), state_with({"state": "failed"})
        frozen["targets"][0] |= {"target": "frozen", "pinned": FROZEN}
        bad["targets"][0]["target"] = "zoo"
        calm["targets"] += frozen["targets"] + bad["targets"]
        with opened(browser, calm, tmp_path) as seen:
            wait_for_verdict(seen, "zoo: failed on 1 host")
            names = seen.page.locator("article h2").all_inner_texts()
            assert names == ["zoo", "frozen", "web"]
            assert "a holiday · by mona" in seen.text("#target-frozen")

    def test_picture_opens_without_a_server_and_asks_nobody(
        self, browser: Browser, tmp_path: Path
    ) -> None:
        with opened(browser, state_with({}), tmp_path) as seen:
            wait_for_verdict(seen, "Every host is where it should be")
            assert "snapshot of" in seen.text("#asked")
            assert seen.origins == {"file://"}
            assert seen.complaints == []
