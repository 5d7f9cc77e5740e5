"""Answers requests for the hosted page. A stranger always gets the same 404, whatever they send.

Browsers send a cookie with SameSite=Strict only on navigation that began on our own site. A
redirect still belongs to the navigation from the site that had the link. So a link is answered with
a page that moves on by itself.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from chalicelib.core.decisions import Decision, DecisionLog
from chalicelib.core.errors import PulleyError, UnavailableError
from chalicelib.core.page_access import (
    COOKIE_SECONDS,
    LINK_SECONDS,
    PageKey,
    cookie_name,
    cookies_in,
    is_cookie_of,
    is_link_of,
    make_cookie,
    read_signed,
)
from chalicelib.core.targets import NAME_PATTERN
from chalicelib.edges.aws import Deadline
from chalicelib.page.answers import BADGE_HEADERS, HEADERS, html_headers, json_text
from chalicelib.page.document import page
from chalicelib.page.kept import Kept, KeptError
from chalicelib.page.reading import StageReading

FRESH_SECONDS, BADGE_SECONDS = 3.0, 60.0
# In which the calls of a request begin: until we know who asks, and for a view. Lambda ends the
# function after 20.
STRANGER_SECONDS, VIEW_SECONDS = 3.5, 12.0
MOST_BYTES = 5_500_000  # of an answer: Lambda's limit is 6 MB, and its envelope needs some
_BADGE, _SVG = "/badge/", ".svg"


@dataclass(frozen=True)
class Asked:
    """A request with GET: the path below the stage, the query, and the Cookie header."""

    path: str
    query: Mapping[str, str]
    cookies: str


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: str


class Keys(Protocol):
    """The stage's page key. Every method raises RefusedError and UnavailableError."""

    def key(self, version: int | None = None) -> PageKey | None:
        """The key; None if the stage has none."""

    def use(self, nonce: str, *, now: datetime) -> bool:
        """Note that a link was used; False if it was before."""


def not_found() -> Answer:
    """What a stranger gets."""
    return Answer(404, HEADERS, json.dumps({"error": "not found"}))


@dataclass(frozen=True)
class HostedPage:
    """Answers for one stage. `nonce` makes 22 random characters of base64url.

    `deadline` is of the calls to AWS.
    """

    stage: str
    keys: Keys
    reading: StageReading
    journal: DecisionLog
    nonce: Callable[[], str]
    deadline: Deadline
    kept: Kept[str]
    badges: Kept[Mapping[str, str]]

    def answer(self, asked: Asked, *, now: datetime) -> Answer:
        """Answer a request. `now` is aware."""
        self.deadline.restart(STRANGER_SECONDS)
        try:
            if asked.path.startswith(_BADGE):
                return self._badge(asked.path, now)
            is_link = asked.path == "/" and "link" in asked.query
            entry = self._let_in(asked, now) if is_link else None
            if entry or not self._knows(asked.cookies, now):
                return entry or not_found()
        except Exception as error:  # noqa: BLE001 - a stranger learns of no defect either
            self._note(error)
            return not_found()
        try:
            return self._show(asked, now)
        except Exception as error:  # noqa: BLE001 - the detail is in the log
            self._note(error)
            words = str(error) if isinstance(error, PulleyError) else "the page could not be made"
            return Answer(503, HEADERS, json.dumps({"error": words}))

    def _show(self, asked: Asked, now: datetime) -> Answer:
        self.deadline.restart(VIEW_SECONDS)
        target = asked.query.get("target", "")
        if asked.path == "/" and "link" in asked.query:  # a link that was used: a reload
            return Answer(200, html_headers(), _opening(target))
        if asked.path == "/":
            return Answer(200, html_headers(), page())
        if asked.path == "/state.json":
            return Answer(200, HEADERS, self.kept.get(lambda: self._state(now)))
        past = self.reading.past(target, now=now) if asked.path == "/history.json" else None
        return Answer(200, HEADERS, json_text(past)) if past else not_found()

    def _state(self, now: datetime) -> str:
        text = json_text(self.reading.state(now=now))
        if len(text.encode()) > MOST_BYTES:
            raise UnavailableError("the stage is too large for this page: use `pulley open`")
        return text

    def _let_in(self, asked: Asked, now: datetime) -> Answer | None:
        """The answer to a link that lets in; None for any other."""
        signed = read_signed(asked.query["link"], now=now, seconds=LINK_SECONDS)
        key = self.keys.key(signed.version) if signed else None
        if not signed or not key or not is_link_of(key, self.stage, signed):
            return None
        if not self.keys.use(signed.nonce, now=now):
            return None
        value = make_cookie(key, self.stage, now=now, nonce=self.nonce())
        rules = f"Path=/; Max-Age={COOKIE_SECONDS}; Secure; HttpOnly; SameSite=Strict"
        headers = {**html_headers(), "Set-Cookie": f"{cookie_name(self.stage)}={value}; {rules}"}
        return Answer(200, headers, _opening(asked.query.get("target", "")))

    def _knows(self, cookies: str, now: datetime) -> bool:
        for text in cookies_in(cookies, self.stage):
            signed = read_signed(text, now=now, seconds=COOKIE_SECONDS)
            key = self.keys.key(signed.version) if signed else None
            if signed and key and is_cookie_of(key, self.stage, signed):
                return True
        return False

    def _badge(self, path: str, now: datetime) -> Answer:
        target = path.removeprefix(_BADGE).removesuffix(_SVG)
        if not path.endswith(_SVG) or self.keys.key() is None:
            return not_found()
        self.deadline.restart(VIEW_SECONDS)
        made = self.badges.get(lambda: self.reading.badges(now=now)).get(target)
        return Answer(200, BADGE_HEADERS, made) if made else not_found()

    def _note(self, error: Exception) -> None:
        if isinstance(error, KeptError):  # it was noted when it happened
            return
        # The words of a defect may have anything in them.
        reason = error.in_full if isinstance(error, PulleyError) else type(error).__name__
        facts = {"reason": reason}
        self.journal.note(Decision("page", "failed", facts, "error"))


def _opening(target: str) -> str:
    """A page that moves on to the page itself, or to a target's view in it."""
    place = f"./#{target}" if re.fullmatch(NAME_PATTERN, target) else "./"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Pulley</title>'
        f'<meta http-equiv="refresh" content="0;url={place}"><p><a href="{place}">Open the page'
        "</a></p></html>"
    )
