"""A delivery of GitHub, Gitea or Forgejo: its signature verified, its payload parsed.

No code may act on a delivery before its signature is verified. Only the repository's name is read
from the payload earlier, because the name chooses the secret.

Gitea and Forgejo send GitHub's headers and shapes beside their own. Only their forms differ: they
sign the JSON inside the form, and GitHub signs the form. So a form of theirs is turned into the
JSON inside it before anything else looks at it (`without_form`).

Sources: GitHub's pages "Validating webhook deliveries" and "Webhook events and payloads"; Gitea's
and Forgejo's pages "Webhooks".
"""

import hmac
import json
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from urllib.parse import parse_qs

from chalicelib.core.errors import PulleyError
from chalicelib.core.refs import NULL_COMMIT, CommitSha, RefError, Repository

# API Gateway accepts 10 MB, but Lambda accepts 6 MB for the whole event, headers included.
MAX_BODY_BYTES = 5_800_000
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

_SIGNATURE_256 = re.compile(r"sha256=[0-9a-f]{64}")
_SIGNATURE_1 = re.compile(r"sha1=[0-9a-f]{40}")
_DELIVERY_ID = re.compile(r"[0-9A-Za-z-]{0,64}")
_EVENT = re.compile(r"[a-z0-9_]{1,64}")  # projects_v2_item
_YEAR_3000 = 32_503_680_000  # in epoch seconds
_FORM_START = b"payload="
# All that a value in a form of Gitea consists of: Go escapes every other byte.
_ESCAPED = (string.ascii_letters + string.digits + "._~*-+%").encode()
_GITEAS_OWN = ("x-gitea-event", "x-forgejo-event")
# Other forges, by a header that their deliveries have. Gitea sends Gogs' headers, too.
_OTHER_FORGES = {
    "x-gitlab-event": "GitLab",
    "x-event-key": "Bitbucket",
    "x-gogs-event": "Gogs",
}


class DeliveryError(PulleyError):
    """A delivery that is not what GitHub sends. The message says what is wrong with it."""


class ContentTypeError(DeliveryError):
    """The content type is not one of the two that a webhook of GitHub can have."""


class TooLargeError(DeliveryError):
    """The body is too long to reach a Lambda function through API Gateway."""


class SignatureError(DeliveryError):
    """The signature is missing or malformed, or none of the secrets made it."""


@dataclass(frozen=True)
class Delivery:
    """One HTTP request to the webhook, not parsed: the signature covers the body's bytes.

    `signs_payload`: it comes from Gitea or Forgejo, by its headers. In a form of theirs the
    signature covers the form's payload instead: see `without_form`. `foreign` is the name of a
    forge whose deliveries Pulley does not take, by its headers, or "". Nothing has verified the
    headers: they must not decide whether a delivery is acted on.
    """

    body: bytes
    content_type: str = JSON
    event: str = ""
    id: str = ""
    signature_256: str = ""
    signature_1: str = ""
    signs_payload: bool = False
    foreign: str = ""

    @classmethod
    def from_http(cls, headers: Mapping[str, str], body: bytes) -> "Delivery":
        """Take a request's headers, looked up by names in lower case, and its raw body."""
        return cls(
            body=body,
            content_type=headers.get("content-type", JSON).partition(";")[0].strip().lower(),
            event=headers.get("x-github-event", ""),
            id=headers.get("x-github-delivery", ""),
            signature_256=headers.get("x-hub-signature-256", ""),
            signature_1=headers.get("x-hub-signature", ""),
            signs_payload=any(headers.get(name) for name in _GITEAS_OWN),
            foreign=_other_forge(headers),
        )


@dataclass(frozen=True)
class FailedDelivery:
    """One attempt of a delivery, failed or not, as GitHub lists it. `delivered_at` is aware."""

    id: str
    event: str
    delivered_at: datetime
    status: str
    status_code: int


