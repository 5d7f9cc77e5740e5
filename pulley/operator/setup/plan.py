"""Plan a set-up: compare what is wanted with what was found, and list the changes.

Nothing here asks AWS or changes anything. The document's pin comes after the document: until then
pushes use the old document.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chalicelib.core.commands import (
    DocumentPin,
    DocumentPinError,
    document_name,
    parse_document_pin,
)
from chalicelib.core.errors import PulleyError
from chalicelib.core.refs import Repository
from chalicelib.core.stored import ParameterNames, read_secrets
from pulley.operator.aws.document import DocumentVersion
from pulley.operator.aws.parameters import StoredValue
from pulley.operator.people.managed import is_same
from pulley.operator.people.policies import PeoplePolicy
from pulley.operator.setup.diff import difference, document_difference
from pulley.operator.stage.new_secret import SECRET_BYTES
from pulley.operator.stage.policies import Policy

SECRET, TOKEN, POLICY = "webhook secret", "GitHub token", "policy"
DOCUMENT, OLD_VERSIONS, PIN = "document", "old versions", "document's pin"
PEOPLE = "policy for people"


class MalformedTokenError(PulleyError):
    """The text is not a token. The message does not show it."""


@dataclass(frozen=True)
class WantedStage:
    """What a stage should have. `chalice` is the folder with its files; None leaves them alone.

    The token is the stage's, or that of `repository` only. If it is "", the stored one stays.
    `people` are IAM policies; those that it leaves out stay as they are.
    """

    stage: str
    content: Mapping[str, object] = field(repr=False)
    chalice: Path | None = None
    token: str = field(default="", repr=False)
    repository: Repository | None = None
    people: tuple[PeoplePolicy, ...] = ()

    @property
    def names(self) -> ParameterNames:
        """The names of the stage's parameters."""
        return ParameterNames(self.stage)

    @property
    def token_name(self) -> str:
        """The parameter for the token."""
        if self.repository:
            return self.names.repository_github_token(self.repository)
        return self.names.github_token


@dataclass(frozen=True)
class FoundStage:
    """What the stage has. `token` is read only if one is wanted. `in_use` is the version in use.

    `policies` are the files to change; `people` are the policies of IAM that are there, by ARN.
    """

    secret: StoredValue | None = None
    token: StoredValue | None = None
    policies: tuple[Policy, ...] = ()
    latest: DocumentVersion | None = None
    in_use: DocumentVersion | None = None
    pin: StoredValue | None = None
    people: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change of the plan. `why` and `diff` are for people."""

    what: str
    name: str
    action: str
    why: str
    diff: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ParameterChange(Change):
    """Store a parameter in place of the one that was read. Its value is made when it is stored."""

    read: StoredValue | None = field(repr=False)

    @property
    def is_secret(self) -> bool:
        """Whether what is stored must not be shown."""
        return self.what in {SECRET, TOKEN}


@dataclass(frozen=True, kw_only=True)
class PolicyChange(Change):
    """Write a policy file."""

    policy: Policy = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class DocumentChange(Change):
    """Create the document (`latest` is None), add a version, or change the default version."""

    latest: DocumentVersion | None = field(repr=False)
    makes_version: bool = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class OldVersions(Change):
    """Delete the versions that no command asks for any more: those older than `than`."""

    than: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class PeopleChange(Change):
    """Create one of IAM's policies, or store another version of it."""

    policy: PeoplePolicy = field(repr=False)


def parse_token(text: str) -> str:
    """Parse one line of printable ASCII. Raises MalformedTokenError."""
    token = text.strip()
    if not token:
        raise MalformedTokenError("the token is empty")
    if len(token.splitlines()) > 1:
        raise MalformedTokenError("the token must be one line, with nothing before or after it")
    if not all("!" <= one <= "~" for one in token):
        raise MalformedTokenError(
            "the token must be letters, digits and signs of ASCII, without a space"
        )
    return token


def plan_setup(wanted: WantedStage, found: FoundStage) -> tuple[Change, ...]:
    """The changes, in the order in which they must be applied."""
    return (
        *_plan_secret(wanted, found),
        *_plan_token(wanted, found),
        *(_policy_change(policy) for policy in found.policies),
        *_plan_document(wanted, found),
        *_plan_people(wanted, found),
    )


