"""Compare the stage's document with this command: which of them is older.

If both are of the same release, a clone of Pulley may show which of them differs from it.
"""

from collections.abc import Mapping
from pathlib import Path

from pulley.host.build import build
from pulley.host.document import PRODUCT, RELEASE, build_document
from pulley.operator.doctor.row import FAIL, WARN, Row, passed
from pulley.operator.suggest import suggest
from pulley.project import is_other_release

UPDATE = "update this command: git pull in a clone of Pulley, then pipx install --force . there"


def is_newer(content: Mapping[str, object]) -> bool:
    """Whether a document is of a newer release than this command."""
    return _numbers(release_of(content)) > _numbers(RELEASE)


def check_content(
    name: str, content: Mapping[str, object], checkout: Path | None, *, version: str
) -> list[Row]:
    """Check the document in use, and the clone of Pulley, if one was found."""
    setup = suggest("setup")
    has_other = checkout is not None and is_other_release(checkout)
    if content == build_document(build()):
        rows = [passed("document", f"{name} is the same as this command's")]
        if has_other:
            words = f"the clone {checkout} has another script than this command and the stage"
            hint = f"to give the stage that script: pipx install --force . there, then {setup}"
            rows.append(Row("this command", WARN, words, hint))
        return rows
    theirs = release_of(content)
    if is_newer(content):
        words = f"{name} is of release {theirs}; this command is of {RELEASE}, which is older"
        return [Row("document", FAIL, words, UPDATE)]
    if theirs and _numbers(theirs) < _numbers(RELEASE):
        words = f"{name} is of release {theirs}; this command is of {RELEASE}, which is newer"
        hint = f"{setup}, then chalice deploy"
        return [Row("document", FAIL, words, hint, fix="setup")]
    if checkout is not None and has_other and _script_in(content) == _script_of(checkout):
        words = f"{name} has the script of {checkout}; this command has another one"
        return [Row("document", FAIL, words, f"pipx install --force {checkout}")]
    words = f"version {version} of {name} is not what this command has"
    hint = f"{setup}. If somebody with a newer command stored it, {UPDATE}"
    return [Row("document", FAIL, words, hint, fix="setup")]


def _script_in(content: Mapping[str, object]) -> str:
    try:
        step = content["mainSteps"][0]  # type: ignore[index]
        return "\n".join(step["inputs"]["runCommand"])
    except (LookupError, TypeError):
        return ""


def _script_of(checkout: Path) -> str | None:
    """The script of the checkout; None if it lacks a part that this command has."""
    try:
        return build(folder=checkout / "pulley/host")
    except OSError:
        return None


def _numbers(release: str) -> tuple[int, ...]:
    """The numbers of a release, to compare; () for any other text."""
    parts = release.split(".")
    is_one = all(part.isdecimal() and len(part) < 6 for part in parts)
    return tuple(int(part) for part in parts) if is_one else ()


def release_of(content: Mapping[str, object]) -> str:
    """The release of a document, from the first word of its description; "" if there is none.

    As in HTTP's User-Agent, the word is a product, a slash and a version. Programs may read it.
    """
    word = str(content.get("description", "")).partition(" ")[0]
    return word.removeprefix(PRODUCT) if word.startswith(PRODUCT) else ""
