"""Hostile strings, in every place that somebody else may write to, through to a real shell.

Each would make a file if anything ran it. A contributor names branches, files and himself, and
GitHub signs what he wrote; whoever writes targets or has the Lambda's role goes past the app. One
of the two hosts has an agent that writes values into the script's text. push.json has all that
GitHub's page "Webhook events and payloads" has of a push. Its strings are replaced all at once;
PULLEY_INJECTIONS says how many of them are replaced one at a time, and `make soak` does each.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from itertools import cycle, product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

from chalicelib.core.commands import HostResult, document_name, parse_result
from chalicelib.core.refs import Repository, shown
from chalicelib.core.stored import ParameterNames
from pulley.cli import main
from pulley.sandbox.commands import Command
from pulley.sandbox.deliveries import delivery_headers
from pulley.sandbox.documents import ParameterError, parse_document
from pulley.sandbox.machine import Machine
from pulley.sandbox.sandbox import FULL_NAME, SCRIPT, STAGE, Sandbox

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import TagTypeDef

INJECTIONS = int(os.environ.get("PULLEY_INJECTIONS", "30"))
TARGETS = ParameterNames(STAGE).targets(Repository.parse(FULL_NAME))
DOCUMENT = document_name(STAGE)
SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]
PAYLOAD = json.loads(Path(__file__).with_name("push.json").read_text())
GUID = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
OLD_AGENT = "3.3.2299.0"  # writes the values into the script's text

# Any user may make it, wherever it stands. The word is a program of the hosts that makes it too,
# for places that take no space and no slash.
CANARY = Path(tempfile.gettempdir(), f"pulley-canary-{os.getpid()}")
WORD = "pulley-canary"
TOUCH = f"touch {CANARY}"
HOSTILE = {
    "substitution": f"$({TOUCH})",
    "substitution of a word": f"$({WORD})",
    "substitution without a space": f"$(touch${{IFS}}{CANARY})",
    "backticks": f"`{TOUCH}`",
    "semicolon": f"; {TOUCH} #",
    "words alone": f";{WORD}|{WORD}",
    "pipe": f"| {TOUCH}",
    "and": f"&& {TOUCH}",
    "background": f"& {TOUCH} &",
    "single quote": f"'; {TOUCH}; '",
    "double quote": f'"; {TOUCH}; "',
    "end of a substitution": f'"); {TOUCH}; ("',
    "end of a case": f") {TOUCH} ;; *",
    "arithmetic": f"a[$({TOUCH})]",
    "redirection": f"> {CANARY}",
    "newline": f"\n{TOUCH}\n",
    "carriage return": f"\r\n{TOUCH}\r\n",
    "nul": f"\0{TOUCH}",
    "end of a here-document": f"\nEOF\n{TOUCH}\n",
    "option of git": f"--upload-pack={TOUCH}",
    "option of ssh": f"-oProxyCommand={TOUCH}",
    "remote helper": f"ext::sh -c {TOUCH}",
    "parameter": "{{ssm:/pulley/dev/webhook-secret}}",
    "secure parameter": "{{ssm-secure:/pulley/dev/webhook-secret}}",
    "placeholder": "{{ Commit }}",
    "variable": "${SSM_Commit}",
    "escape codes": "\x1b[2J\x1b]0;title\x07",
    "turned round": "\u202etxt.exe\u2066",
    "line separators": "\u2028x\u2029",
    "path": "../../../etc",
    "long": "A" * 5000,
}
# These mean nothing to a shell; what a target does with them is for core's tests.
PLAIN = ("path", "long")
DANGEROUS = {name: text for name, text in HOSTILE.items() if name not in PLAIN}
CONTROL = re.compile("[\0-\x1f\x7f]")
HARMLESS = re.compile("[ -~]*")  # printable ASCII, on one line
BAD_IN_A_LINE = re.compile("[\0-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")

EACH = 10  # of commands that are one and the same, one in ten runs
AT_ONCE = 100  # commands that wait for a host, each of which has a thread
NO_HEADERS: Mapping[str, str] = {}
Case = TypeVar("Case")


class Answer(NamedTuple):
    """What the webhook answered, and the text that it came in."""

    status: int
    text: str

    @property
    def command_ids(self) -> list[str]:
        return [one["command_id"] for one in json.loads(self.text).get("deployments", [])]


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    with Sandbox(["web-1"]) as opened:
        old = opened.add_machine("web-old", agent_version=OLD_AGENT)
        for machine in (opened.machines[0], old):
            machine.install_program(WORD, f"#!/bin/sh\n{TOUCH}\n")
        yield opened


@pytest.fixture
def sandbox(shared: Sandbox) -> Iterator[Sandbox]:
    """The shared sandbox; when it is handed back, nothing has run."""
    before = {machine.name: files_of(machine) for machine in shared.machines}
    yield shared
    shared.wait_until_quiet()
    try:
        assert not CANARY.exists(), "it was run"
    finally:
        CANARY.unlink(missing_ok=True)
    assert {machine.name: files_of(machine) for machine in shared.machines} == before
    assert not BAD_IN_A_LINE.search(
        (shared.directory / "webhook.log").read_text().replace("\n", "")
    )


@pytest.fixture
def unreported(sandbox: Sandbox) -> Iterator[None]:
    """Nobody reports to GitHub, which would take longer than all else."""
    sandbox.reporter.pattern = {"source": ["nobody"]}
    yield
    sandbox.wait_until_quiet()
    sandbox.reporter.pattern = {"source": ["aws.ssm"]}


@pytest.fixture(scope="module")
def patterns(shared: Sandbox) -> Mapping[str, str]:
    """Each parameter's pattern, as the account's own document has it."""
    stored = shared.account.ssm.get_document(Name=DOCUMENT, DocumentFormat="JSON")
    parameters = json.loads(stored["Content"])["parameters"]
    return {name: parameter["allowedPattern"] for name, parameter in parameters.items()}


@pytest.fixture
def clean(sandbox: Sandbox, patterns: Mapping[str, str]) -> Command:
    """The command of a good push, seen to be what is expected."""
    answer = post(sandbox, good_payload(sandbox))
    (command,) = commands_since(sandbox, count_commands(sandbox) - 1)
    assert answer.command_ids == [command.id]
    parameters = parameters_of(command)
    commit = sandbox.developer.head.commit.hexsha
    assert parameters == {
        "Target": "web",
        "Repository": FULL_NAME,
        "Checkout": "/srv/site",
        "Branch": "main",
        "Commit": commit,
        "Update": "rebase",
        "AfterPull": "deploy/after-pull",
        "Restart": "site.service",
        "HealthCheck": sandbox.target["health_check"],
        "Timeout": "30",
        "Issued": parameters["Issued"],
        "Cause": "push",
        "Delivery": GUID,
        "Deployment": parameters["Deployment"],
    }
    for name, value in parameters.items():
        assert re.fullmatch(patterns[name].removesuffix("$"), value), name
    comment = f"push at 2026-11-21T10:00:00Z by mona: octo/site {commit[:7]} to web"
    assert command.request.comment == comment
    return command


def files_of(machine: Machine) -> set[str]:
    """What is on the host's disk, but for what is in its checkout because git has it there."""
    root = machine.host.root
    loose = [path for path in root.rglob("*") if not path.is_relative_to(machine.checkout)]
    untracked = machine.git("-c", "core.quotePath=false", "ls-files", "-o", "--exclude-standard")
    return {str(path.relative_to(root)) for path in loose} | set(untracked.splitlines())


