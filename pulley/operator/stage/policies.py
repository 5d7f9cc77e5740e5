"""Put the account into the stage's policies in .chalice, and refuse those of another account."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chalicelib.core.errors import UnavailableError
from chalicelib.core.fields import ProblemsError

PLACEHOLDER = "000000000000"
_ACCOUNT = re.compile(r"(arn:aws[a-z-]*:[a-z0-9-]*:[^:\"\s]*:)(\d{12})(?=:)")
_STAGE = re.compile(
    r":parameter/pulley/([^/\"]+)/|:document/pulley-([^/\"]+)-pull\""
    r"|:function:pulley-([^\"]+)-reconcile_targets\"|:ResourceTag/pulley\": \"([^\"]+)\""
)


class PoliciesError(ProblemsError):
    """The stage's files must be corrected before it can be deployed."""


@dataclass(frozen=True)
class Policy:
    """A policy file, with its present text and the wanted one."""

    path: Path
    text: str = field(repr=False)
    wanted: str = field(repr=False)


def read_policies(folder: Path, stage: str, account: str) -> tuple[Policy, ...]:
    """The files to change: those with the placeholder. Raises PoliciesError."""
    stages = _stages_of(folder / "config.json")
    if stage not in stages:
        raise PoliciesError([_how_to_add(folder, stage, stages)])
    policies, problems = [], []
    for name in _files_of(stages[stage]):
        path = folder / name
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, ValueError):
            problems.append(
                f"{path}: cannot be read; copy the file of another stage, and put {stage} "
                "in place of its name"
            )
            continue
        problems += problems_of(path, text, stage=stage, account=account)
        wanted = _ACCOUNT.sub(rf"\g<1>{account}", text)  # other accounts are problems already
        if wanted != text:
            policies.append(Policy(path, text, wanted))
    if problems:
        raise PoliciesError(problems)
    return tuple(policies)


def problems_of(path: Path, text: str, *, stage: str, account: str) -> list[str]:
    """Why a policy does not fit this stage in this account."""
    accounts = {number for _, number in _ACCOUNT.findall(text)} - {account, PLACEHOLDER}
    problems = [
        f"{path}: is for the account {other}, and you are in {account}: use a profile of {other}, "
        f"or put {PLACEHOLDER} in its place and try again"
        for other in sorted(accounts)
    ]
    others = {name for names in _STAGE.findall(text) for name in names if name} - {stage}
    problems += [
        f"{path}: is for the stage {other}: put {stage} in its place" for other in sorted(others)
    ]
    return problems


def write_policy(policy: Policy) -> None:
    """Write the file. Raises UnavailableError."""
    try:
        policy.path.write_text(policy.wanted, encoding="utf-8")
    except OSError as error:
        raise UnavailableError(f"{policy.path} cannot be written: {error.strerror}") from None


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file; {} if it has no object. Raises PoliciesError if it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PoliciesError([f"{path}: cannot be read: {error}"]) from None
    return content if isinstance(content, dict) else {}


def _stages_of(path: Path) -> Mapping[str, object]:
    stages = read_object(path).get("stages")
    return stages if isinstance(stages, dict) else {}


def _how_to_add(folder: Path, stage: str, stages: Mapping[str, object]) -> str:
    there = ", ".join(stages) or "none"
    model = next(iter(stages), "dev")
    return (
        f"{folder / 'config.json'}: has no stage {stage}, but {there}: copy the block of {model} "
        f"under the name {stage}, and each policy-...-{model}.json as policy-...-{stage}.json; "
        f"in all of them put {stage} in place of {model}"
    )


def _files_of(stage: object) -> Sequence[str]:
    """The names of a stage's policy files, the functions' own and the stage's."""
    settings = stage if isinstance(stage, dict) else {}
    functions = settings.get("lambda_functions")
    blocks = [settings, *(functions.values() if isinstance(functions, dict) else ())]
    names = [one.get("iam_policy_file") for one in blocks if isinstance(one, dict)]
    return list(dict.fromkeys(name for name in names if isinstance(name, str)))
