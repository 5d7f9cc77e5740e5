"""What is taken from others is what was looked at: pinned by its content, and audited."""

import re
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
WORKFLOWS = sorted((PROJECT / ".github/workflows").glob("*.yml"))
MAY_WRITE = {
    "security.yml": {"security-events"},  # CodeQL's findings
    "release.yml": {"contents", "id-token", "attestations"},  # the release, and its provenance
}
REQUIREMENTS = ("requirements-dev.txt", "requirements-tools.txt", "requirements-bench.txt")


def pinned(file: str) -> dict[str, str]:
    """Each requirement of a file, by its name, with all that stands for it."""
    text = (PROJECT / file).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    return {re.split(r"[\[=;<> ]", line)[0]: line for line in lines}


class TestPins:
    @pytest.mark.parametrize("file", REQUIREMENTS)
    def test_every_requirement_is_one_version_with_its_hashes(self, file: str) -> None:
        for name, line in pinned(file).items():
            pin = r"[\w.-]+(\[[\w, -]+\])?==[\w.!+-]+ .*--hash=sha256:[0-9a-f]{64}\s*"
            assert re.fullmatch(pin, line), name

    @pytest.mark.parametrize("file", REQUIREMENTS)
    def test_what_is_asked_for_is_pinned(self, file: str) -> None:
        project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
        extras = project["project"]["optional-dependencies"]
        dev = project["project"]["dependencies"] + extras["sandbox"] + extras["dev"]
        asked = {"dev": dev, **project["dependency-groups"]}[file[13:-4]]
        names = {re.split(r"[\[=;<>~! ]", one)[0].lower() for one in asked} - {"pulley"}
        assert names <= pinned(file).keys()

    def test_nothing_is_taken_into_lambda(self) -> None:
        lines = (PROJECT / "requirements.txt").read_text().splitlines()
        assert [line for line in lines if line and not line.startswith("#")] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
class TestWorkflows:
    def test_every_action_is_pinned_by_its_commit(self, path: Path) -> None:
        used = re.findall(r"uses: *(.*)", path.read_text())
        assert used
        for action in used:
            assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action

    def test_it_may_read_and_no_more_but_where_a_job_says_so(self, path: Path) -> None:
        text = path.read_text()
        assert "\npermissions:\n  contents: read\njobs:\n" in text
        written = re.findall(r"^ +([\w-]+): write$", text, re.MULTILINE)
        assert set(written) == MAY_WRITE.get(path.name, set())

    def test_nothing_of_a_pull_request_becomes_shell_text(self, path: Path) -> None:
        text = path.read_text()
        assert "pull_request_target" not in text
        assert "${{" not in "".join(re.findall(r"run: .*", text))


def test_pins_are_audited_and_the_code_is_searched_each_week() -> None:
    text = (PROJECT / ".github/workflows/security.yml").read_text()
    assert "\n  schedule:\n    - cron: " in text
    assert "\n      - run: make audit\n" in text
    assert "\n        language: [python, actions]\n" in text
