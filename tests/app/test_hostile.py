"""Random hostile requests to the webhook: only a correctly signed request may send a command.

PULLEY_REQUESTS is the number of requests, always from the same seed; `make soak` sends 100,000.
"""

import base64
import hmac
import json
import os
import random
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote_plus, unquote_to_bytes

from tests.app.stage import FORM, JSON, Stage, rest_event
from tests.fakes import COMMIT, GUID, NAMES, SECRET, SITE, push_json, sign

REQUESTS = int(os.environ.get("PULLEY_REQUESTS", "800"))
SEED = 20261121
NASTY = (
    "", "\x00", "$(id)", "`id`", "; id", "| id", "&& id", "\n", "\r\n", "../..", "--upload-pack=id",
    "{{ssm:/a/parameter}}", "{{ Commit }}", "${SSM_Commit}", "%s%n", "'", '"', "\\",
    "\u202e", "\u2028", "\ufeff", "ж", "💥", "A" * 5000, "<script>", "1e999", "-0", "NaN",
)  # fmt: skip
OTHER_SECRETS = ("", "guessed", SECRET[:-1], SECRET + "x", SECRET.upper(), "null")


@dataclass
class HostileRequest:
    """A request before it is sent. Each twist changes one thing in it."""

    chance: random.Random
    payload: dict[str, object]
    headers: dict[str, str]
    secret: str | None = SECRET
    body: bytes = b""
    is_base64: bool = False
    twists: list[str] = field(default_factory=list)

    def nasty(self) -> str:
        return self.chance.choice(NASTY)


def another_value(request: HostileRequest) -> None:
    key = request.chance.choice([*request.payload, "new"])
    request.payload[key] = request.chance.choice(
        [None, True, 0, -1, 10**40, 1.5, [], {}, [[]], request.nasty()]
    )


def another_ref(request: HostileRequest) -> None:
    request.payload["ref"] = (
        request.chance.choice(["", "refs/heads/", "refs/tags/"]) + request.nasty()
    )


def another_commit(request: HostileRequest) -> None:
    request.payload["after"] = request.chance.choice(
        [COMMIT[:-1], COMMIT.upper(), "0" * 40, request.nasty()]
    )


def another_repository(request: HostileRequest) -> None:
    name = request.chance.choice(
        ["octo/other", "octo", "octo/site/..", "Octo/SITE", request.nasty()]
    )
    request.payload["repository"] = {"full_name": name}


def deep(request: HostileRequest) -> None:
    nested: object = request.nasty()
    for _ in range(request.chance.choice([3, 90, 400])):
        nested = [nested] if request.chance.random() < 0.5 else {"a": nested}
    request.payload["deep"] = nested


def large(request: HostileRequest) -> None:
    size = request.chance.choice([1_000, 30_000, 300_000])
    request.payload["commits"] = [{"message": request.nasty() * 3 + "x" * size}]


def another_header(request: HostileRequest) -> None:
    name = request.chance.choice([*request.headers, "X-Hub-Signature", "Content-Length", "Host"])
    request.headers[name] = request.nasty()


def no_header(request: HostileRequest) -> None:
    request.headers.pop(request.chance.choice(list(request.headers)))


def another_event(request: HostileRequest) -> None:
    request.headers["X-GitHub-Event"] = request.chance.choice(["ping", "create", "fork", "push "])


def as_form(request: HostileRequest) -> None:
    request.headers["Content-Type"] = FORM


def as_form_of_gitea(request: HostileRequest) -> None:
    request.headers |= {"Content-Type": FORM, "X-Gitea-Event": "push"}


def another_secret(request: HostileRequest) -> None:
    request.secret = request.chance.choice(OTHER_SECRETS)


def no_signature(request: HostileRequest) -> None:
    request.secret = None


BEFORE: tuple[Callable[[HostileRequest], None], ...] = (
    another_value, another_ref, another_commit, another_repository, deep, large, another_event,
    as_form, as_form_of_gitea, another_secret, another_secret, no_signature,
)  # fmt: skip


def bytes_in_between(request: HostileRequest) -> None:
    """Change bytes of the body after it was signed."""
    at = request.chance.randrange(len(request.body) + 1)
    more = bytes(request.chance.randrange(256) for _ in range(request.chance.choice([1, 1, 5])))
    request.body = request.body[:at] + more + request.body[at + request.chance.choice([0, 1, 9]) :]


def cut(request: HostileRequest) -> None:
    request.body = request.body[: request.chance.randrange(len(request.body) + 1)]


def in_base64(request: HostileRequest) -> None:
    request.is_base64 = True


def another_signature(request: HostileRequest) -> None:
    name = "X-Hub-Signature-256"
    signature = request.headers.get(name, "sha256=" + "0" * 64)
    request.headers[name] = request.chance.choice(
        [
            signature.upper(),
            signature[7:],
            signature + " ",
            "sha256=",
            signature.replace("a", "b"),
            request.nasty(),
        ]
    )


def old_signature_alone(request: HostileRequest) -> None:
    request.headers.pop("X-Hub-Signature-256", None)
    request.headers["X-Hub-Signature"] = sign(request.body, algorithm="sha1")


