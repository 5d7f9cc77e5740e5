"""A target: the operator's settings for a deploy, validated once, when they are parsed.

The same rules apply when targets are stored and when the stored JSON is read. All problems are
reported at once, each with its path. docs/targets.md is the reference for operators.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.core.fields import (
    ProblemsError,
    Reader,
    count_reader,
    is_match,
    length_reader,
    parse_length,
    parse_object,
    parsed_reader,
    path_reader,
    text_reader,
)
from chalicelib.core.gates import (
    DEPLOYMENT,
    MANUAL,
    PUSH,
    Gates,
    gate_readers,
    problems_of_chain,
    problems_of_gates,
)
from chalicelib.core.refs import Branch, InstanceId, Repository, shown

if TYPE_CHECKING:
    from chalicelib.core.tags import TagGlob

# Each pattern is also an `allowedPattern` of the SSM document. So it is anchored, Go's RE2 can read
# it, and it matches no quote, `$`, backslash, brace, space or newline (see core/commands.py).
NAME_PATTERN = "^[a-z0-9][a-z0-9-]{0,49}$"
CHECKOUT_PATTERN = "^/[A-Za-z0-9_./@+=,-]{1,400}$"
AFTER_PULL_PATTERN = "^([A-Za-z0-9_.][A-Za-z0-9_./+-]{0,200})?$"
HEALTH_CHECK_PATTERN = "^(https?://[A-Za-z0-9_.:/?&=%~+,;@#*!()-]{1,400})?$"
# No password fits, because only ssh takes a user. `_problems_of_clone` compares the end with the
# repository, and so leaves git's three ways of writing an address.
CLONE_PATTERN = (
    "^((https://|(ssh://)?([a-z][a-z0-9_-]*@)?)[A-Za-z0-9][A-Za-z0-9._-]*(:[0-9]+)?[:/]"
    "[A-Za-z0-9][A-Za-z0-9_-]*/[A-Za-z0-9._-]+)?$"
)
OWNER_PATTERN = "^([A-Za-z_][A-Za-z0-9._-]{0,31})?$"
URL_PATTERN = r"(https://[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*(:[0-9]{1,5})?(/[!-~]{0,300})?)?"

MIN_TIMEOUT, MAX_TIMEOUT = 30, 172_800  # seconds; the agent takes 5 to 172800
MIN_RECHECK, MAX_RECHECK = timedelta(minutes=15), timedelta(days=20)  # history has 30 days
MAX_CLONE_LENGTH = 180  # as in the script
MAX_IDS = 50
MAX_KEPT = 99  # releases
MAX_TAG_KEYS = 4  # SendCommand takes five target selectors, and the stage's tag is the first
MAX_TAG_VALUES = 50
STAGE_TAG = "pulley"
NO_GATES = Gates()
# Values of `Update`, or their end, that go to a commit and not past it.
TO_COMMIT, TAG = "-to", "tag"
TAGS = frozenset({TAG, f"{TAG}{TO_COMMIT}"})  # what hosts of a target that follows tags get

# TargetKey's pattern (API Reference, "Target"): EC2's tags may have + # % & and more in their keys.
_TAG_KEY = re.compile(r"[\w .:/=@-]{1,128}")
_CLONE = re.compile(CLONE_PATTERN)
_read_owner = text_reader(OWNER_PATTERN, "the name of a Linux user")


class TargetsError(ProblemsError):
    """Targets that are not valid."""


def stops_at_commit(update: str) -> bool:
    """Whether hosts go to the command's commit and not past it, by the document's `Update`."""
    return update in {"exact", TAG} or update.endswith(TO_COMMIT)


@dataclass(frozen=True)
class Instances:
    """Which hosts: by tags (for each key a host has one of the values) or by instance ids."""

    tags: tuple[tuple[str, tuple[str, ...]], ...] = ()
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """Which hosts follow which branch or tags, and what the script does on them.

    It has either a `branch` or a `tag`; with `releases`, only tags of published releases count.
    `timeout` is in seconds and bounds the whole run on a host. `max_concurrency` and `max_errors`
    are SendCommand's: a count or a percentage. `saved` says how a run counts if it set a local edit
    aside: "keep" as a success with a note, "fail" as a failure. The steps run only if a file that
    fits `paths` has changed. If a host has no checkout, `owner` clones it from `clone`. `launch` is
    what Auto Scaling is told if an instance that is being launched cannot be brought to its commit:
    "abandon" or "continue". `drain` has the ARNs of the target groups that a host leaves around its
    restart; the programs `before_restart` and `after_healthy` do the same for other balancers.
    With the `layout` "releases" each commit is built in its own folder; `keep` of them stay, and
    share the paths in `shared`.
    `url` is where people find what the hosts serve. With `badge`, everybody may see how many hosts
    are at which commit. `gates` are what a commit must meet before it goes out.
    """

    name: str
    repository: Repository
    instances: Instances
    checkout: str
    branch: Branch | None = None
    tag: "TagGlob | None" = None
    releases: bool = False
    update: str = "rebase"
    after_pull: str = ""
    restart: tuple[str, ...] = ()
    health_check: str = ""
    max_concurrency: str = "50"
    max_errors: str = "0"
    environment: str = ""
    timeout: int = 600
    recheck: str = "6h"
    saved: str = "keep"
    launch: str = "abandon"
    log_group: str = ""
    paths: tuple[str, ...] = ()
    url: str = ""
    badge: bool = False
    clone: str = ""
    owner: str = ""
    drain: tuple[str, ...] = ()
    before_restart: str = ""
    after_healthy: str = ""
    layout: str = "checkout"
    keep: int = 5
    shared: tuple[str, ...] = ()
    gates: Gates = NO_GATES

    @property
    def sent_update(self) -> str:
        """The document's `Update` for a deploy.

        Hosts of a target with gates go to the commit that passed them, not past it to the tip, or
        to where its tag was moved since.
        """
        update = "reset" if self.has_releases else self.update
        update = TAG if self.tag else update
        return f"{update}{TO_COMMIT}" if self.gates else update

    @property
    def has_releases(self) -> bool:
        """Whether each commit is built in its own folder."""
        return self.layout == "releases"

    @property
    def is_decided_by_rounds(self) -> bool:
        """Whether a push only wakes the round, which decides what goes out."""
        return bool(self.gates or self.tag)

    @property
    def is_woken_by_pushes(self) -> bool:
        """Whether a push wakes a round for this target.

        With `trigger = "deployment"` only a pushed tag does, because a request may be waiting until
        its commit has a tag.
        """
        return self.gates.trigger == PUSH or bool(self.tag and self.gates.trigger == DEPLOYMENT)

    @property
    def needs_github(self) -> bool:
        """Whether a round has to ask GitHub what may go out."""
        return self.is_decided_by_rounds and self.gates.trigger != MANUAL

    @property
    def line(self) -> str:
        """What it follows, for people: `branch main` or `tag v*`."""
        if self.branch:
            return f"branch {self.branch}"
        return f"{'released tag' if self.releases else 'tag'} {self.tag}"

    @property
    def waits_for(self) -> str:
        """What a commit of its line waits for, for people; "" if it goes out at once."""
        if self.tag and not self.gates:
            return f"a round, which takes the highest version of {self.tag}"
        return str(self.gates)

    def follows(self, ref: str) -> bool:
        """Whether it follows this full ref."""
        if self.branch:
            return self.branch.ref == ref
        return self.tag is not None and self.tag.follows(ref)

    @property
    def recheck_after(self) -> timedelta:
        """How old the newest observation of a host may be before the host gets a recheck."""
        return parse_length(self.recheck)


def parse_stored_targets(text: str, repository: Repository) -> tuple[Target, ...]:
    """A repository's targets as Parameter Store has them: a JSON list. Raises TargetsError."""
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TargetsError([f"targets: not JSON: {error}"]) from None
    if not isinstance(entries, list):
        raise TargetsError(["targets: must be a list"])
    targets: list[Target] = []
    problems: list[str] = []
    names: set[str] = set()
    for index, entry in enumerate(entries):
        path = _path_of(index, entry)
        try:
            targets.append(parse_target(path, entry))
        except TargetsError as error:
            problems += error.problems
        problems += _problems_of_place(path, entry, repository, names)
    problems += problems_among(targets, names)
    if problems:
        raise TargetsError(problems)
    return tuple(targets)


