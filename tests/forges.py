"""Deliveries and an API as those of Gitea and Forgejo, in their shape.

Their pages "Webhooks" and API reference (Swagger) show the fields. Forgejo sends Gitea's headers
beside its own.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, quote_plus, unquote, urlsplit

from tests.edges.scripted_server import Raw, Request, answer
from tests.fakes import COMMIT, GUID, SECRET, sign

SITE_URL = "https://git.example.com"
CREATED = "2030-01-31T13:00:00+01:00"  # in the server's time zone


def gitea_user(login: str = "octo", full_name: str = "Octo & Partners") -> dict[str, object]:
    """A user. `full_name` is free text that the user chooses."""
    return {
        "id": 1,
        "login": login,
        "login_name": "",
        "source_id": 0,
        "full_name": full_name,
        "email": f"{login}@noreply.git.example.com",
        "avatar_url": f"{SITE_URL}/avatars/1",
        "username": login,
    }


def gitea_push(
    *, owner: Mapping[str, object] | None = None, **changes: object
) -> dict[str, object]:
    """A push event's payload. The commits come before the repository, the owner before its name."""
    person = {"name": "Mona", "email": "mona@example.com", "username": "mona"}
    commit = {
        "id": COMMIT,
        "message": 'say "full_name": "evil/site"\n',
        "url": f"{SITE_URL}/octo/site/commit/{COMMIT}",
        "author": person,
        "committer": person,
        "verification": None,
        "timestamp": "2030-01-31T12:00:00+01:00",
        "added": [],
        "removed": [],
        "modified": ["index.html"],
    }
    return {
        "ref": "refs/heads/main",
        "before": "0" * 39 + "1",
        "after": COMMIT,
        "compare_url": f"{SITE_URL}/octo/site/compare/a...b",
        "commits": [commit],
        "total_commits": 1,
        "head_commit": commit,
        "repository": {
            "id": 2,
            "owner": dict(owner or gitea_user()),
            "name": "site",
            "full_name": "octo/site",
            "description": "",
            "empty": False,
            "private": True,
            "fork": False,
            "html_url": f"{SITE_URL}/octo/site",
            "ssh_url": "git@git.example.com:octo/site.git",
            "clone_url": f"{SITE_URL}/octo/site.git",
            "default_branch": "main",
            "updated_at": "2030-01-31T12:00:00+01:00",
        },
        "pusher": gitea_user("mona", "Mona Lisa"),
        "sender": gitea_user("mona", "Mona Lisa"),
    } | changes


def gitea_json(payload: object) -> bytes:
    """JSON as Go writes it: indented, and with `&`, `<` and `>` escaped."""
    text = json.dumps(payload, indent=2, ensure_ascii=False)
    for one in "&<>":
        text = text.replace(one, f"\\u{ord(one):04x}")
    return text.encode()


def in_form(payload: bytes) -> bytes:
    """The form with this JSON."""
    return b"payload=" + quote_plus(payload).encode()


def gitea_headers(
    payload: bytes, *, content_type: str, secret: str = SECRET, event: str = "push", forgejo: bool
) -> dict[str, str]:
    """The headers of a delivery; the signatures are of the JSON, in a form too."""
    signature = hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()
    families = ["Gitea", "Gogs", *(["Forgejo"] if forgejo else [])]
    headers = {"Content-Type": content_type, "User-Agent": "Go-http-client/1.1"}
    for name in families:
        headers |= {
            f"X-{name}-Delivery": GUID,
            f"X-{name}-Event": event,
            f"X-{name}-Event-Type": event,
            f"X-{name}-Signature": signature,
        }
    return headers | {
        "X-GitHub-Delivery": GUID,
        "X-GitHub-Event": event,
        "X-GitHub-Event-Type": event,
        "X-Hub-Signature": sign(payload, secret, "sha1"),
        "X-Hub-Signature-256": f"sha256={signature}",
    }


class GiteaApi:
    """The script of a server whose API is a Gitea's. It keeps the commit statuses.

    `commits` are the lines of parents that it knows, by SHA; `branches` their tips.
    """

    def __init__(self) -> None:
        self.statuses: dict[str, list[dict[str, Any]]] = {}
        self.branches: dict[str, str] = {}
        self.parents: dict[str, list[str]] = {}
        self.tags: dict[str, str] = {}  # newest first
        self.releases: list[dict[str, object]] = []
        self.page_limit = 50
        self.can_compare = True
        self.refusal: Raw | None = None  # of posts

    def __call__(self, request: Request) -> Raw:
        parts = urlsplit(request.target)
        asked = {name: value for name, (value, *_) in parse_qs(parts.query).items()}
        path = parts.path.removeprefix("/api/v1/repos/octo/site/")
        if path == parts.path or request.headers["authorization"].split()[0] != "Bearer":
            return answer({"message": "token is required", "url": ""}, 401)
        part, _, rest = path.partition("/")
        if part == "statuses":
            return self._statuses(request, rest, asked)
        found = self._found(part, unquote(rest), asked)
        if found is None:
            return answer({"message": "The target couldn't be found.", "url": ""}, 404)
        return answer(found)

    def _found(self, part: str, rest: str, asked: Mapping[str, str]) -> object:
        found: object = None
        if part == "branches" and rest in self.branches:
            found = {"name": rest, "commit": {"id": self.branches[rest], "message": "x"}}
        elif part == "tags":
            tags = [
                {"name": name, "message": "", "id": "f" * 40, "commit": {"url": "", "sha": sha}}
                for name, sha in self.tags.items()
            ]
            found = self._page(tags, asked)
        elif part == "releases":
            found = self._page(self.releases, asked)
        elif part == "commits":
            found = self._line(asked["sha"])[: min(int(asked["limit"]), self.page_limit)]
        elif part == "compare" and self.can_compare:
            base, _, head = rest.partition("...")
            known = {one["sha"] for one in self._line(base)}
            lacking = [one for one in self._line(head) if one["sha"] not in known]
            found = {"total_commits": len(lacking), "commits": lacking or None}
        return found

    def _statuses(self, request: Request, sha: str, asked: Mapping[str, str]) -> Raw:
        listed = self.statuses.setdefault(sha, [])
        if request.method == "POST":
            return self.refusal or answer(self.add(sha, **request.json), 201)
        # By whole seconds, newest first: statuses of the same second come in any order.
        return answer(self._page(listed, asked))

    def _page(
        self, listed: Sequence[Mapping[str, Any]], asked: Mapping[str, str]
    ) -> Sequence[Mapping[str, Any]]:
        limit = min(int(asked.get("limit", 30)), self.page_limit)
        first = (int(asked.get("page", 1)) - 1) * limit
        return listed[first : first + limit]

    def add(self, sha: str, state: str, **fields: object) -> dict[str, Any]:
        listed = self.statuses.setdefault(sha, [])
        one = {
            "id": len(listed) + 1,
            "status": state,
            "target_url": "",
            "description": "",
            "url": f"{SITE_URL}/api/v1/repos/octo/site/statuses/{sha}",
            "context": "default",
            "creator": gitea_user("pulley"),
            "created_at": CREATED,
            "updated_at": CREATED,
        } | fields
        listed.append(one)
        return one

    def _line(self, sha: str) -> list[dict[str, Any]]:
        line, todo = [], [sha]
        while todo:
            one = todo.pop(0)
            parents = self.parents.get(one, [])
            shown = [{"url": "", "sha": parent, "created": CREATED} for parent in parents]
            line.append({"url": "", "sha": one, "created": CREATED, "parents": shown})
            todo += parents
        return line
