"""Functions for the sandbox: deliveries with any header, commands, results of hosts."""

import json
import re
import subprocess
import time
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from chalicelib.core.commands import document_name
from chalicelib.core.refs import Repository
from chalicelib.core.results import HostResult, parse_result
from chalicelib.core.stored import ParameterNames
from pulley.sandbox.github.deliveries import delivery_headers
from pulley.sandbox.hosts.machine import Machine
from pulley.sandbox.run_command.commands import EmulatedCommand
from pulley.sandbox.sandbox import FULL_NAME, STAGE, Sandbox
from tests.injection.hostile import BAD_IN_A_LINE, HARMLESS
from tests.processes import HANG_SECONDS

TARGETS = ParameterNames(STAGE).targets(Repository.parse(FULL_NAME))
DOCUMENT = document_name(STAGE)
# A push with all fields of GitHub's page "Webhook events and payloads".
PAYLOAD = json.loads(Path(__file__).with_name("push.json").read_text())
GUID = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
EACH = 10  # one of ten identical commands runs
NO_HEADERS: Mapping[str, str] = {}


class Answer(NamedTuple):
    """The status and the text of the webhook's answer."""

    status: int
    text: str

    @property
    def command_ids(self) -> list[str]:
        return [one["command_id"] for one in json.loads(self.text).get("deployments", [])]


def files_of(machine: Machine) -> set[str]:
    """The files on the host's disk, without the tracked files of its checkout."""
    root = machine.host.root
    loose = [path for path in root.rglob("*") if not path.is_relative_to(machine.checkout)]
    untracked = machine.git("-c", "core.quotePath=false", "ls-files", "-o", "--exclude-standard")
    return {str(path.relative_to(root)) for path in loose} | set(untracked.splitlines())


def store(sandbox: Sandbox, targets: Iterable[Mapping[str, object]]) -> None:
    """Store targets directly, and ping until the app's budget lets it read them."""
    text = json.dumps(list(targets))
    ssm = sandbox.account.ssm
    ssm.put_parameter(Name=TARGETS, Value=text, Type="String", Tier="Advanced", Overwrite=True)
    while "secret" not in json.loads(post(sandbox, PAYLOAD, event="ping").text):
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
    """Sign the payload and post it with these headers unchanged, but fold line breaks."""
    body = json.dumps(payload).encode()
    content_type = "application/json"
    if form:
        body = urllib.parse.urlencode({"payload": body}).encode()
        content_type = "application/x-www-form-urlencoded"
    sent = delivery_headers(
        body, sandbox.secret, event=event, guid=GUID, content_type=content_type
    ) | dict(headers)
    place = urlsplit(sandbox.webhook.url)
    connection = HTTPConnection(place.netloc, timeout=HANG_SECONDS)
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


def commands_since(sandbox: Sandbox, count: int) -> list[EmulatedCommand]:
    """The commands after the first `count`, oldest first."""
    return list(reversed(sandbox.account.run_command.commands()))[count:]


def count_commands(sandbox: Sandbox) -> int:
    return len(sandbox.account.run_command.commands())


def parameters_of(command: EmulatedCommand) -> dict[str, str]:
    return {name: "\n".join(values) for name, values in command.request.parameters.items()}


def check_results(sandbox: Sandbox, command_id: str, *outcomes: str) -> list[HostResult]:
    """Wait for the hosts. Each result has one of these outcomes, in a line of clean JSON."""
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
    """The descriptions on GitHub for a commit, after all reports."""
    sandbox.wait_until_quiet()
    made = [one for one in sandbox.github.deployments(FULL_NAME) if one.sha == commit]
    return [str(status.description) for one in made for status in one.statuses]


@contextmanager
def run_every_tenth(sandbox: Sandbox) -> Iterator[list[EmulatedCommand]]:
    """Let hosts run every tenth of identical commands. Gives the commands that were sent."""
    sent: list[EmulatedCommand] = []
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


def commit_in(
    sandbox: Sandbox, files: Mapping[str, str], message: str, identity: Sequence[str] = ("M", "m@e")
) -> str:
    """Commit in the developer's clone with git's own command."""
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
    """Push, and return the webhook's answers, which git prints for the pusher."""
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
    """Check that GitHub has descriptions, and that they contain no control characters."""
    told = descriptions(sandbox, commit)
    assert told
    for text in told:
        assert not BAD_IN_A_LINE.search(text), told
        assert len(text) <= 140