def problems_among(targets: Iterable[Target], names: Iterable[str] = ()) -> list[str]:
    """Problems of a repository's targets taken together.

    `names` are those of all its targets, also of those that are not valid by themselves.
    """
    listed = list(targets)
    after = {one.name: one.gates.after for one in listed}
    others: dict[str, tuple[str, ...]] = {name: () for name in names if name not in after}
    return [*problems_of_environments(listed), *problems_of_chain(after | others)]


def problems_of_environments(targets: Iterable[Target]) -> list[str]:
    """Find targets that share an environment: in each, GitHub shows only one deployment as current.

    Returns a problem for each target but the first.
    """
    owners: dict[str, str] = {}
    problems = []
    for target in targets:
        owner = owners.setdefault(target.environment.lower(), target.name)
        if owner != target.name:
            problems.append(f"targets.{target.name}.environment: is the target {owner}'s already")
    return problems


def _problems_of_place(
    path: str, entry: object, repository: Repository, names: set[str]
) -> list[str]:
    """Find an entry stored under another repository, or with a name that is in `names` already.

    Adds its name to `names`.
    """
    stored = entry if isinstance(entry, dict) else {}
    name, stored_repository = stored.get("name"), stored.get("repository")
    problems = []
    if isinstance(stored_repository, str) and stored_repository.lower() != str(repository):
        problems.append(f"{path}.repository: must be {repository}, under which it is stored")
    if isinstance(name, str):
        if name in names:
            problems.append(f"{path}.name: another target has it already")
        names.add(name)
    return problems


