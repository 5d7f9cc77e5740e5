"""The page's HTML: nothing from elsewhere, and a policy under which only its own script runs."""

import json
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

from chalicelib.page.answers import html_headers
from chalicelib.page.document import content_policy, page, picture

HOSTILE = "</script><script>alert(1)</script><!--"


class Parts(HTMLParser):
    """Collects the tags with their attributes, and the text of style and script elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in {"style", "script"}:
            self.texts.append("")

        self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside in {"style", "script"}:
            self.texts[-1] += data


def hash_of(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


class TestPage:
    def test_nothing_is_loaded_from_elsewhere(self) -> None:
        addresses = [
            value
            for _, attributes in Parts(page()).tags
            for name, value in attributes.items()
            if name in {"src", "href", "action", "data"}
        ]
        assert set(addresses) <= {"#", "#main", "data:,"}
        assert "@import" not in page()
        assert "url(" not in page()

    def test_policy_allows_this_style_and_this_script_and_nothing_else(self) -> None:
        style, script = [text for text in Parts(page()).texts if text.strip()]
        policy = dict(one.split(" ", 1) for one in content_policy().split("; "))
        assert policy == {
            "default-src": "'none'",
            "style-src": hash_of(style),
            "script-src": hash_of(script),
            "connect-src": "'self'",
            "img-src": "data:",
            "base-uri": "'none'",
            "form-action": "'none'",
        }
        assert html_headers()["Content-Security-Policy"].endswith("frame-ancestors 'none'")

    def test_script_never_makes_html_of_text(self) -> None:
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert word not in page()
        assert not re.search(r"<[^>]+ on[a-z]+=", page())


class TestPicture:
    def test_hostile_state_stays_inside_its_element(self) -> None:
        state = {"stage": HOSTILE, "targets": []}
        html = picture(state, {"web": HOSTILE})
        found = Parts(html)
        scripts = [attributes for tag, attributes in found.tags if tag == "script"]
        assert len(scripts) == 3
        data = [one for one in scripts if one.get("type") == "application/json"]
        assert [one["id"] for one in data] == ["state", "history"]
        blocks = [json.loads(one) for one in found.texts if one.startswith("{")]
        assert blocks == [state, {"web": HOSTILE}]

    def test_picture_has_its_own_policy_and_reads_nothing(self) -> None:
        html = picture({"targets": []}, {})
        (meta,) = [
            attributes["content"] or ""
            for tag, attributes in Parts(html).tags
            if attributes.get("http-equiv") == "Content-Security-Policy"
        ]
        assert "connect-src 'none'" in meta
        assert "default-src 'none'" in meta
