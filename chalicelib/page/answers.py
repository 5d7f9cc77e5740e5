"""The HTTP headers of the page's answers."""

import json
from collections.abc import Mapping

from chalicelib.page.document import content_policy

# Nothing of it is for a cache, another site, or a guess at its type.
HEADERS: Mapping[str, str] = {
    "Content-Type": "application/json",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}

BADGE_HEADERS: Mapping[str, str] = {
    **HEADERS,
    "Content-Type": "image/svg+xml",
    "Cache-Control": "max-age=60",
}


def json_text(value: object) -> str:
    """JSON; without escapes, which would make six characters of one."""
    return json.dumps(value, ensure_ascii=False)


def html_headers() -> Mapping[str, str]:
    """The headers of the page itself."""
    return {
        **HEADERS,
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": f"{content_policy()}; frame-ancestors 'none'",
    }
