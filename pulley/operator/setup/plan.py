"""What setting a stage up comes to: what is wanted, what was found, and the changes between them.

Nothing here asks AWS or changes anything. The document's pin comes after the document, so that no
push meets half an upgrade.
"""

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
from pulley.operator.setup.diff import difference, document_difference
from pulley.operator.stage.policies import Policy

SECRET_BYTES = 32
SECRET, TOKEN, POLICY = "webhook secret", "GitHub token", "policy"
DOCUMENT, OLD_VERSIONS, PIN = "document", "old versions", "document's pin"


class MalformedTokenError(PulleyError):
    """What is said to be a token is none. The message does not show it."""


@dataclass(frozen=True)
class WantedStage:
    """What a stage is to have. `chalice` is the folder with its files; None leaves them alone.

    A token is the stage's, or with `repository` that one's alone; "" leaves what is stored.
    """

    stage: str
    content: Mapping[str, object] = field(repr=False)
    chalice: Path | None = None
    token: str = field(default="", repr=False)
    repository: Repository | None = None

    @property
    def names(self) -> ParameterNames:
        """The stage's parameters."""
        return ParameterNames(self.stage)

    @property
    def token_name(self) -> str:
        """Where the token is stored."""
        if self.repository:
            return self.names.repository_github_token(self.repository)
        return self.names.github_token


@dataclass(frozen=True)
class FoundStage:
    """What the stage has. `token` is read where one is wanted; `in_use` is the pinned version.

    `policies` are the files that are to be changed.
    """

    secret: StoredValue | None = None
    token: StoredValue | None = None
    policies: tuple[Policy, ...] = ()
    latest: DocumentVersion | None = None
    in_use: DocumentVersion | None = None
    pin: StoredValue | None = None


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that is created or changed, for people: `why`, and what differs."""

    what: str
    name: str
    action: str
    why: str
    diff: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ParameterChange(Change):
    """A parameter is stored in place of what was read. What it is to hold is made when it is."""

    read: StoredValue | None = field(repr=False)

    @property
    def is_secret(self) -> bool:
        """Whether what is stored must not be shown."""
        return self.what in {SECRET, TOKEN}


@dataclass(frozen=True, kw_only=True)
class PolicyChange(Change):
    """A file is written."""

    policy: Policy = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class DocumentChange(Change):
    """The document is created (`latest` is None), or gets a version, or another default version."""

    latest: DocumentVersion | None = field(repr=False)
    makes_version: bool = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class OldVersions(Change):
    """Versions that nobody can be sent any more are deleted: those older than `than`."""

    than: str = field(repr=False)


def parse_token(text: str) -> str:
    """One line of printable ASCII. Raises TokenError."""
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
    """What is to be changed, in the order in which it is done."""
    return (
        *_plan_secret(wanted, found),
        *_plan_token(wanted, found),
        *(_policy_change(policy) for policy in found.policies),
        *_plan_document(wanted, found),
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
            why = f"those before {previous}, which was in use, where there are any"
            yield OldVersions(what=OLD_VERSIONS, name=name, action="delete", why=why, than=previous)
    else:
        if latest.default != latest.version:
            yield DocumentChange(
                what=DOCUMENT,
                name=name,
                action="change",
                why=f"{latest.version}, which is this checkout's, becomes the default version "
                f"in place of {latest.default}",
                latest=latest,
                makes_version=False,
            )
        if not found.pin or _version_of(found.pin) != latest.pin:
            yield _pin_change(wanted, found)


def _new_version(wanted: WantedStage, found: FoundStage, latest: DocumentVersion) -> Change:
    """The diff is of what is in use; where that is right, of what somebody stored since."""
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


def _version_of(pin: StoredValue) -> DocumentPin | None:
    try:
        return parse_document_pin(pin.value)
    except DocumentPinError:
        return None
