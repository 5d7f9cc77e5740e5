"""A stage's address and environment, read from Chalice's files."""

import json
from pathlib import Path

import pytest

from pulley.operator.stage import deployed
from pulley.operator.stage.deployed import DeployedStage


class TestDeployed:
    @pytest.fixture
    def chalice(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(deployed, "find_project", lambda: tmp_path)
        (tmp_path / ".chalice").mkdir()
        return tmp_path / ".chalice"

    def test_webhook_address_is_read_from_the_file_that_chalice_wrote(self, chalice: Path) -> None:
        (chalice / "deployed").mkdir()
        resources = [
            {"name": "api_handler", "resource_type": "lambda_function"},
            {"name": "rest_api", "rest_api_url": "https://abc.execute-api.x.amazonaws.com/prod/"},
        ]
        (chalice / "deployed/prod.json").write_text(json.dumps({"resources": resources}))
        url = "https://abc.execute-api.x.amazonaws.com/prod/github"
        assert DeployedStage("prod").webhook_url == url

    @pytest.mark.parametrize("text", ["", "[]", "{", '{"resources": ["x"]}'])
    def test_missing_or_unreadable_files_give_no_address_and_no_environment(
        self, chalice: Path, text: str
    ) -> None:
        (chalice / "deployed").mkdir()
        (chalice / "deployed/prod.json").write_text(text)
        found = DeployedStage("prod")
        assert (found.webhook_url, found.environment) == ("", {})

    def test_environment_is_read_for_a_stage_in_this_checkout_only(self) -> None:
        assert DeployedStage("prod").environment == {"PULLEY_STAGE": "prod"}
        assert DeployedStage("nosuch").environment == {}

    def test_without_a_clone_of_pulley_address_and_environment_are_empty(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(deployed, "find_project", lambda: None)
        assert (DeployedStage("prod").webhook_url, DeployedStage("prod").environment) == ("", {})