def store(sandbox: Sandbox, targets: Iterable[Mapping[str, object]]) -> None:
    """Straight into Parameter Store. A ping has the app read it, once it may read again."""
    text = json.dumps(list(targets))
    ssm = sandbox.account.ssm
    ssm.put_parameter(Name=TARGETS, Value=text, Type="String", Tier="Advanced", Overwrite=True)
    while "signed with the newest secret" not in post(sandbox, PAYLOAD, event="ping").text:
        time.sleep(0.1)


def good_payload(sandbox: Sandbox, **changes: object) -> dict[str, Any]:
    """A push of the tip of main."""
    return {**PAYLOAD, "after": sandbox.developer.head.commit.hexsha, **changes}


def post(
    sandbox: Sandbox,
    payload: object,
    *,
    event: str = "push",
    form: bool = False,
    query: str = "",
    headers: Mapping[str, str] = NO_HEADERS,
) -> Answer:
    """Have it signed, and post it with these headers, raw: a line break in one is folded."""
    body = json.dumps(payload).encode()
    content_type = "application/json"
    if form:
        body = urllib.parse.urlencode({"payload": body}).encode()
        content_type = "application/x-www-form-urlencoded"
    sent = delivery_headers(
        body, sandbox.secret, event=event, guid=GUID, content_type=content_type
    ) | dict(headers)
    place = urlsplit(sandbox.webhook.url)
    connection = HTTPConnection(place.netloc, timeout=10)
    connection.putrequest("POST", place.path + query, skip_accept_encoding=True)
    for name, value in {**sent, "Content-Length": str(len(body))}.items():
        connection.putheader(name, re.sub("\r\n?|\n", "\n ", value).encode())
    connection.endheaders(body)
    with connection.getresponse() as response:
        answer = Answer(response.status, response.read().decode())
    connection.close()
    assert HARMLESS.fullmatch(answer.text), answer
    assert answer.status in {200, 202, 400, 401, 413, 415, 503}, answer
    return answer