def _plan_secret(wanted: WantedStage, found: FoundStage) -> Iterator[Change]:
    action = "change" if found.secret else "create"
    if found.secret is None:
        why = f"{SECRET_BYTES} random bytes in hex, which are not shown"
    elif not read_secrets(found.secret.value):
        why = "what is stored is blank, and opens nothing"
    else:
        return
    name = wanted.names.webhook_secret
    yield ParameterChange(what=SECRET, name=name, action=action, why=why, read=found.secret)


def _plan_token(wanted: WantedStage, found: FoundStage) -> Iterator[Change]:
    if not wanted.token or (found.token and found.token.value.strip() == wanted.token):
        return
    action = "change" if found.token else "create"
    why = f"for {wanted.repository or 'every repository without one of its own'}"
    name = wanted.token_name
    yield ParameterChange(what=TOKEN, name=name, action=action, why=why, read=found.token)


def _policy_change(policy: Policy) -> Change:
    return PolicyChange(
        what=POLICY,
        name=str(policy.path),
        action="change",
        why="the account's number goes into it",
        diff=difference(policy.text.splitlines(), policy.wanted.splitlines(), policy.path.name),
        policy=policy,
    )


def _plan_document(wanted: WantedStage, found: FoundStage) -> Iterator[Change]:
    name, latest = document_name(wanted.stage), found.latest
    if latest is None:
        yield DocumentChange(
            what=DOCUMENT,
            name=name,
            action="create",
            why="what runs on the hosts",
            latest=None,
            makes_version=True,
        )
        yield _pin_change(wanted, found)
    elif latest.content != wanted.content or latest.status != "Active":
        yield _new_version(wanted, found, latest)
        yield _pin_change(wanted, found)
        previous = found.in_use.version if found.in_use else latest.default
        if int(previous) > 1:
            why = f"the versions before {previous}, which was in use, if there are any"
            yield OldVersions(what=OLD_VERSIONS, name=name, action="delete", why=why, than=previous)
    else:
        if latest.default != latest.version:
            yield DocumentChange(
                what=DOCUMENT,
                name=name,
                action="change",
                why=f"{latest.version}, which is this command's, becomes the default version "
                f"in place of {latest.default}",
                latest=latest,
                makes_version=False,
            )
        if not found.pin or _version_of(found.pin) != latest.pin:
            yield _pin_change(wanted, found)


def _new_version(wanted: WantedStage, found: FoundStage, latest: DocumentVersion) -> Change:
    """Add a version. The diff is of the version in use; if that is right, of the latest one."""
    in_use = found.in_use or latest
    why = f"version {int(latest.version) + 1}; version {in_use.version} is in use"
    if in_use.content == wanted.content and in_use is not latest:
        why += f", and version {latest.version} was stored by other means"
        in_use = latest
    return DocumentChange(
        what=DOCUMENT,
        name=document_name(wanted.stage),
        action="change",
        why=why,
        diff=document_difference(in_use.content, wanted.content),
        latest=latest,
        makes_version=True,
    )


def _pin_change(wanted: WantedStage, found: FoundStage) -> Change:
    why = "the document's version and hash, which every push asks for from then on"
    if found.pin:
        now = _version_of(found.pin)
        why += f"; now it {f'has version {now.version}' if now else 'cannot be read'}"
    return ParameterChange(
        what=PIN,
        name=wanted.names.document,
        action="change" if found.pin else "create",
        why=why,
        read=found.pin,
    )


def _plan_people(wanted: WantedStage, found: FoundStage) -> Iterator[Change]:
    for policy in wanted.people:
        now = found.people.get(policy.arn)
        if is_same(now, policy.content):
            continue
        yield PeopleChange(
            what=PEOPLE,
            name=policy.name,
            action="create" if now is None else "change",
            why=policy.words,
            diff=()
            if now is None
            else difference(_lines(now), _lines(policy.content), policy.name),
            policy=policy,
        )


def _lines(content: Mapping[str, object]) -> list[str]:
    return json.dumps(content, indent=2, sort_keys=True).splitlines()


def _version_of(pin: StoredValue) -> DocumentPin | None:
    try:
        return parse_document_pin(pin.value)
    except DocumentPinError:
        return None