def parse_target(path: str, entry: object, *, given: Iterable[str] = ()) -> Target:
    """One target. Raises TargetsError with every problem, each path beginning with `path`.

    The caller added the keys in `given`; the operator did not write them.
    """
    problems = [
        *_problems_of_line(path, entry),
        *_problems_of_clone(path, entry),
        *_problems_of_restart(path, entry),
        *_problems_of_layout(path, entry),
    ]
    try:
        values = parse_object(path, entry, TARGET_KEYS, required=_REQUIRED_KEYS, given=given)
    except ProblemsError as error:
        raise TargetsError([*error.problems, *problems]) from None
    values.setdefault("environment", values["name"])
    gates = Gates(**{_GATE_KEYS[key]: values.pop(key) for key in _GATE_KEYS if key in values})
    problems += problems_of_gates(path, values["name"], gates)
    if problems:
        raise TargetsError(problems)
    return Target(**values, gates=gates)


def _problems_of_line(path: str, entry: object) -> list[str]:
    """Find a table that has not exactly one of branch and tag, or a key that does not fit it."""
    keys = entry.keys() if isinstance(entry, dict) else {"branch"}
    problems = []
    if "branch" in keys and "tag" in keys:
        problems.append(f"{path}.tag: must not stand beside branch: a target follows one of them")
    if "branch" not in keys and "tag" not in keys:
        problems.append(f"{path}.branch: is missing (or tag, like v*)")
    if "tag" in keys and "update" in keys:
        problems.append(f"{path}.update: is for a branch: hosts go to the tag's commit, detached")
    if "releases" in keys and "tag" not in keys:
        problems.append(f"{path}.releases: needs tag, like v*")
    return problems


def _problems_of_clone(path: str, entry: object) -> list[str]:
    """Find a clone without an owner, or the reverse, or one of another repository."""
    stored = entry if isinstance(entry, dict) else {}
    clone, owner = stored.get("clone", ""), stored.get("owner", "")
    problems = []
    if clone and not owner:
        problems.append(f"{path}.owner: is missing: clone needs the user who will own the checkout")
    if owner and not clone:
        problems.append(f"{path}.clone: is missing: owner is only for a host without a checkout")
    repository = str(stored.get("repository", "")).lower()
    if clone and is_match(_CLONE, clone) and _repository_in(clone).lower() != repository:
        problems.append(f"{path}.clone: must end in the target's repository, after the host")
    return problems


