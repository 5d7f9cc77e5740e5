"""States of the page, made by hand, and the page with such a state in it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from chalicelib.page.document import picture
from tests.page.browser import Visit, visit

COMMIT = "4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b1c2d3e"
OLDER = "b" * 40
FROZEN = {"state": "frozen", "reason": "a holiday", "by": "mona", "until": None}


@contextmanager
def opened(
    browser: Browser,
    state: Mapping[str, Any],
    folder: Path,
    *,
    view: str = "",
    history: Mapping[str, Any] | None = None,
    **how: Any,  # noqa: ANN401 - for `visit`
) -> Iterator[Visit]:
    """A page with a state in it, opened from a file. `view` is what stands behind the #."""
    file = folder / "page.html"
    file.write_text(picture(state, {"web": []} if history is None else history))
    with visit(browser, file.as_uri() + (f"#{view}" if view else ""), **how) as seen:
        yield seen


def state_with(*hosts: Mapping[str, object], **changes: object) -> dict[str, Any]:
    """A state of one target with these hosts."""
    target = {
        "target": "web",
        "repository": "octo/site",
        "branch": "main",
        "tag": None,
        "wanted": {"commit": COMMIT},
        "subjects": {},
        "environment": "web",
        "url": None,
        "pinned": None,
        "held": None,
        "waiting": None,
        "next": [],
        "well": True,
        "newest": None,
        "hosts": [host(number) | dict(one) for number, one in enumerate(hosts, 1)],
    }
    return {
        "version": 1,
        "stage": "prod",
        "region": "eu-west-1",
        "github": "https://github.com",
        "at": "2030-01-10T12:00:00Z",
        "targets": [target | changes],
        "failed": [],
        "problems": [],
    }


def host(number: int) -> dict[str, object]:
    return {
        "host": f"web-{number}",
        "instance_id": f"i-{number:017x}",
        "online": True,
        "commit": COMMIT,
        "wanted": COMMIT,
        "there": True,
        "seen": "2030-01-10T11:55:00Z",
        "set_aside": None,
        "state": "at it",
        "last": "at 4d5e6f7: updated",
        "command_id": None,
        "local_commits": 0,
        "output": None,
    }


def deploy(**changes: object) -> dict[str, object]:
    """A deploy: the newest one, or an entry of a target's past."""
    made: dict[str, object] = {
        "kind": "command",
        "command_id": None,
        "commit": COMMIT,
        "cause": "push",
        "by": "mona",
        "at": "2030-01-10T11:50:00Z",
        "ended": "2030-01-10T11:51:00Z",
        "seconds": 60,
        "seconds_since_push": 61,
        "state": "success",
        "description": "all hosts",
    }
    return made | changes
