"""`make screenshots`: pictures of the page for the README and docs/page.md, of real deploys.

A sandbox with a small fleet gets good releases, and one that a host cannot take. What is drawn is
what `pulley open` would show then.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from playwright.sync_api import Page

from pulley.sandbox.picture import write_picture
from pulley.sandbox.sandbox import FULL_NAME, STAGE, Sandbox
from pulley.sandbox.setup import store_targets
from tests.page.browser import chromium, started, visit

HOSTS = ("web-1", "web-2", "web-3", "web-4", "web-5", "web-6")
OTHERS = {"production": ("prod-1", "prod-2", "prod-3"), "reports": ("reports-1", "reports-2")}
RELEASES = (
    ("Show the prices in euros", "<h1>Prices in euros</h1>\n"),
    ("Remember the basket for a week", "<h1>Your basket</h1>\n"),
    ("Greet returning customers by name", "<h1>Welcome back</h1>\n"),
)
# By the picture's name: the view, the width and the colours.
PICTURES: Mapping[str, tuple[str, int, bool]] = {
    "page-fleet-light": ("", 1280, False),
    "page-target-dark": ("#web", 1280, True),
    "page-phone": ("", 390, False),
}


def main(folder: Path) -> None:
    """Draw every picture into the folder."""
    if not chromium():
        sys.exit("there is no Chromium: apt-get install chromium")
    folder.mkdir(parents=True, exist_ok=True)
    with Sandbox(HOSTS) as sandbox:
        _deploy(sandbox)
        page = write_picture(sandbox, sandbox.directory / "page.html")
        with started() as browser:
            for name, (view, width, is_dark) in PICTURES.items():
                address = f"{page.as_uri()}{view}"
                with visit(browser, address, width=width, is_dark=is_dark) as seen:
                    seen.page.wait_for_selector("article")
                    if not view:  # cards outside the screen are drawn only once they are inside it
                        _grow(seen.page, width)
                    seen.page.screenshot(path=folder / f"{name}.png")


def _grow(page: Page, width: int) -> None:
    """Make the window as high as the page, whose height is an estimate until it is drawn."""
    for _ in range(2):
        height = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(500)


def _deploy(sandbox: Sandbox) -> None:
    targets = [sandbox.target]
    for name, hosts in OTHERS.items():
        for host in hosts:
            machine = sandbox.add_machine(host, tags={"pulley": STAGE, "role": name})
        targets.append(
            {
                **sandbox.target,
                "name": name,
                "instances": {"tags": {"role": name}},
                "health_check": machine.site.health_check,
            }
        )
    targets[1] |= {"after": ["web"]}
    store_targets(sandbox.account.ssm, STAGE, FULL_NAME, targets)
    for subject, text in RELEASES[:-1]:
        _push(sandbox, subject, text)
    sandbox.machines[3].commit("index.html", "<h1>Closed today</h1>\n", "Hotfix made on web-4")
    sandbox.machines[-1].host.sleep()
    _push(sandbox, *RELEASES[-1])


def _push(sandbox: Sandbox, subject: str, text: str) -> None:
    sandbox.commit({"index.html": text}, subject)
    sandbox.developer.git.push("-q")
    sandbox.wait_until_quiet()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images"))
