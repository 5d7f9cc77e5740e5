"""Users as GitHub's JSON shows them: the schema `simple-user` of its OpenAPI description."""

import base64
from collections.abc import Mapping

Shape = dict[str, object]

_API = "https://api.github.com/users"
# What follows a user's address in each field. GitHub writes some as templates.
_URLS: Mapping[str, str] = {
    "followers_url": "/followers",
    "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}",
    "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions",
    "organizations_url": "/orgs",
    "repos_url": "/repos",
    "events_url": "/events{/privacy}",
    "received_events_url": "/received_events",
}


def node_id(url: str) -> str:
    """An object's id in GitHub's GraphQL API."""
    return base64.urlsafe_b64encode(url.encode()).decode()


def show_user(login: str, number: int, kind: str = "User") -> Shape:
    """A user, an organization (`kind` is "Organization") or an app's user ("Bot")."""
    url = f"{_API}/{login}"
    return {
        "login": login,
        "id": number,
        "node_id": node_id(url),
        "avatar_url": f"https://avatars.githubusercontent.com/u/{number}?v=4",
        "gravatar_id": "",
        "url": url,
        "html_url": f"https://github.com/{login}",
        **{name: f"{url}{path}" for name, path in _URLS.items()},
        "type": kind,
        "site_admin": False,
    }


SENDER: Mapping[str, object] = show_user("octo-ci[bot]", 49_699_334, "Bot")
DEPLOYER: Mapping[str, object] = show_user("octo-deployer[bot]", 49_699_333, "Bot")
