"""What the world throws at the webhook: whatever it is, only what is signed is acted on.

`make soak` throws a hundred thousand requests; PULLEY_REQUESTS says how many, from the same seed.
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
from urllib.parse import quote_plus

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
class Thrown:
    """A request on its way; a twist changes one thing of it."""

    chance: random.Random
    payload: dict[str, object]
    headers: dict[str, str]
    secret: str | None = SECRET
    body: bytes = b""
    is_base64: bool = False
    twists: list[str] = field(default_factory=list)

    def nasty(self) -> str:
        return self.chance.choice(NASTY)


def another_value(thrown: Thrown) -> None:
    key = thrown.chance.choice([*thrown.payload, "new"])
    thrown.payload[key] = thrown.chance.choice(
        [None, True, 0, -1, 10**40, 1.5, [], {}, [[]], thrown.nasty()]
    )


def another_ref(thrown: Thrown) -> None:
    thrown.payload["ref"] = thrown.chance.choice(["", "refs/heads/", "refs/tags/"]) + thrown.nasty()


def another_commit(thrown: Thrown) -> None:
    thrown.payload["after"] = thrown.chance.choice(
        [COMMIT[:-1], COMMIT.upper(), "0" * 40, thrown.nasty()]
    )


def another_repository(thrown: Thrown) -> None:
    name = thrown.chance.choice(["octo/other", "octo", "octo/site/..", "Octo/SITE", thrown.nasty()])
    thrown.payload["repository"] = {"full_name": name}


def deep(thrown: Thrown) -> None:
    nested: object = thrown.nasty()
    for _ in range(thrown.chance.choice([3, 90, 400])):
        nested = [nested] if thrown.chance.random() < 0.5 else {"a": nested}
    thrown.payload["deep"] = nested


def large(thrown: Thrown) -> None:
    size = thrown.chance.choice([1_000, 30_000, 300_000])
    thrown.payload["commits"] = [{"message": thrown.nasty() * 3 + "x" * size}]


def another_header(thrown: Thrown) -> None:
    name = thrown.chance.choice([*thrown.headers, "X-Hub-Signature", "Content-Length", "Host"])
    thrown.headers[name] = thrown.nasty()


def no_header(thrown: Thrown) -> None:
    thrown.headers.pop(thrown.chance.choice(list(thrown.headers)))


def another_event(thrown: Thrown) -> None:
    thrown.headers["X-GitHub-Event"] = thrown.chance.choice(["ping", "create", "fork", "push "])


def as_form(thrown: Thrown) -> None:
    thrown.headers["Content-Type"] = FORM


def another_secret(thrown: Thrown) -> None:
    thrown.secret = thrown.chance.choice(OTHER_SECRETS)


def no_signature(thrown: Thrown) -> None:
    thrown.secret = None


BEFORE: tuple[Callable[[Thrown], None], ...] = (
    another_value, another_ref, another_commit, another_repository, deep, large, another_event,
    as_form, another_secret, another_secret, no_signature,
)  # fmt: skip


def bytes_in_between(thrown: Thrown) -> None:
    """After it was signed: whoever changes one byte has another body."""
    at = thrown.chance.randrange(len(thrown.body) + 1)
    more = bytes(thrown.chance.randrange(256) for _ in range(thrown.chance.choice([1, 1, 5])))
    thrown.body = thrown.body[:at] + more + thrown.body[at + thrown.chance.choice([0, 1, 9]) :]


def cut(thrown: Thrown) -> None:
    thrown.body = thrown.body[: thrown.chance.randrange(len(thrown.body) + 1)]


def in_base64(thrown: Thrown) -> None:
    thrown.is_base64 = True


def another_signature(thrown: Thrown) -> None:
    name = "X-Hub-Signature-256"
    signature = thrown.headers.get(name, "sha256=" + "0" * 64)
    thrown.headers[name] = thrown.chance.choice(
        [
            signature.upper(),
            signature[7:],
            signature + " ",
            "sha256=",
            signature.replace("a", "b"),
            thrown.nasty(),
        ]
    )


def old_signature_alone(thrown: Thrown) -> None:
    thrown.headers.pop("X-Hub-Signature-256", None)
    thrown.headers["X-Hub-Signature"] = sign(thrown.body, algorithm="sha1")


AFTER: tuple[Callable[[Thrown], None], ...] = (
    bytes_in_between, cut, in_base64, another_signature, old_signature_alone, another_header,
    no_header,
)  # fmt: skip


def throw(seed: int) -> Thrown:
    """The request of a seed: a good push with up to four twists."""
    chance = random.Random(seed)  # noqa: S311 - no secret comes of it
    headers = {"Content-Type": JSON, "X-GitHub-Delivery": GUID, "X-GitHub-Event": "push"}
    thrown = Thrown(chance, push_json(), headers)
    for twist in chance.sample(BEFORE, chance.choice([0, 1, 1, 2])):
        twist(thrown)
        thrown.twists.append(twist.__name__)
    body = json.dumps(thrown.payload, ensure_ascii=chance.random() < 0.5).encode("utf-8", "replace")
    is_form = thrown.headers["Content-Type"] == FORM
    thrown.body = b"payload=" + quote_plus(body).encode() if is_form else body
    if thrown.secret is not None:
        thrown.headers["X-Hub-Signature-256"] = sign(thrown.body, thrown.secret)
    for twist in chance.sample(AFTER, chance.choice([0, 0, 1, 2])):
        twist(thrown)
        thrown.twists.append(twist.__name__)
    return thrown


def is_genuine(thrown: Thrown) -> bool:
    """Told without Pulley's code: the header is the body's HMAC under the one stored secret."""
    expected = "sha256=" + hmac.new(SECRET.encode(), thrown.body, "sha256").hexdigest()
    return thrown.headers.get("X-Hub-Signature-256") == expected


def event_of(thrown: Thrown) -> dict[str, object]:
    try:
        text = thrown.body.decode()
    except UnicodeDecodeError:
        thrown.is_base64 = True
    if thrown.is_base64:
        text = base64.b64encode(thrown.body).decode()
    return rest_event(thrown.headers, text, is_base64=thrown.is_base64)


def seeds() -> Iterator[int]:
    return iter(range(SEED, SEED + REQUESTS))


def test_whatever_is_thrown_only_what_is_signed_is_acted_on(stage: Stage) -> None:
    stage.signatures.clear()
    answered: Counter[tuple[bool, int]] = Counter()
    acted: Counter[bool] = Counter()
    for seed in seeds():
        thrown = throw(seed)
        genuine = is_genuine(thrown)
        before = len(stage.wire.attempts)
        answer = stage.call(event_of(thrown))
        sent = [one for one, _ in stage.wire.attempts[before:] if one == "SendCommand"]
        assert len(sent) <= 1, (seed, thrown.twists)
        acted[genuine] += bool(sent)
        answered[genuine, answer.status] += 1
        assert answer.status < 500, (seed, thrown.twists, answer)
        if not genuine:
            assert not sent, (seed, thrown.twists)
            assert answer.status in {401, 413, 415}, (seed, thrown.twists, answer)
        if sent:
            (parameters,) = (
                arguments["Parameters"]
                for one, arguments in stage.wire.attempts[before:]
                if one == "SendCommand"
            )
            assert parameters["Commit"] == [json.loads(json.dumps(thrown.payload))["after"]]
            assert parameters["Branch"] == ["main"]
    # That each way was tried, and that some were good.
    assert acted[True] > REQUESTS // 20
    assert min(answered[True, 200], answered[True, 202], answered[True, 400]) > 0
    assert answered[False, 401] > REQUESTS // 4


def test_a_recorded_delivery_sent_again_deploys_what_it_deployed_and_nothing_else(
    stage: Stage,
) -> None:
    first, again = stage.push(), stage.push()
    assert (first.status, again.status) == (202, 202)
    one, two = (command["Parameters"] for command in stage.commands())
    changing = {"Issued"}
    assert {name: one[name] for name in one if name not in changing} == {
        name: two[name] for name in two if name not in changing
    }


def test_requests_of_a_seed_are_always_the_same() -> None:
    twice = [zlib.crc32(throw(seed).body) for seed in [*range(50), *range(50)]]
    assert twice[:50] == twice[50:]


def test_repository_with_a_secret_of_its_own_is_closed_to_all_of_them(stage: Stage) -> None:
    stage.store(NAMES.repository_webhook_secret(SITE), "of its own")
    statuses = set()
    for seed in range(SEED, SEED + REQUESTS // 8):
        thrown = throw(seed)
        if thrown.payload.get("repository") == push_json()["repository"]:
            statuses.add(stage.call(event_of(thrown)).status)
    assert not any(one == "SendCommand" for one, _ in stage.wire.attempts)
    assert not {200, 202} & statuses
