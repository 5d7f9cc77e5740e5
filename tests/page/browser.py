"""A real browser for the tests of the page: Chromium from the distribution's packages."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    sync_playwright,
)

NAMES = ("chromium", "chromium-browser", "google-chrome")
WIDE, HIGH = 1280, 900  # pixels
# A container has no user namespaces, and runs the tests as root.
_ARGUMENTS = ("--no-sandbox", "--disable-dev-shm-usage")


def chromium() -> str:
    """The path of the browser; "" if there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), "")


# One process runs all tests with a browser.
MARKS = [
    pytest.mark.skipif(
        not chromium() and not os.environ.get("PULLEY_BROWSER"),
        reason="there is no Chromium: apt-get install chromium",
    ),
    pytest.mark.xdist_group("browser"),
]


@dataclass
class Visit:
    """A page, with what its browser complained of, and the hosts that it asked."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    origins: set[str] = field(default_factory=set)

    @property
    def context(self) -> BrowserContext:
        """The browser's profile: its cookies, for example."""
        return self.page.context

    def text(self, selector: str) -> str:
        """The text that a reader sees in the first element that fits."""
        return self.page.inner_text(selector)


@contextmanager
def started() -> Iterator[Browser]:
    """Start a browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visit(
    browser: Browser, url: str, *, width: int = WIDE, is_dark: bool = False
) -> Iterator[Visit]:
    """Open an address in a profile of its own, and wait until the page shows a verdict."""
    context = browser.new_context(
        viewport={"width": width, "height": HIGH}, color_scheme="dark" if is_dark else "light"
    )
    seen = Visit(context.new_page())

    def complain(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            seen.complaints.append(message.text)

    def ask(request: Request) -> None:
        parts = urlsplit(request.url)
        seen.origins.add(f"{parts.scheme}://{parts.netloc}")

    seen.page.on("console", complain)
    seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    seen.page.on("dialog", lambda dialog: seen.complaints.append(f"dialog {dialog.message}"))
    seen.page.on("request", ask)
    try:
        seen.page.goto(url)
        yield seen
    finally:
        context.close()


def wait_for_verdict(seen: Visit, words: str) -> None:
    """Wait until the page's headline has these words."""
    seen.page.wait_for_function(
        "words => document.getElementById('verdict').textContent.includes(words)", arg=words
    )
