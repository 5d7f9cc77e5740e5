"""The commands of a stage of a Gitea or Forgejo server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pulley.sandbox.sandbox import Sandbox
from tests.cli.conftest import NAMES, TARGETS, Pulley, json_of, stored
from tests.edges.scripted_server import Raw, Request, ScriptedServer, answer
from tests.forges import GiteaApi


class Server:
    """A server that also shows the repository. `status` is its answer to a post of a status."""

    def __init__(self) -> None:
        self.api = GiteaApi()
        self.status = answer({"message": "sha not found"}, 404)

    def __call__(self, request: Request) -> Raw:
        if request.target.endswith("/repos/octo/site"):
            return answer({"full_name": "octo/site", "permissions": {"push": True}})
        return self.status if request.method == "POST" else self.api(request)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def environ(server: Server) -> Iterator[dict[str, str]]:
    with ScriptedServer(server) as http:
        yield {"PULLEY_GITHUB_API": f"{http.url}/api/v1"}


class TestConnect:
    @pytest.mark.parametrize("only", [[], ["--print-only"]])
    def test_settings_are_printed_in_the_words_of_their_page(
        self, sandbox: Sandbox, pulley: Pulley, environ: dict[str, str], only: list[str]
    ) -> None:
        done = pulley("connect", "octo/site", *only, environ=environ)
        assert done.exit_code == 0, done.stderr
        assert "Pulley leaves webhooks there to you. Set it up by hand" in done.stderr
        site = environ["PULLEY_GITHUB_API"].removesuffix("/api/v1")
        assert f"{site}/octo/site/settings/hooks" in done.stdout
        for words in (sandbox.webhook.url, "Target URL", "POST content type", "Push"):
            assert words in done.stdout
        assert sandbox.secret.decode() not in done.output

    def test_json_has_them_too(
        self, sandbox: Sandbox, pulley: Pulley, environ: dict[str, str]
    ) -> None:
        done = pulley("connect", "octo/site", "--json", environ=environ)
        settings = json_of(done)["settings"]
        assert settings["Target URL"] == sandbox.webhook.url
        assert settings["POST content type"] == "application/json"

    def test_target_of_releases_needs_their_events(
        self, sandbox: Sandbox, pulley: Pulley, environ: dict[str, str]
    ) -> None:
        target = {one: value for one, value in sandbox.target.items() if one != "branch"}
        value = json.dumps([{**target, "tag": "v*", "releases": True}])
        with stored(sandbox, TARGETS, value):
            done = pulley("connect", "octo/site", "--json", environ=environ)
        assert json_of(done)["settings"]["Trigger on"] == "Push, Release"

    def test_rotation_says_to_set_the_secret_by_hand(
        self, sandbox: Sandbox, pulley: Pulley, environ: dict[str, str]
    ) -> None:
        secret = sandbox.secret.decode()
        with stored(sandbox, NAMES.webhook_secret, secret, secret=True):
            arguments = ("secret", "rotate", "--yes", "--wait", "0")
            done = pulley(*arguments, environ=environ)
        assert done.exit_code == 3
        assert "octo/site: Gitea and Forgejo show neither a webhook's secret" in done.stderr
        assert "The old secret stays valid" in done.stderr


class TestTargetsApply:
    def targets(self, path: Path, gate: str) -> Path:
        file = path / "pulley.toml"
        file.write_text(
            f"""
            [targets.gated]
            repository = "octo/site"
            branch = "main"
            instances = {{ tags = {{ role = "gated" }} }}
            checkout = "/srv/gated"
            {gate}

            [targets.first]
            repository = "octo/site"
            branch = "main"
            instances = {{ tags = {{ role = "first" }} }}
            checkout = "/srv/first"
            """
        )
        return file

    def test_checks_are_refused_with_the_reason(
        self, pulley: Pulley, environ: dict[str, str], tmp_path: Path
    ) -> None:
        file = self.targets(tmp_path, 'checks = ["test"]')
        done = pulley("targets", "apply", "--dry-run", str(file), environ=environ)
        assert done.exit_code == 3
        assert "targets.gated.checks: needs GitHub" in done.stderr
        assert "Gitea and Forgejo have none: leave it out" in done.stderr

    def test_trigger_by_deployments_is_refused_with_the_reason(
        self, pulley: Pulley, environ: dict[str, str], tmp_path: Path
    ) -> None:
        file = self.targets(tmp_path, 'trigger = "deployment"')
        done = pulley("targets", "apply", "--dry-run", str(file), environ=environ)
        assert done.exit_code == 3
        assert "targets.gated.trigger: needs GitHub" in done.stderr

    @pytest.mark.parametrize("gate", ['after = ["first"]', 'window = "Mon 09:00-17:00 UTC"', ""])
    def test_gates_that_rounds_judge_are_allowed(
        self, pulley: Pulley, environ: dict[str, str], tmp_path: Path, gate: str
    ) -> None:
        file = self.targets(tmp_path, gate)
        done = pulley("targets", "apply", "--dry-run", str(file), environ=environ)
        assert done.exit_code == 0, done.stderr


class TestDoctor:
    def rows(self, pulley: Pulley, environ: dict[str, str]) -> dict[str, tuple[str, str]]:
        done = pulley("doctor", "--json", environ=environ)
        return {one["what"]: (one["outcome"], one["words"]) for one in json_of(done)["rows"]}

    def test_token_that_may_post_passes_and_the_webhook_is_left_to_you(
        self, pulley: Pulley, environ: dict[str, str]
    ) -> None:
        rows = self.rows(pulley, environ)
        assert rows["GitHub token, octo/site"][0] == "pass"
        outcome, words = rows["webhook of octo/site"]
        assert outcome == "pass"
        assert "Pulley leaves webhooks there to you" in words

    def test_token_without_the_scope_fails(
        self, pulley: Pulley, environ: dict[str, str], server: Server
    ) -> None:
        server.status = answer({"message": "token does not have the scope"}, 403)
        outcome, words = self.rows(pulley, environ)["GitHub token, octo/site"]
        assert outcome == "fail"
        assert "it lacks write:repository: commits do not say where they run" in words