@dataclass(frozen=True)
class Payload:
    """The JSON object in a body. It is well formed, but the body may not be verified yet."""

    fields: Mapping[str, object]

    @cached_property
    def repository(self) -> Repository | None:
        """The repository that the payload names; None if it names no valid one."""
        repository = self.fields.get("repository")
        name = repository.get("full_name") if isinstance(repository, dict) else None
        try:
            return Repository.parse(name) if isinstance(name, str) else None
        except RefError:
            return None

    @property
    def pushed_at(self) -> datetime | None:
        """When GitHub received the push (`repository.pushed_at`, in epoch seconds)."""
        repository = self.fields.get("repository")
        seconds = repository.get("pushed_at") if isinstance(repository, dict) else None
        if type(seconds) is not int or not 0 < seconds < _YEAR_3000:
            return None
        return datetime.fromtimestamp(seconds, UTC)

    @property
    def pusher(self) -> str:
        """The pusher's login, or "". It is not validated: check it before you show it."""
        pusher = self.fields.get("pusher")
        user = pusher if isinstance(pusher, dict) else {}
        name = user.get("name", user.get("login"))  # GitHub's key, Gitea's
        return name if isinstance(name, str) else ""


@dataclass(frozen=True)
class PushEvent:
    """Commits were pushed, or a branch or tag was made: `ref` is now at `after`.

    `pushed_at` is in UTC and to the second. Some forges leave out this time, or the pusher's login.
    """

    repository: Repository
    ref: str
    after: CommitSha
    pushed_at: datetime | None = None
    by: str = ""


@dataclass(frozen=True)
class DeletionEvent:
    """A push that deleted a branch or a tag."""

    ref: str


@dataclass(frozen=True)
class PingEvent:
    """GitHub tests whether the webhook answers. A ping must never deploy."""


@dataclass(frozen=True)
class OtherEvent:
    """Any event but push and ping. Some of them wake a round: see core/waking.py."""

    name: str


Event = PushEvent | DeletionEvent | PingEvent | OtherEvent


def check_envelope(delivery: Delivery, *, allow_sha1: bool) -> None:
    """Check all but the body. Raises ContentTypeError, TooLargeError and SignatureError."""
    if delivery.content_type not in {JSON, FORM}:
        raise ContentTypeError(f"the content type must be {JSON} or {FORM}")
    if len(delivery.body) > MAX_BODY_BYTES:
        raise TooLargeError(f"the body is larger than {MAX_BODY_BYTES} bytes")
    _presented_signature(delivery, allow_sha1=allow_sha1)


def without_form(delivery: Delivery) -> Delivery:
    """Turn a form of Gitea or Forgejo into the JSON in it; return any other delivery as it is.

    The JSON becomes the body, so the very bytes that are parsed are verified. This is no way to
    choose a weaker check: what GitHub signs for a form begins with `payload=`, so it is no JSON,
    and what GitHub signs as JSON can only become the same JSON again. Raises SignatureError, as an
    unverified sender may learn no more.
    """
    if not delivery.signs_payload or delivery.content_type != FORM:
        return delivery
    text = delivery.body.removeprefix(_FORM_START)
    wrong = SignatureError("the form must be the field payload alone, as Gitea and Forgejo send it")
    if text == delivery.body or text.translate(None, _ESCAPED):
        raise wrong
    try:
        # Many times faster than urllib: a stranger's megabytes come here. The text has no
        # backslash, so each escape sequence is the two hex digits of a percent sign.
        decoded = text.replace(b"+", b" ").replace(b"%", b"\\x").decode("unicode_escape")
    except UnicodeDecodeError:
        raise wrong from None
    return replace(delivery, body=decoded.encode("latin-1"), content_type=JSON)


def verify_signature(delivery: Delivery, *, secrets: Sequence[bytes], allow_sha1: bool) -> int:
    """Find the secret that made the delivery's signature. Each comparison takes constant time.

    Returns the secret's position in `secrets`. Raises SignatureError, whose message never has the
    expected signature. An empty secret verifies nothing.
    """
    algorithm, signature = _presented_signature(delivery, allow_sha1=allow_sha1)
    for place, secret in enumerate(secrets):
        expected = hmac.digest(secret, delivery.body, algorithm).hex()
        if secret and hmac.compare_digest(expected, signature):
            return place
    raise SignatureError("the signature does not match: is the webhook's secret the stored one?")


