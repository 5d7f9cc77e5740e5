"""Every dependency and action is pinned by its content, and the pins are audited."""

import json
import re
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
WORKFLOWS = sorted((PROJECT / ".github/workflows").glob("*.yml"))
WORKFLOWS += sorted((PROJECT / "examples").glob("**/*.yml"))
MAY_WRITE = {
    "security.yml": {"security-events"},  # CodeQL's findings
    "deploy.yml": {"id-token"},  # the example's only credentials
    "release.yml": {"contents", "id-token", "attestations"},  # the release, and its provenance
}
REQUIREMENTS = (
    "requirements-dev.txt",
    "requirements-tools.txt",
    "requirements-bench.txt",
    "requirements-contract.txt",
)


def pinned(file: str) -> dict[str, str]:
    """The lines of a requirements file by package name, each with its hashes."""
    text = (PROJECT / file).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    return {re.split(r"[\[=;<> ]", line)[0]: line for line in lines}


class TestPins:
    @pytest.mark.parametrize("file", REQUIREMENTS)
    def test_each_requirement_is_pinned_to_a_version_with_hashes(self, file: str) -> None:
        for name, line in pinned(file).items():
            pin = r"[\w.-]+(\[[\w, -]+\])?==[\w.!+-]+ .*--hash=sha256:[0-9a-f]{64}\s*"
            assert re.fullmatch(pin, line), name

    @pytest.mark.parametrize("file", REQUIREMENTS)
    def test_each_package_of_pyproject_is_pinned(self, file: str) -> None:
        project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
        extras = project["project"]["optional-dependencies"]
        dev = project["project"]["dependencies"] + extras["sandbox"] + extras["dev"]
        asked = {"dev": dev, **project["dependency-groups"]}[file[13:-4]]
        names = {re.split(r"[\[=;<>~! ]", one)[0].lower() for one in asked} - {"pulley"}
        assert names <= pinned(file).keys()

    def test_npm_packages_of_the_contracts_are_pinned_by_content_and_not_by_place(self) -> None:
        folder = PROJECT / "tests/contract"
        lock = json.loads((folder / "package-lock.json").read_text())["packages"]
        asked = json.loads((folder / "package.json").read_text())["dependencies"]
        assert lock.pop("")["dependencies"] == asked
        assert lock
        for name, version in asked.items():
            assert lock[f"node_modules/{name}"]["version"] == version
        for one in lock.values():
            assert one["integrity"].startswith("sha512-")
            assert "resolved" not in one

    def test_lambda_zip_has_no_requirements(self) -> None:
        lines = (PROJECT / "requirements.txt").read_text().splitlines()
        assert [line for line in lines if line and not line.startswith("#")] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
class TestWorkflows:
    def test_each_action_is_pinned_to_a_commit(self, path: Path) -> None:
        used = re.findall(r"uses: *(.*)", path.read_text())
        assert used
        for action in used:
            assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action

    def test_workflow_may_only_read_unless_listed(self, path: Path) -> None:
        text = path.read_text()
        assert "\npermissions:\n  contents: read\njobs:\n" in text
        written = re.findall(r"^ +([\w-]+): write$", text, re.MULTILINE)
        assert set(written) == MAY_WRITE.get(path.name, set())

    def test_run_steps_contain_no_expression_from_a_pull_request(self, path: Path) -> None:
        text = path.read_text()
        assert "pull_request_target" not in text
        assert "${{" not in "".join(re.findall(r"run: .*", text))


def test_contract_workflow_runs_each_week() -> None:
    text = (PROJECT / ".github/workflows/contract.yml").read_text()
    assert "\n  schedule:\n    - cron: " in text
    assert "\n      - run: make contract\n" in text


def test_security_workflow_audits_pins_and_scans_code_each_week() -> None:
    text = (PROJECT / ".github/workflows/security.yml").read_text()
    assert "\n  schedule:\n    - cron: " in text
    assert "\n      - run: make audit\n" in text
    assert "\n        language: [python, actions]\n" in text