def from_gitea(request: HostileRequest) -> None:
    """Change what the signature covers, if it is a form: no signature covers the headers."""
    request.headers[request.chance.choice(["X-Gitea-Event", "x-forgejo-event"])] = "push"


def in_a_form(request: HostileRequest) -> None:
    request.body = b"payload=" + quote_plus(request.body).encode()
    request.headers["Content-Type"] = FORM


AFTER: tuple[Callable[[HostileRequest], None], ...] = (
    bytes_in_between, cut, in_base64, another_signature, old_signature_alone, another_header,
    no_header, from_gitea, in_a_form,
)  # fmt: skip


def make_request(seed: int) -> HostileRequest:
    """The request for a seed: a valid push with up to four twists."""
    chance = random.Random(seed)  # noqa: S311 - no secret comes of it
    headers = {"Content-Type": JSON, "X-GitHub-Delivery": GUID, "X-GitHub-Event": "push"}
    request = HostileRequest(chance, push_json(), headers)
    for twist in chance.sample(BEFORE, chance.choice([0, 1, 1, 2])):
        twist(request)
        request.twists.append(twist.__name__)
    body = json.dumps(request.payload, ensure_ascii=chance.random() < 0.5).encode(
        "utf-8", "replace"
    )
    is_form = request.headers["Content-Type"] == FORM
    request.body = b"payload=" + quote_plus(body).encode() if is_form else body
    if request.secret is not None:
        signed = body if "X-Gitea-Event" in request.headers else request.body
        request.headers["X-Hub-Signature-256"] = sign(signed, request.secret)
    for twist in chance.sample(AFTER, chance.choice([0, 0, 1, 2])):
        twist(request)
        request.twists.append(twist.__name__)
    return request


def is_genuine(request: HostileRequest) -> bool:
    """Whether the header is the HMAC under the stored secret, computed without Pulley.

    It is of the body, or in a form of Gitea or Forgejo of the form's payload.
    """
    signed = request.body
    kind = request.headers.get("Content-Type", JSON).partition(";")[0].strip().lower()
    is_giteas = any(request.headers.get(one) for one in ("X-Gitea-Event", "x-forgejo-event"))
    if kind == FORM and is_giteas:
        signed = unquote_to_bytes(signed.removeprefix(b"payload=").replace(b"+", b" "))
    expected = "sha256=" + hmac.new(SECRET.encode(), signed, "sha256").hexdigest()
    return request.headers.get("X-Hub-Signature-256") == expected


def event_of(request: HostileRequest) -> dict[str, object]:
    try:
        text = request.body.decode()
    except UnicodeDecodeError:
        request.is_base64 = True
    if request.is_base64:
        text = base64.b64encode(request.body).decode()
    return rest_event(request.headers, text, is_base64=request.is_base64)


def seeds() -> Iterator[int]:
    return iter(range(SEED, SEED + REQUESTS))


def test_only_correctly_signed_requests_send_a_command(stage: Stage) -> None:
    stage.signatures.clear()
    answered: Counter[tuple[bool, int]] = Counter()
    acted: Counter[bool] = Counter()
    for seed in seeds():
        request = make_request(seed)
        genuine = is_genuine(request)
        before = len(stage.wire.attempts)
        answer = stage.call(event_of(request))
        sent = [one for one, _ in stage.wire.attempts[before:] if one == "SendCommand"]
        assert len(sent) <= 1, (seed, request.twists)
        acted[genuine] += bool(sent)
        answered[genuine, answer.status] += 1
        assert answer.status < 500, (seed, request.twists, answer)
        if not genuine:
            assert not sent, (seed, request.twists)
            assert answer.status in {401, 413, 415}, (seed, request.twists, answer)
        if sent:
            (parameters,) = (
                arguments["Parameters"]
                for one, arguments in stage.wire.attempts[before:]
                if one == "SendCommand"
            )
            assert parameters["Commit"] == [json.loads(json.dumps(request.payload))["after"]]
            assert parameters["Branch"] == ["main"]
    # The seed made enough requests of each kind, valid ones too.
    assert acted[True] > REQUESTS // 20
    assert min(answered[True, 200], answered[True, 202], answered[True, 400]) > 0
    assert answered[False, 401] > REQUESTS // 4


def test_replayed_delivery_sends_the_same_command_again(
    stage: Stage,
) -> None:
    first, again = stage.push(), stage.push()
    assert (first.status, again.status) == (202, 202)
    one, two = (command["Parameters"] for command in stage.commands())
    changing = {"Issued"}
    assert {name: one[name] for name in one if name not in changing} == {
        name: two[name] for name in two if name not in changing
    }


def test_same_seed_makes_the_same_request() -> None:
    twice = [zlib.crc32(make_request(seed).body) for seed in [*range(50), *range(50)]]
    assert twice[:50] == twice[50:]


def test_repository_with_its_own_secret_accepts_no_request_signed_with_the_stage_s(
    stage: Stage,
) -> None:
    stage.store(NAMES.repository_webhook_secret(SITE), "of its own")
    statuses = set()
    for seed in range(SEED, SEED + REQUESTS // 8):
        request = make_request(seed)
        if request.payload.get("repository") == push_json()["repository"]:
            statuses.add(stage.call(event_of(request)).status)
    assert not any(one == "SendCommand" for one, _ in stage.wire.attempts)
    assert not {200, 202} & statuses