def _problems_of_restart(path: str, entry: object) -> list[str]:
    """Find keys of what happens around a restart that lack another key."""
    stored = entry if isinstance(entry, dict) else {}
    given = [one for one in ("drain", "before_restart", "after_healthy") if stored.get(one)]
    problems = [
        f"{path}.{key}: needs restart: it is for what happens around a restart"
        for key in given
        if not stored.get("restart")
    ]
    if {"drain", "before_restart"} & {*given} and "max_concurrency" not in stored:
        problems.append(
            f"{path}.max_concurrency: is needed with drain or before_restart: it is how many hosts "
            'leave their load balancer at once, such as "25%"; else 50 would'
        )
    return problems


def _problems_of_layout(path: str, entry: object) -> list[str]:
    """Find keys that need release folders, or do not go with them."""
    stored = entry if isinstance(entry, dict) else {}
    if stored.get("layout") != "releases":
        return [
            f'{path}.{key}: needs layout = "releases"'
            for key in ("keep", "shared")
            if key in stored
        ]
    problems = []
    if stored.get("update") == "rebase":
        problems.append(f"{path}.update: nothing is rebased in releases: leave it out")
    if stored.get("paths"):
        problems.append(f"{path}.paths: cannot go with releases: each needs all its steps")
    return problems


def _repository_in(address: str) -> str:
    """What the address has after the host, without .git, as the script reads it of `origin`."""
    _, has_scheme, place = address.partition("://")
    _, _, named = place.partition("/") if has_scheme else address.partition(":")
    return named.removesuffix(".git")


def match_targets(targets: Iterable[Target], ref: str) -> tuple[Target, ...]:
    """The targets of a repository that follow this full ref."""
    return tuple(target for target in targets if target.follows(ref))


def _path_of(index: int, entry: object) -> str:
    name = entry.get("name") if isinstance(entry, dict) else None
    named = isinstance(name, str) and re.fullmatch(NAME_PATTERN, name)
    return f"targets.{name}" if named else f"targets[{index}]"


def _switch(value: object) -> bool:
    if value is True or value is False:
        return value
    raise ValueError(f"must be true or false, not {shown(value)}")


def _clone(value: object) -> str:
    # The message does not repeat the value, which may have a password in it.
    if not is_match(_CLONE, value):
        raise ValueError(
            "must be an address without a password, like git@github.com:octo/site.git, "
            "ssh://git@git.example.com:2222/octo/site.git or https://github.com/octo/site.git"
        )
    if len(text := str(value)) > MAX_CLONE_LENGTH:
        raise ValueError(f"must not have more than {MAX_CLONE_LENGTH} characters")
    return text


def _owner(value: object) -> str:
    if value == "root":
        raise ValueError("must not be root: whoever can push would be root on the hosts")
    return _read_owner(value)


def _tag_glob(text: str) -> "TagGlob":
    from chalicelib.core.tags import TagGlob

    return TagGlob.parse(text)


def _units(value: object) -> tuple[str, ...]:
    from chalicelib.core.units import read_units

    return read_units(value)


def _drain(value: object) -> tuple[str, ...]:
    from chalicelib.core.drain import read_drain

    return read_drain(value)


def _paths(value: object) -> tuple[str, ...]:
    from chalicelib.core.paths import read_paths

    return read_paths(value)


def _shared(value: object) -> tuple[str, ...]:
    from chalicelib.core.paths import read_shared

    return read_shared(value)


def _keep(value: object) -> int:
    if type(value) is not int or not 1 <= value <= MAX_KEPT:
        raise ValueError(f"must be 1 to {MAX_KEPT}, not {shown(value)}")
    return value