def commands_since(sandbox: Sandbox, count: int) -> list[Command]:
    """The commands beyond the first ones, oldest first."""
    return list(reversed(sandbox.account.run_command.commands()))[count:]


def count_commands(sandbox: Sandbox) -> int:
    return len(sandbox.account.run_command.commands())


def parameters_of(command: Command) -> dict[str, str]:
    return {name: "\n".join(values) for name, values in command.request.parameters.items()}


def check_results(sandbox: Sandbox, command_id: str, *outcomes: str) -> list[HostResult]:
    """Wait for the hosts: each said one of these outcomes, in one line of clean JSON."""
    command = sandbox.account.wait_until_ended(command_id)
    assert command.invocations
    results = []
    for one in command.invocations:
        (step,) = one.results
        line = step.stdout.decode("ascii").removesuffix("\n")
        assert HARMLESS.fullmatch(line), line
        assert json.loads(line)["v"] == 1
        results.append(parse_result(line))
    assert {result.outcome for result in results} <= set(outcomes), results
    return results


def descriptions(sandbox: Sandbox, commit: str) -> list[str]:
    """What GitHub shows of a commit, once all is reported."""
    sandbox.wait_until_quiet()
    made = [one for one in sandbox.github.deployments(FULL_NAME) if one.sha == commit]
    return [str(status.description) for one in made for status in one.statuses]


@contextmanager
def few_run(sandbox: Sandbox) -> Iterator[list[Command]]:
    """Of commands that are one and the same, a host need not see each. Gives what was sent."""
    sent: list[Command] = []
    before = count_commands(sandbox)
    for machine in sandbox.machines:
        machine.host.sleep()
    try:
        yield sent
        sent += commands_since(sandbox, before)
        for number, command in enumerate(sent):
            if number % EACH:
                sandbox.account.ssm.cancel_command(CommandId=command.id)
    finally:
        for machine in sandbox.machines:
            machine.host.wake()
    for command in sent[::EACH]:
        check_results(sandbox, command.id, "updated", "unchanged", "superseded")


