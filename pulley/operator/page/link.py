"""The link that lets somebody see the hosted page, and the key that signs it."""

import secrets
from datetime import datetime

from chalicelib.core.errors import UnavailableError
from chalicelib.core.page_access import make_link
from chalicelib.edges.page_keys import PageKeys
from pulley.operator.stage.stage import Stage
from pulley.operator.suggest import suggest
from pulley.operator.webhook.hooks import is_webhook_url

KEY_BYTES = 32
_WEBHOOK = "github"  # how the webhook's address ends


def hosted_url(stage: Stage) -> str:
    """The address of the hosted page. Raises UnavailableError if the app is not deployed."""
    url = stage.webhook_url
    if not is_webhook_url(url):
        raise UnavailableError(
            f"the address of stage {stage.name} is not known here: deploy it with `chalice deploy "
            f"--stage {stage.name}`, or set PULLEY_WEBHOOK_URL to the webhook's address, which "
            "begins with https:// and ends in /github"
        )
    return url.rstrip("/").removesuffix(_WEBHOOK)


def link_to(stage: Stage, *, now: datetime, target: str = "") -> str:
    """A link that is valid once, for two minutes. `now` is aware. It may lead to a target's view.

    Raises RefusedError, and UnavailableError also if the stage has no page key.
    """
    url, key = hosted_url(stage), PageKeys(stage.ssm, stage.name).key()
    if key is None:
        raise UnavailableError(
            f"stage {stage.name} has no page key, so it has no hosted page: "
            f"{suggest('open', '--hosted', '--new-key')} makes one"
        )
    nonce = secrets.token_urlsafe(16)
    view = f"&target={target}" if target else ""
    return f"{url}?link={make_link(key, stage.name, now=now, nonce=nonce)}{view}"


def has_key(stage: Stage) -> bool:
    """Whether the stage has a page key. Raises RefusedError and UnavailableError."""
    return stage.parameters.read_one(stage.names.page_key) is not None


def store_new_key(stage: Stage) -> None:
    """Store a new page key, and the page's address for GitHub. It ends every session.

    Raises RefusedError and UnavailableError.
    """
    url, names, parameters = hosted_url(stage), stage.names, stage.parameters
    read = parameters.read(names.page_key, names.page_url)
    key = secrets.token_urlsafe(KEY_BYTES)
    parameters.write(names.page_key, key, read=read.get(names.page_key), is_secret=True)
    parameters.write(names.page_url, url, read=read.get(names.page_url))