def _seconds(value: object) -> int:
    if type(value) is not int or not MIN_TIMEOUT <= value <= MAX_TIMEOUT:
        limits = f"{MIN_TIMEOUT} to {MAX_TIMEOUT}"
        raise ValueError(f"must be a whole number of seconds, {limits}, not {shown(value)}")
    return value


def _tag_values(value: object) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    if not 1 <= len(values) <= MAX_TAG_VALUES or not all(
        isinstance(one, str) and 1 <= len(one) <= 256 for one in values
    ):
        raise ValueError(
            f"must be a tag's value or 1 to {MAX_TAG_VALUES} of them, not {shown(value)}"
        )
    return tuple(values)


def _tags(value: object) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(value, dict) or not 1 <= len(value) <= MAX_TAG_KEYS:
        raise ValueError(f'must be 1 to {MAX_TAG_KEYS} tags, like {{role = "web"}}')
    if STAGE_TAG in value:
        raise ValueError(f"must not have {STAGE_TAG}: the stage's own tag is always asked for")
    if refused := [key for key in value if not is_match(_TAG_KEY, key)]:
        raise ValueError(
            "must have keys that Systems Manager takes, 1 to 128 letters, digits, spaces and "
            f"_ . : / = @ -, not {shown(refused[0])}"
        )
    return tuple(sorted(parse_object("", value, dict.fromkeys(value, _tag_values)).items()))


def _ids(value: object) -> tuple[str, ...]:
    if (
        not isinstance(value, list)
        or not 1 <= len(value) <= MAX_IDS
        or not all(isinstance(one, str) and InstanceId.read(one) for one in value)
    ):
        raise ValueError(f'must be 1 to {MAX_IDS} instance ids, like ["i-0123456789abcdef0"]')
    return tuple(value)


def _instances(value: object) -> Instances:
    selected = parse_object("", value, {"tags": _tags, "ids": _ids})
    if len(selected) != 1:
        raise ValueError("must have either tags or ids")
    return Instances(**selected)


# The keys of the gates, each with its field of Gates.
_GATE_KEYS = {one: one for one in ("checks", "after", "soak", "trigger")} | {"window": "windows"}
TARGET_KEYS: Mapping[str, Reader] = {
    "name": text_reader(NAME_PATTERN, "up to 50 of a-z, 0-9 and -"),
    "repository": parsed_reader(Repository.parse),
    "branch": parsed_reader(Branch.parse),
    "tag": parsed_reader(_tag_glob),
    "releases": _switch,
    "instances": _instances,
    "checkout": path_reader(CHECKOUT_PATTERN, "an absolute path"),
    "update": text_reader("rebase|reset", "rebase or reset"),
    "after_pull": path_reader(AFTER_PULL_PATTERN, "a path in the repository"),
    "restart": _units,
    "health_check": text_reader(HEALTH_CHECK_PATTERN, "an http:// or https:// URL"),
    "max_concurrency": count_reader(minimum=1),
    "max_errors": count_reader(minimum=0),
    "environment": text_reader(
        "[^\x00-\x1f\x7f\ud800-\udfff]{1,255}", "1 to 255 characters on one line"
    ),
    "timeout": _seconds,
    "recheck": length_reader(MIN_RECHECK, MAX_RECHECK),
    "saved": text_reader("keep|fail", "keep or fail"),
    "launch": text_reader("abandon|continue", "abandon or continue"),
    "log_group": text_reader("([A-Za-z0-9_./#-]{1,512})?", "a CloudWatch log group"),
    "paths": _paths,
    "url": text_reader(URL_PATTERN, "an https:// URL of up to 400 characters"),
    "badge": _switch,
    "clone": _clone,
    "owner": _owner,
    "drain": _drain,
    "before_restart": path_reader(AFTER_PULL_PATTERN, "a path in the repository"),
    "after_healthy": path_reader(AFTER_PULL_PATTERN, "a path in the repository"),
    "layout": text_reader("checkout|releases", "checkout or releases"),
    "keep": _keep,
    "shared": _shared,
    **gate_readers(NAME_PATTERN),
}
_REQUIRED_KEYS = [field.name for field in fields(Target) if field.default is MISSING]
