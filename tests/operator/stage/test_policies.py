import json
import re
import shutil
from pathlib import Path

import pytest

from pulley.operator.stage.policies import PLACEHOLDER, PoliciesError, read_policies, write_policy
from tests.app.policies import PROJECT

HERE = "111122223333"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in (PROJECT / ".chalice").glob("*.json"):
        # After `pulley setup` the files of the checkout have an account.
        text = re.sub(r":\d{12}:", f":{PLACEHOLDER}:", path.read_text())
        (tmp_path / path.name).write_text(text)
    return tmp_path


def problems_of(folder: Path, stage: str = "dev") -> tuple[str, ...]:
    with pytest.raises(PoliciesError) as caught:
        read_policies(folder, stage, HERE)
    return caught.value.problems


class TestReadPolicies:
    def test_stage_s_files_get_the_account_and_then_need_no_change(self, folder: Path) -> None:
        policies = read_policies(folder, "dev", HERE)
        assert sorted(one.path.name for one in policies) == [
            "policy-launch-dev.json",
            "policy-receive-dev.json",
            "policy-reconcile-dev.json",
            "policy-report-dev.json",
        ]
        for policy in policies:
            before = policy.path.read_text()
            write_policy(policy)
            text = policy.path.read_text()
            assert PLACEHOLDER not in text
            assert text.replace(HERE, PLACEHOLDER) == before
        assert read_policies(folder, "dev", HERE) == ()
        assert PLACEHOLDER in (folder / "policy-receive-prod.json").read_text()

    def test_other_account_is_a_problem_with_the_file_s_path(self, folder: Path) -> None:
        path = folder / "policy-report-dev.json"
        path.write_text(path.read_text().replace(PLACEHOLDER, "999988887777"))
        (problem,) = problems_of(folder)
        assert problem.startswith(f"{path}: is for the account 999988887777, and you are in {HERE}")

    def test_policy_of_another_stage_is_a_problem(self, folder: Path) -> None:
        shutil.copy(folder / "policy-receive-dev.json", folder / "policy-receive-prod.json")
        (problem,) = problems_of(folder, "prod")
        assert "policy-receive-prod.json: is for the stage dev: put prod in its place" in problem

    @pytest.mark.parametrize(
        "left",
        [
            "parameter/pulley/prod/document",
            "document/pulley-prod-pull",
            "function:pulley-prod-reconcile_targets",
        ],
    )
    def test_copied_policy_with_another_stage_in_one_place_is_a_problem(
        self, folder: Path, left: str
    ) -> None:
        path = folder / "policy-receive-prod.json"
        text = path.read_text()
        assert text.count(f':{left}"') == 1
        path.write_text(text.replace(f':{left}"', f':{left.replace("prod", "dev")}"'))
        (problem,) = problems_of(folder, "prod")
        assert problem == f"{path}: is for the stage dev: put prod in its place"

    def test_missing_stage_is_a_problem_that_names_the_block_to_copy(self, folder: Path) -> None:
        (problem,) = problems_of(folder, "staging")
        assert "has no stage staging, but dev, prod: copy the block of dev" in problem

    def test_missing_file_is_a_problem(self, folder: Path) -> None:
        (folder / "policy-report-dev.json").unlink()
        (problem,) = problems_of(folder)
        assert "policy-report-dev.json: cannot be read; copy the file of another stage" in problem

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"stages": 3}'])
    def test_unreadable_settings_are_a_problem(self, folder: Path, text: str) -> None:
        (folder / "config.json").write_text(text)
        (problem,) = problems_of(folder)
        assert problem.startswith(str(folder / "config.json"))

    def test_stage_without_policy_files_has_no_policies(self, folder: Path) -> None:
        (folder / "config.json").write_text(
            json.dumps({"stages": {"dev": {"lambda_functions": 1}}})
        )
        assert read_policies(folder, "dev", HERE) == ()
