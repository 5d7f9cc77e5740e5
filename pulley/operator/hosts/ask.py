"""Ask hosts by the document: where they are (`Update=check`), or what they have saved.

Run Command's history keeps the answers, so later commands see them too.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from chalicelib.core.commands import SendRequest, build_send_request
from chalicelib.core.errors import PulleyError, UnavailableError
from chalicelib.core.history import REMEMBERED, Invocation
from chalicelib.core.hosts import Host
from chalicelib.core.refs import CommitSha
from chalicelib.core.stored import StoredPins, document_pin_of
from chalicelib.core.targets import MAX_IDS, Target
from chalicelib.core.wanted import tag_sent_last
from chalicelib.flows.snapshot import MAX_COMMANDS
from pulley.operator.aws.commands import commands_to
from pulley.operator.stage.stage import Stage

ANSWER_SECONDS = 90.0  # a host's own time-out is 60 s
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 3.0  # seconds between two polls


class NoTagError(UnavailableError):
    """A target that follows tags was sent none yet, so there is nothing to check."""


@dataclass(frozen=True)
class Question:
    """A question to hosts: a run that deploys nothing. `by` is who asks, or ""."""

    update: str = "check"
    commit: CommitSha | None = None
    by: str = ""


CHECK = Question()
CHECK_TAG = "check-tag"  # the check of a target that follows tags


def build_check_requests(  # noqa: PLR0913 - each is a fact of its own
    target: Target,
    hosts: Sequence[Host],
    *,
    stage: str,
    issued: int,
    document: str | None,
    question: Question = CHECK,
    tag: str = "",
) -> list[SendRequest]:
    """The requests that ask every online host, even if others fail. Raises UnavailableError.

    `document` is the stored pin of the document, so that AWS refuses one that was edited by hand.
    `tag` is the name of the tag that was sent last, for a target that follows tags: a check
    compares the host with that tag. Without it, raises NoTagError.
    """
    if target.tag and not tag:
        raise NoTagError(f"no tag was sent to {target.name} yet: there is none to check")
    update = CHECK_TAG if target.tag and question.update == CHECK.update else question.update
    asked = replace(target, max_concurrency="100%", max_errors="100%", timeout=60)
    ids = [host.instance_id for host in hosts if host.is_online]
    return [
        build_send_request(
            asked,
            stage=stage,
            commit=question.commit,
            issued=issued,
            cause="manual",
            update=update,
            tag=tag,
            by=question.by,
            instance_ids=tuple(ids[start : start + MAX_IDS]),
            document_pin=document_pin_of(StoredPins({}, document)),
        )
        for start in range(0, len(ids), MAX_IDS)
    ]


@dataclass
class Answers:
    """Each host's answer, by target; None if Systems Manager has no answer of the host.

    `refused` has the targets whose hosts could not be asked, and why; `command_ids` what was sent.
    """

    by_target: list[tuple[Target, Host, Invocation | None]] = field(default_factory=list)
    refused: list[tuple[Target, PulleyError]] = field(default_factory=list)
    command_ids: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Checker:
    """Asks the hosts of one stage. `clock` and `sleep` are in seconds."""

    stage: Stage
    clock: Callable[[], float]
    sleep: Callable[[float], None]

    def ask(
        self,
        hosts: Mapping[Target, Sequence[Host]],
        *,
        issued: int,
        question: Question = CHECK,
    ) -> Answers:
        """Ask all hosts at once, so that we wait only for the slowest.

        `issued` is in epoch milliseconds. Raises RefusedError and UnavailableError.
        """
        answers = Answers()
        document = self.stage.parameters.read_one(self.stage.names.document)
        tags = self._tags_sent_last(hosts, issued)
        sent: list[tuple[Target, str, list[Host]]] = []
        for target, of_target in hosts.items():
            try:
                requests = build_check_requests(
                    target,
                    of_target,
                    stage=self.stage.name,
                    issued=issued,
                    document=document.value if document else None,
                    question=question,
                    tag=tags.get(target, ""),
                )
            except PulleyError as error:
                answers.refused.append((target, error))
                continue
            for request, id_ in zip(requests, self.stage.commands.send(requests), strict=True):
                if isinstance(id_, PulleyError):
                    answers.refused.append((target, id_))
                else:
                    answers.command_ids.append(id_)
                    ids = dict(request.selectors)["InstanceIds"]
                    sent.append((target, id_, [one for one in of_target if one.instance_id in ids]))
        until = self.clock() + ANSWER_SECONDS
        for target, command_id, asked in sent:
            found = {one.instance_id: one for one in self._wait(command_id, len(asked), until)}
            for host in asked:
                answer = found.get(host.instance_id)
                # Systems Manager has another name for the host than EC2.
                named = replace(answer, host=host.name) if answer else None
                answers.by_target.append((target, host, named))
        return answers

    def _tags_sent_last(self, targets: Iterable[Target], issued: int) -> Mapping[Target, str]:
        """The tag that each target was sent last, by Run Command's history."""
        of_tags = [one for one in targets if one.tag]
        if not of_tags:
            return {}
        since = datetime.fromtimestamp(issued / 1000, UTC) - REMEMBERED
        commands = self.stage.history.commands_since(since, MAX_COMMANDS)
        found = {}
        for target in of_tags:
            sent = [one.roll_out for one in commands_to(target, commands)]
            found[target] = tag_sent_last(target, sent)
        return found

    def _wait(self, command_id: str, expected: int, until: float) -> tuple[Invocation, ...]:
        """The command's invocations, once all hosts have ended or the time is over."""
        pause = FIRST_PAUSE
        while True:
            command = self.stage.history.command(command_id)
            invocations = self.stage.history.invocations(command_id)
            is_over = command is not None and command.is_over
            # AWS lists invocations one after the other.
            if is_over and len(invocations) >= expected and all(one.is_over for one in invocations):
                return invocations
            if self.clock() >= until:
                return invocations
            self.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
