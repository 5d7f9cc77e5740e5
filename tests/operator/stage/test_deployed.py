"""What Chalice's files say of a stage."""

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

    def test_the_address_is_what_chalice_wrote_down(self, chalice: Path) -> None:
        (chalice / "deployed").mkdir()
        resources = [
            {"name": "api_handler", "resource_type": "lambda_function"},
            {"name": "rest_api", "rest_api_url": "https://abc.execute-api.x.amazonaws.com/prod/"},
        ]
        (chalice / "deployed/prod.json").write_text(json.dumps({"resources": resources}))
        url = "https://abc.execute-api.x.amazonaws.com/prod/github"
        assert DeployedStage("prod").webhook_url == url

    @pytest.mark.parametrize("text", ["", "[]", "{", '{"resources": ["x"]}'])
    def test_files_that_are_not_there_or_not_readable_say_nothing(
        self, chalice: Path, text: str
    ) -> None:
        (chalice / "deployed").mkdir()
        (chalice / "deployed/prod.json").write_text(text)
        found = DeployedStage("prod")
        assert (found.webhook_url, found.environment) == ("", {})

    def test_this_checkout_has_dev_and_prod(self) -> None:
        assert DeployedStage("prod").environment == {"PULLEY_STAGE": "prod"}
        assert DeployedStage("nosuch").environment == {}

    def test_without_a_checkout_they_say_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(deployed, "find_project", lambda: None)
        assert (DeployedStage("prod").webhook_url, DeployedStage("prod").environment) == ("", {})