def parse_payload(delivery: Delivery) -> Payload:
    """The body as a JSON object. Raises DeliveryError; the body may be anything at all."""
    text = delivery.body
    if delivery.content_type == FORM:
        text = _payload_field(delivery.body)
    try:
        # UTF-8 only: from bytes, `json` would also accept UTF-16, UTF-32 and lone surrogates.
        fields = _DECODER.decode(text.decode("utf-8"))
    except RecursionError:
        raise DeliveryError("the JSON nests too deeply") from None
    except UnicodeDecodeError:
        raise DeliveryError("the body is not UTF-8") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise DeliveryError(f"the body is not JSON: {error.msg} at {where}") from None
    except ValueError:  # int() refuses more than 4,300 digits
        raise DeliveryError("the JSON has a number with too many digits") from None
    if not isinstance(fields, dict):
        raise DeliveryError("the JSON must be an object")
    return Payload(fields)


def parse_delivery(delivery: Delivery, payload: Payload) -> Event:
    """Parse a verified delivery. Raises DeliveryError with every problem at once."""
    problems = []
    if not _EVENT.fullmatch(delivery.event):
        problems.append(f"X-GitHub-Event: missing or malformed{_whose(delivery)}")
    if not _DELIVERY_ID.fullmatch(delivery.id):
        problems.append("X-GitHub-Delivery: malformed")
    if problems:
        raise DeliveryError("; ".join(problems))
    if delivery.event == "ping":
        return PingEvent()
    if delivery.event != "push":
        return OtherEvent(delivery.event)
    return _parse_push(payload)


def _parse_push(payload: Payload) -> PushEvent | DeletionEvent:
    """Read only the fields that Pulley needs: forges differ in the other fields."""
    ref, after, deleted = (payload.fields.get(key) for key in ("ref", "after", "deleted"))
    repository, commit, problems = payload.repository, None, []
    if not isinstance(ref, str) or not ref.startswith("refs/"):
        problems.append("ref: must be a full ref, like refs/heads/main")
    if repository is None:
        problems.append("repository.full_name: must be owner/repository")
    try:
        if deleted is not True and after != NULL_COMMIT:
            commit = CommitSha.parse(after if isinstance(after, str) else "")
    except RefError as error:
        problems.append(f"after: {error}")
    if problems or repository is None or not isinstance(ref, str):
        raise DeliveryError("; ".join(problems))
    if not commit:
        return DeletionEvent(ref)
    return PushEvent(repository, ref, commit, payload.pushed_at, payload.pusher)


def _presented_signature(delivery: Delivery, *, allow_sha1: bool) -> tuple[str, str]:
    if delivery.signature_256:
        if _SIGNATURE_256.fullmatch(delivery.signature_256):
            return "sha256", delivery.signature_256.removeprefix("sha256=")
        raise SignatureError("X-Hub-Signature-256 must be sha256= and 64 hex digits")
    if allow_sha1 and _SIGNATURE_1.fullmatch(delivery.signature_1):
        return "sha1", delivery.signature_1.removeprefix("sha1=")
    raise SignatureError(
        f"X-Hub-Signature-256 is missing{_whose(delivery) or ': set a secret on the webhook'}"
    )


def _other_forge(headers: Mapping[str, str]) -> str:
    if headers.get("x-github-event"):
        return ""
    return next((name for header, name in _OTHER_FORGES.items() if headers.get(header)), "")


def _whose(delivery: Delivery) -> str:
    if not delivery.foreign:
        return ""
    return (
        f": this is a delivery of {delivery.foreign}, and Pulley takes those of GitHub, Gitea and "
        "Forgejo"
    )


def _payload_field(body: bytes) -> bytes:
    wrong = DeliveryError("the form must have one field named payload")
    if not body.startswith(_FORM_START):  # with fields before it, one text could be form and JSON
        raise wrong
    try:
        form = parse_qs(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=10,
        )
        (payload,) = form["payload"]
        return payload.encode("utf-8")
    except (ValueError, KeyError):
        raise wrong from None


def _object_of_distinct_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object. If it had a key twice, two programs could read two different payloads from it."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise DeliveryError("the JSON has a key twice in one object")
    return fields


_DECODER = json.JSONDecoder(object_pairs_hook=_object_of_distinct_keys)