def strings_of(value: object, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """Where each string of a JSON value is."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict | list):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in parts:
            yield from strings_of(part, *path, key)


def some_of(cases: Iterable[Case], *, times: int = 1) -> list[Case]:
    """As many as PULLEY_INJECTIONS says, or so many times more, from everywhere among them."""
    every = list(cases)
    count = min(INJECTIONS * times, len(every))
    # A step that is a prime comes to each of them in the end.
    return [every[number * 1_000_003 % len(every)] for number in range(count)]


def string_at(value: Any, path: Iterable[str | int]) -> str:  # noqa: ANN401 - JSON
    for key in path:
        value = value[key]
    return str(value)


def with_string(value: Any, path: tuple[str | int, ...], text: str) -> Any:  # noqa: ANN401 - JSON
    """The value with another string in one place."""
    if not path:
        return text
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = with_string(value[path[0]], path[1:], text)
    return copy


def with_every_string(value: object, text: str) -> object:
    """Every string replaced, and each object with one more key."""
    if isinstance(value, dict):
        return {key: with_every_string(part, text) for key, part in value.items()} | {text: text}
    if isinstance(value, list):
        return [with_every_string(part, text) for part in value] + [text]
    return text if isinstance(value, str) else value


def test_canary_is_made_by_whoever_runs_what_is_hostile(sandbox: Sandbox) -> None:
    """Or no test here could fail."""
    for machine in sandbox.machines:
        for program in (TOUCH, f"{machine.host.root}/bin/{WORD}"):
            machine.git("-c", f"alias.run=!{program}", "run")
            assert CANARY.exists()
            CANARY.unlink()


DECIDE = ("ref",), ("after",), ("repository", "full_name")
UNREAD = ("User-Agent", "X-GitHub-Hook-ID", "X-Hub-Signature", "X-Forwarded-For")
OTHERS = [path for path in strings_of(PAYLOAD) if path not in DECIDE]


@pytest.mark.usefixtures("unreported")
class TestPayload:
    """Whatever else a payload says, it is the same command; or there is none."""

    def check_same(self, command: Command, clean: Command) -> None:
        """As the clean one in all but its time, and whom it says it is from."""
        by = r"push at 2026-11-21T10:00:00Z( by mona)?: octo/site [0-9a-f]{7} to web"
        assert re.fullmatch(by, command.request.comment), command.request.comment
        (issued,) = command.request.parameters["Issued"]
        assert re.fullmatch("[0-9]{13}", issued)
        parameters = {**clean.request.parameters, "Issued": (issued,)}
        expected = replace(clean.request, parameters=parameters, comment=command.request.comment)
        assert command.request == expected

    def test_with_every_other_string_hostile_is_the_same_command(
        self, sandbox: Sandbox, clean: Command
    ) -> None:
        good = good_payload(sandbox)
        with few_run(sandbox) as sent:
            for number, hostile in enumerate(HOSTILE.values()):
                payload = with_every_string(good, hostile)
                for path in DECIDE:
                    payload = with_string(payload, path, string_at(good, path))
                answer = post(
                    sandbox,
                    payload,
                    form=number % 2 == 1,
                    query=f"?x={urllib.parse.quote(hostile)}",
                    headers=dict.fromkeys(UNREAD, hostile),
                )
                assert answer.status == 202, (hostile, answer)
        assert len(sent) == len(HOSTILE)
        for command in sent:
            self.check_same(command, clean)

    def test_with_one_string_hostile_is_the_same_command(
        self, sandbox: Sandbox, clean: Command
    ) -> None:
        good = good_payload(sandbox)
        chosen = some_of(product(OTHERS, HOSTILE.values()))
        for start in range(0, len(chosen), AT_ONCE):
            batch = chosen[start : start + AT_ONCE]
            with few_run(sandbox) as sent:
                for path, hostile in batch:
                    answer = post(sandbox, with_string(good, path, hostile))
                    assert answer.status == 202, (path, hostile, answer)
            assert len(sent) == len(batch)
            for command in sent:
                self.check_same(command, clean)

    def test_with_what_decides_hostile_is_no_command(self, sandbox: Sandbox) -> None:
        good, before = good_payload(sandbox), count_commands(sandbox)
        commit, name = good["after"], FULL_NAME
        ways = {
            ("ref",): ["{}", "refs/heads/{}", "refs/heads/main{}", "refs/{}"],
            ("after",): ["{}", f"{commit}{{}}", f"{{}}{commit}", f"{commit[:-1]}{{}}"],
            ("repository", "full_name"): ["{}", f"{name}{{}}", "{}/site", "octo/{}"],
        }
        for hostile in HOSTILE.values():
            for path, texts in ways.items():
                for text in texts:
                    said = text.replace("{}", hostile)
                    answer = post(sandbox, with_string(good, path, said))
                    assert answer.status in {200, 400}, (path, said, answer)
            assert post(sandbox, with_every_string(good, hostile)).status == 400
        assert count_commands(sandbox) == before

    def test_with_a_header_that_is_read_hostile_is_refused(self, sandbox: Sandbox) -> None:
        good, before = good_payload(sandbox), count_commands(sandbox)
        refused = {
            "X-GitHub-Delivery": 400,
            "X-GitHub-Event": 400,
            "Content-Type": 415,
            "X-Hub-Signature-256": 401,
        }
        for (name, status), hostile in product(refused.items(), HOSTILE.values()):
            assert post(sandbox, good, headers={name: f"x{hostile}"}).status == status, (
                name,
                hostile,
            )
        assert count_commands(sandbox) == before


# Of each key of a target a good value, and what a hostile one is put behind.
GOOD_KEYS: Mapping[str, str] = {
    "name": "web",
    "repository": FULL_NAME,
    "branch": "main",
    "checkout": "/srv/site",
    "update": "rebase",
    "after_pull": "deploy/after-pull",
    "restart": "site.service",
    "health_check": "http://127.0.0.1/health",
    "max_concurrency": "50",
    "max_errors": "0",
    "timeout": "60",
    "log_group": "/pulley",
}


def hostile_targets(hostile: str) -> list[tuple[str, dict[str, object]]]:
    """A target for each key, by that key: the hostile string alone, and behind a good value."""
    base = {
        "repository": FULL_NAME,
        "branch": "main",
        "checkout": "/srv/site",
        "instances": {"tags": {"role": "web"}},
    }
    found: list[tuple[str, dict[str, object]]] = []
    for (key, good), form in product(GOOD_KEYS.items(), ("{}", "{good}{}")):
        text = form.replace("{good}", good).replace("{}", hostile)
        name = {} if key == "name" else {"name": f"t{len(found)}"}
        found.append((key, {**base, **name, key: [text] if key == "restart" else text}))
    found.append(("instances.ids", {**base, "name": "ids", "instances": {"ids": [hostile]}}))
    return found


@pytest.mark.usefixtures("unreported")
class TestTarget:
    """Somebody stores targets past `pulley targets apply`."""

    @pytest.fixture
    def own_target(self, sandbox: Sandbox) -> Iterator[None]:
        """The sandbox's own target is stored again afterwards."""
        yield
        store(sandbox, [sandbox.target])

    def test_hostile_value_of_any_key_is_refused_and_named(
        self, sandbox: Sandbox, own_target: None
    ) -> None:
        before, log = count_commands(sandbox), sandbox.directory / "webhook.log"
        for hostile in DANGEROUS.values():
            targets = hostile_targets(hostile)
            store(sandbox, [target for _, target in targets])
            told = log.stat().st_size
            answer = post(sandbox, good_payload(sandbox))
            assert answer.status == 503
            assert "the repository's stored targets are not valid" in answer.text
            noted = log.read_text()[told:]
            for number, (key, target) in enumerate(targets):
                path = f"[{number}].name" if key == "name" else f".{target['name']}.{key}"
                assert f"targets{path}: must " in noted, (path, hostile)
        assert count_commands(sandbox) == before

    def test_hostile_key_is_refused_and_named(self, sandbox: Sandbox, own_target: None) -> None:
        before = count_commands(sandbox)
        store(sandbox, [{**sandbox.target, text: text} for text in DANGEROUS.values()])
        assert post(sandbox, good_payload(sandbox)).status == 503
        noted = (sandbox.directory / "webhook.log").read_text()
        for hostile in DANGEROUS.values():
            assert json.dumps(f"targets.web: unknown key {shown(hostile)}")[1:-1] in noted
        assert count_commands(sandbox) == before

    def test_apply_refuses_them_and_stores_nothing(self, sandbox: Sandbox) -> None:
        stored = sandbox.account.ssm.get_parameter(Name=TARGETS)["Parameter"]["Version"]
        every = [one for text in DANGEROUS.values() for one in hostile_targets(text)]
        for key, target in some_of(every):
            name = target.pop("name")
            keys = "\n".join(f"{name} = {toml(value)}" for name, value in target.items())
            text = f"[targets.{toml(name)}]\n{keys}\n"
            arguments = ["targets", "apply", "--yes", "-"]
            done = CliRunner().invoke(main, arguments, input=text, env=sandbox.environ)
            assert done.exit_code == 3, (key, target, done.output)
            assert not BAD_IN_A_LINE.search(done.output.replace("\n", "")), (key, done.output)
        now = sandbox.account.ssm.get_parameter(Name=TARGETS)["Parameter"]["Version"]
        assert now == stored

    def test_hostile_environment_and_tag_are_taken_as_they_are_and_run_nothing(
        self, sandbox: Sandbox, own_target: None
    ) -> None:
        texts = {
            f"t{number}": text
            for number, text in enumerate(DANGEROUS.values())
            if not CONTROL.search(text)  # of which an environment has none, nor has EC2's XML
        }
        tags: list[TagTypeDef] = [{"Key": name, "Value": text} for name, text in texts.items()]
        steps = ("after_pull", "restart", "health_check")
        bare = {key: value for key, value in sandbox.target.items() if key not in steps}
        (instance, _) = (machine.host.instance_id for machine in sandbox.machines)
        sandbox.account.ec2.create_tags(Resources=[instance], Tags=tags)
        targets = [
            {**bare, "name": name, "environment": text, "instances": {"tags": {name: text}}}
            for name, text in texts.items()
        ]
        store(sandbox, targets)
        with few_run(sandbox) as sent:
            assert post(sandbox, good_payload(sandbox)).status == 202
        assert len(sent) == len(texts)
        made = {one.environment for one in sandbox.github.deployments(FULL_NAME)}
        assert made >= set(texts.values())

    def test_what_a_pattern_takes_means_nothing_to_the_shell(
        self, sandbox: Sandbox, own_target: None
    ) -> None:
        more = {
            "name": "odd--help",
            "restart": [f"{WORD}@--help:x.service", "a.service"],
            "health_check": f"{sandbox.target['health_check']}?;{WORD}&({WORD})*!~%41+@,#;{WORD}",
            "log_group": "../../-oProxyCommand",
        }
        store(sandbox, [{**sandbox.target, **more}])
        answer = post(sandbox, good_payload(sandbox))
        (command_id,) = answer.command_ids
        check_results(sandbox, command_id, "updated")
        asked = sandbox.machines[0].journal.read_text().splitlines()[-1]
        assert asked.endswith(f": systemctl reload-or-restart -- {WORD}@--help:x.service a.service")


def toml(value: object) -> str:
    """A value in TOML, whose strings take JSON's escapes but for surrogates."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(part)}" for key, part in value.items()) + "}"
    return json.dumps(value)


@pytest.mark.usefixtures("unreported")
class TestPastTheApp:
    """Whoever has the Lambda's role; and past the document's patterns, if they were lost."""

    def test_no_hostile_value_of_any_parameter_is_taken(
        self, sandbox: Sandbox, clean: Command
    ) -> None:
        before = count_commands(sandbox)
        stored = sandbox.account.ssm.get_document(Name=DOCUMENT, DocumentFormat="JSON")["Content"]
        document = parse_document(stored, name=DOCUMENT, version="1")
        good = clean.request.parameters
        document.check(good)
        for name, hostile in product(good, [*DANGEROUS.values(), HOSTILE["long"]]):
            for text in (hostile, good[name][0] + hostile):
                with pytest.raises(ParameterError, match=name):
                    document.check({**good, name: (text,)})
        for name, hostile in zip(good, cycle(DANGEROUS.values()), strict=False):
            values = {key: list(value) for key, value in good.items()}
            with pytest.raises(ClientError, match="InvalidParameters"):
                sandbox.account.ssm.send_command(
                    DocumentName=DOCUMENT,
                    Targets=[{"Key": "tag:pulley", "Values": [STAGE]}],
                    Parameters={**values, name: [good[name][0] + hostile]},
                )
        assert count_commands(sandbox) == before

    def test_script_refuses_each_by_itself(self, sandbox: Sandbox, clean: Command) -> None:
        machine = sandbox.machines[0]
        head = machine.head()
        good = parameters_of(clean) | {"Checkout": str(machine.checkout)}
        read = [name for name in good if name not in {"Delivery", "Deployment"}]
        for name, hostile, is_alone, shell in some_of(
            product(read, HOSTILE.values(), (False, True), SHELLS), times=10
        ):
            text = hostile if is_alone else good[name] + hostile
            # No environment variable has it; a parameter that was not given; a path in a URL.
            if (
                "\0" in text
                or text.startswith("{")
                or text == good["HealthCheck"] + HOSTILE["path"]
            ):
                continue
            environ = {f"SSM_{key}": value for key, value in {**good, name: text}.items()}
            done = subprocess.run(
                [shell, str(SCRIPT)],
                cwd=machine.host.root,
                env={**environ, "PATH": f"{machine.host.root}/bin:{os.environ['PATH']}"},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 64, (name, text, done.stdout, done.stderr)
            assert HARMLESS.fullmatch(done.stdout.removesuffix("\n")), (name, text)
        assert machine.head() == head


# What git takes as a file's name, but for what would be folders of the path in it.
FILES = [text for text in DANGEROUS.values() if "\0" not in text] + [
    "--help", "-rf", "*", "~", " ", "a\tb", "\\", "HEAD", ":(glob)**", ":!x", "\xff",
    "con.txt\u202e",
]  # fmt: skip
# What git takes as a branch's name.
BRANCHES = [
    f"$(touch${{IFS}}{CANARY})", f"`{WORD}`", f";{WORD};", f"|{WORD}", f"&{WORD}&", f"';{WORD};'",
    f'";{WORD};"', f"$({WORD})", f"--upload-pack={WORD}", f"-oProxyCommand={WORD}", "{{Commit}}",
    "${SSM_Commit}", "\u202etxt.exe\u2066", "\u2028x", "%s%n", "<b>", "A" * 200,
]  # fmt: skip

# Those that a host has to tell of, where it is in a conflict.
TOLD = {
    f"$({WORD}) `{WORD}` ;{WORD};": "shell",
    f"'\"\n{WORD}\n\x1b[2J\x1b]0;title\x07\u202etxt.exe\u2066\u2028": "characters",
}
AT_TIP = ("updated", "unchanged")


class TestRepository:
    """Who may push runs `after_pull` on the hosts; names and words of his run nowhere else."""

    def test_hostile_names_message_and_author_are_only_text(self, sandbox: Sandbox) -> None:
        identity = [f"$({TOUCH}) `{TOUCH}` ';{WORD};' \u202e", f"a@$({WORD})"]
        message = "\n".join(text for text in DANGEROUS.values() if "\0" not in text)
        commit = commit_in(sandbox, dict.fromkeys(FILES, "x\n"), message, identity)
        (answer,) = push(sandbox, "HEAD:main")
        assert {one.after for one in check_results(sandbox, answer.command_ids[0], "updated")} == {
            commit
        }
        check_descriptions(sandbox, commit)

    @pytest.mark.parametrize("name", TOLD, ids=TOLD.values())
    def test_hostile_name_in_a_conflict_is_told_in_clean_words(
        self, sandbox: Sandbox, name: str
    ) -> None:
        machine = sandbox.machines[0]
        commit_in(sandbox, {name: "both\n"}, "Both")
        (answer,) = push(sandbox, "HEAD:main")
        check_results(sandbox, answer.command_ids[0], "updated")
        machine.commit(name, "mine\n", "Mine")
        mine = machine.head()
        commit = commit_in(sandbox, {name: "theirs\n"}, "Theirs")
        (answer,) = push(sandbox, "HEAD:main")
        results = check_results(sandbox, answer.command_ids[0], "updated", "conflict")
        (told,) = (one.detail for one in results if one.outcome == "conflict")
        assert told.startswith("conflict in ")
        assert machine.head() == mine
        check_descriptions(sandbox, commit)
        machine.git("reset", "-q", "--hard", "origin/main")

    def test_hostile_name_of_an_untracked_file_in_the_way_is_told_in_clean_words(
        self, sandbox: Sandbox
    ) -> None:
        machine, names = sandbox.machines[0], [f"way-{name}" for name in TOLD]
        for name in names:
            machine.write(name, "mine\n")
        commit = commit_in(sandbox, dict.fromkeys(names, "theirs\n"), "In the way")
        (answer,) = push(sandbox, "HEAD:main")
        results = check_results(sandbox, answer.command_ids[0], "updated", "conflict")
        (told,) = (one.detail for one in results if one.outcome == "conflict")
        assert "untracked" in told
        check_descriptions(sandbox, commit)
        for name in names:
            (machine.checkout / name).unlink()
        check_results(sandbox, post(sandbox, good_payload(sandbox)).command_ids[0], *AT_TIP)

    def test_hostile_output_of_a_step_is_told_in_clean_words(self, sandbox: Sandbox) -> None:
        words = [text for text in DANGEROUS.values() if str(CANARY) not in text]
        said = "".join(words).encode() + b'\xff\x9b2J\\"\',"v":2}'
        octal = "".join(f"\\{byte:03o}" for byte in said)
        good = (Path(sandbox.developer.working_dir) / "deploy/after-pull").read_text()
        bad = f"#!/bin/sh\nprintf '{octal}'\nprintf '{octal}' >&2\nexit 1\n"
        commit = commit_in(sandbox, {"deploy/after-pull": bad}, "Bad")
        (answer,) = push(sandbox, "HEAD:main")
        results = check_results(sandbox, answer.command_ids[0], "rolled_back")
        assert {one.step for one in results} == {"after_pull"}
        check_descriptions(sandbox, commit)
        commit_in(sandbox, {"deploy/after-pull": good}, "Good")
        (answer,) = push(sandbox, "HEAD:main")
        check_results(sandbox, answer.command_ids[0], "updated")

    def test_hostile_branches_and_tags_deploy_nothing(self, sandbox: Sandbox) -> None:
        before = count_commands(sandbox)
        refs = [f"refs/heads/{name}" for name in BRANCHES] + [f"refs/tags/{BRANCHES[0]}"]
        made = push(sandbox, *(f"HEAD:{ref}" for ref in refs))
        assert [answer.status for answer in made] == [200] * len(refs)
        assert count_commands(sandbox) == before
        check_results(sandbox, post(sandbox, good_payload(sandbox)).command_ids[0], *AT_TIP)
        gone = push(sandbox, *(f":{ref}" for ref in refs))
        assert [answer.status for answer in gone] == [200] * len(refs)
        for answer in made + gone:
            assert HARMLESS.fullmatch(answer.text), answer

    def test_branch_that_looks_like_an_option_is_followed_as_a_branch(
        self, sandbox: Sandbox
    ) -> None:
        branch = f"x/--upload-pack={WORD},#%@+"
        store(sandbox, [{**sandbox.target, "branch": branch}])
        (answer,) = push(sandbox, f"HEAD:refs/heads/{branch}")
        check_results(sandbox, answer.command_ids[0], *AT_TIP)
        for machine in sandbox.machines:
            assert machine.git("symbolic-ref", "--short", "HEAD") == branch
        store(sandbox, [sandbox.target])
        check_results(sandbox, post(sandbox, good_payload(sandbox)).command_ids[0], *AT_TIP)


def commit_in(
    sandbox: Sandbox, files: Mapping[str, str], message: str, identity: Sequence[str] = ("M", "m@e")
) -> str:
    """Commit in the developer's clone, as git itself does it."""
    folder = Path(sandbox.developer.working_dir)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    name, email = identity
    for arguments in (
        ["add", "-A"],
        ["-c", f"user.name={name}", "-c", f"user.email={email}", "commit", "-q", "-F", "-"],
    ):
        subprocess.run(["git", *arguments], cwd=folder, input=message.encode(), check=True)
    return sandbox.developer.head.commit.hexsha


def push(sandbox: Sandbox, *refs: str) -> list[Answer]:
    """Push. What the webhook answered to each delivery is told to whoever pushes."""
    done = subprocess.run(
        ["git", "push", "-q", "--force", "origin", *refs],
        cwd=sandbox.developer.working_dir,
        capture_output=True,
        text=True,
        check=True,
    )
    told = re.findall(r"Pulley answered (\d+): (.*?) *$", done.stderr, re.MULTILINE)
    return [Answer(int(status), text) for status, text in told]


def check_descriptions(sandbox: Sandbox, commit: str) -> None:
    """GitHub was told, in words that cannot turn a line round or move a cursor."""
    told = descriptions(sandbox, commit)
    assert told
    for text in told:
        assert not BAD_IN_A_LINE.search(text), told
        assert len(text) <= 140
