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
from chalicelib.core.errors import PulleyError
from chalicelib.core.page_access import (
    COOKIE,
    COOKIE_SECONDS,
    LINK_SECONDS,
    PageKey,
    cookies_in,
    is_cookie_of,
    is_link_of,
    make_cookie,
    read_signed,
)
from chalicelib.core.targets import NAME_PATTERN
from chalicelib.page.answers import BADGE_HEADERS, HEADERS, html_headers
from chalicelib.page.badge import badge
from chalicelib.page.document import page
from chalicelib.page.kept import Kept
from chalicelib.page.reading import StageReading

FRESH_SECONDS, BADGE_SECONDS = 3.0, 60.0
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
    """Answers for one stage. `nonce` makes 22 random characters of base64url."""

    stage: str
    keys: Keys
    reading: StageReading
    journal: DecisionLog
    nonce: Callable[[], str]
    kept: Kept[str]
    badges: Kept[str]

    def answer(self, asked: Asked, *, now: datetime) -> Answer:
        """Answer a request. `now` is aware."""
        try:
            if asked.path.startswith(_BADGE):
                return self._badge(asked.path, now)
            if asked.path == "/" and "link" in asked.query:
                return self._let_in(asked, now)
            if not self._knows(asked.cookies, now):
                return not_found()
        except PulleyError as error:
            self._note(error)
            return not_found()
        try:
            return self._show(asked, now)
        except PulleyError as error:
            self._note(error)
            return Answer(503, HEADERS, json.dumps({"error": str(error)}))

    def _show(self, asked: Asked, now: datetime) -> Answer:
        if asked.path == "/":
            return Answer(200, html_headers(), page())
        if asked.path == "/state.json":
            body = self.kept.get("", lambda: json.dumps(self.reading.state(now=now)))
            return Answer(200, HEADERS, body)
        target = asked.query.get("target", "")
        past = self.reading.past(target, now=now) if asked.path == "/history.json" else None
        return Answer(200, HEADERS, json.dumps(past)) if past else not_found()

    def _let_in(self, asked: Asked, now: datetime) -> Answer:
        signed = read_signed(asked.query["link"], now=now, seconds=LINK_SECONDS)
        key = self.keys.key(signed.version) if signed else None
        if not signed or not key or not is_link_of(key, self.stage, signed):
            return not_found()
        if not self.keys.use(signed.nonce, now=now):
            return not_found()
        value = make_cookie(key, self.stage, now=now, nonce=self.nonce())
        rules = f"Path=/; Max-Age={COOKIE_SECONDS}; Secure; HttpOnly; SameSite=Strict"
        headers = {**html_headers(), "Set-Cookie": f"{COOKIE}={value}; {rules}"}
        return Answer(200, headers, _opening(asked.query.get("target", "")))

    def _knows(self, cookies: str, now: datetime) -> bool:
        for text in cookies_in(cookies):
            signed = read_signed(text, now=now, seconds=COOKIE_SECONDS)
            key = self.keys.key(signed.version) if signed else None
            if signed and key and is_cookie_of(key, self.stage, signed):
                return True
        return False

    def _badge(self, path: str, now: datetime) -> Answer:
        target = path.removeprefix(_BADGE).removesuffix(_SVG)
        if not path.endswith(_SVG) or self.keys.key() is None:
            return not_found()
        shown = json.loads(self.badges.get("", lambda: json.dumps(self.reading.badges())))
        if target not in shown:
            return not_found()
        made = self.badges.get(target, lambda: badge(self.reading.state(now=now, only=target)))
        return Answer(200, BADGE_HEADERS, made)

    def _note(self, error: PulleyError) -> None:
        facts = {"reason": error.in_full}
        self.journal.note(Decision("page", "failed", facts, "error"))


def _opening(target: str) -> str:
    """A page that moves on to the page itself, or to a target's view in it."""
    place = f"./#{target}" if re.fullmatch(NAME_PATTERN, target) else "./"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Pulley</title>'
        f'<meta http-equiv="refresh" content="0;url={place}"><p><a href="{place}">Open the page'
        "</a></p></html>"
    )
