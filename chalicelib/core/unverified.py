"""Reads the repository's name from a body that is not verified yet, to choose the secret.

A stranger's megabytes must be rejected in less time than it takes to parse them. So a large body
is only searched for the name. After the signature is verified, the body is parsed, and must name
the same repository.
"""

import re

from chalicelib.core.refs import RefError, Repository
from chalicelib.core.webhook import FORM, Delivery, DeliveryError, Payload, parse_payload

# The costliest JSON of this size takes some twenty milliseconds to parse.
MAX_PARSED_UNVERIFIED = 256 * 1024  # bytes
# Without this limit, a body full of near matches would take a tenth of a second.
MAX_TRIES = 64
_KEY_IN_JSON, _KEY_IN_FORM = b'"full_name"', b"%22full_name%22"
_OWNER, _NAME = rb"[A-Za-z0-9_-]{1,64}", rb"[A-Za-z0-9._-]{1,100}"
# In Gitea's payloads, users have a "full_name" too, which they choose, followed by their "email".
_IN_JSON = re.compile(
    _KEY_IN_JSON + rb'\s{0,8}:\s{0,8}"(' + _OWNER + rb")/(" + _NAME + rb')"'
    rb'(?!\s{0,8},\s{0,16}"email")'
)
_SPACE = rb"(?:\+|%20|%0A){0,8}"
_IN_FORM = re.compile(
    _KEY_IN_FORM + _SPACE + rb"%3A" + _SPACE + rb"%22"
    rb"(" + _OWNER + rb")(?:%2F|/)(" + _NAME + rb")%22",
    re.IGNORECASE,
)


def claimed_repository(delivery: Delivery) -> Repository | None:
    """The first repository that the body names, or None.

    In a push event of GitHub that is the repository to which somebody pushed. Quotes in a JSON
    string are escaped, so the text of a commit cannot match.
    """
    is_form = delivery.content_type == FORM
    key, pattern = (_KEY_IN_FORM, _IN_FORM) if is_form else (_KEY_IN_JSON, _IN_JSON)
    at, found = -1, None
    for _ in range(MAX_TRIES):
        at = delivery.body.find(key, at + 1)
        found = pattern.match(delivery.body, at) if at >= 0 else None
        if found or at < 0:
            break
    try:
        return Repository.parse(b"/".join(found.groups()).decode("ascii")) if found else None
    except RefError:
        return None


def read_claim(
    delivery: Delivery,
) -> tuple[Repository | None, Payload | DeliveryError | None]:
    """The repository that chooses the secret; and a small body's payload, or why it has none."""
    if len(delivery.body) > MAX_PARSED_UNVERIFIED:
        return claimed_repository(delivery), None
    try:
        payload = parse_payload(delivery)
    except DeliveryError as error:
        return None, error  # not raised: only a verified sender may see it
    return payload.repository, payload
