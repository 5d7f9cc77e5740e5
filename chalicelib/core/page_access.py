"""Who may look at the hosted page: a link, valid once and for two minutes, becomes a cookie.

Both are signed with the stage's page key. Whoever may read that key in Parameter Store can make a
link, so IAM decides who may look. Pure: no clock and no I/O.
"""

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

LINK_SECONDS, COOKIE_SECONDS = 120, 12 * 3600
LEAST_KEY = 16  # characters; a shorter key could be guessed from a link
_LINK, _COOKIE = "link", "cookie"
_SIGNED = re.compile(r"([0-9]{1,9})\.([0-9]{1,11})\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True)
class PageKey:
    """The stage's page key, and its version in Parameter Store: a new version ends all sessions."""

    value: str = field(repr=False)
    version: int


@dataclass(frozen=True)
class Signed:
    """A link's or a cookie's parts. `nonce` makes it unique. `until` is in epoch seconds."""

    version: int
    until: int
    nonce: str
    signature: str = field(repr=False)


def make_link(key: PageKey, stage: str, *, now: datetime, nonce: str) -> str:
    """The part of a link that lets in. `now` is aware; `nonce` has 22 characters of base64url."""
    return _made(_LINK, key, stage, int(now.timestamp()) + LINK_SECONDS, nonce)


def make_cookie(key: PageKey, stage: str, *, now: datetime, nonce: str) -> str:
    """The value of a cookie. `now` is aware; `nonce` has 22 characters of base64url."""
    return _made(_COOKIE, key, stage, int(now.timestamp()) + COOKIE_SECONDS, nonce)


def read_signed(text: str, *, now: datetime, seconds: int) -> Signed | None:
    """The parts of a link or a cookie that may be valid; None if no key could make it so.

    `seconds` is how long a new one is valid: one that is valid for longer was not made here.
    """
    found = _SIGNED.fullmatch(text)
    if not found:
        return None
    signed = Signed(int(found[1]), int(found[2]), found[3], found[4])
    left = signed.until - now.timestamp()
    return signed if 0 < left <= seconds + 60 else None  # 60: the operator's clock may be fast


def is_link_of(key: PageKey, stage: str, signed: Signed) -> bool:
    """Whether this key made the link, for this stage."""
    return _is_of(_LINK, key, stage, signed)


def is_cookie_of(key: PageKey, stage: str, signed: Signed) -> bool:
    """Whether this key made the cookie, for this stage."""
    return _is_of(_COOKIE, key, stage, signed)


def cookie_name(stage: str) -> str:
    """The cookie's name. By its prefix, browsers take it over HTTPS only, for this host alone."""
    return f"__Host-pulley-{stage}"


def cookies_in(header: str, stage: str) -> Iterable[str]:
    """The values of the stage's cookie in a Cookie header; a browser may send several."""
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        if name == cookie_name(stage):
            yield value


def _made(kind: str, key: PageKey, stage: str, until: int, nonce: str) -> str:
    said = f"{key.version}.{until}.{nonce}"
    return f"{said}.{_sign(kind, key, stage, said)}"


def _is_of(kind: str, key: PageKey, stage: str, signed: Signed) -> bool:
    said = f"{signed.version}.{signed.until}.{signed.nonce}"
    is_current = signed.version == key.version
    return hmac.compare_digest(_sign(kind, key, stage, said), signed.signature) and is_current


def _sign(kind: str, key: PageKey, stage: str, said: str) -> str:
    words = f"pulley page {kind} {stage} {said}".encode()
    digest = hmac.new(key.value.encode(), words, sha256).digest()
    return urlsafe_b64encode(digest).decode().rstrip("=")
