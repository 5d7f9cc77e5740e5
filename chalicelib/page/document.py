"""The page as one HTML document: its markup, stylesheet and script, and nothing from elsewhere.

Source of the policy: W3C, "Content Security Policy Level 3". A data block (a script element of the
type application/json) is not executed, so it needs no hash.
"""

import json
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path

_FOLDER = Path(__file__).parent


@cache
def _parts() -> tuple[str, str, str]:
    html, style, script = (
        (_FOLDER / name).read_text(encoding="utf-8")
        for name in ("page.html", "page.css", "page.js")
    )
    return html, style, script


@cache
def page() -> str:
    """The page that reads `state.json` beside it."""
    html, style, script = _parts()
    html = html.replace("<style></style>", f"<style>{style}</style>")
    return html.replace("<script></script>", f"<script>{script}</script>")


def picture(state: Mapping[str, object], history: Mapping[str, object]) -> str:
    """The page with a state in it, which opens from a file.

    `history` has the entries of each target's past, by the target's name. Both are plain JSON.
    """
    data = "".join(
        f'<script type="application/json" id="{name}">{_harmless(value)}</script>\n'
        for name, value in (("state", state), ("history", history))
    )
    allowed = content_policy(reads="'none'")
    policy = f'<meta http-equiv="Content-Security-Policy" content="{allowed}">\n'
    html = page().replace("<title>", f"{policy}<title>", 1)
    before, script, after = html.rpartition("<script>")
    return f"{before}{data}{script}{after}"


def content_policy(*, reads: str = "'self'") -> str:
    """The page's Content-Security-Policy: its own style and script run, and nothing else.

    `reads` says where the script may read from.
    """
    _, style, script = _parts()
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src '{_hash(style)}'",
            f"script-src '{_hash(script)}'",
            f"connect-src {reads}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _harmless(value: object) -> str:
    """JSON that cannot end the element that it is in."""
    return json.dumps(value).replace("<", "\\u003c")
