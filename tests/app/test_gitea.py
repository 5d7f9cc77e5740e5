"""A stage of a Gitea or Forgejo server: from the delivery to the commit status.

tests/core/test_forges.py has the forms, tests/edges/test_commit_statuses.py the API.
"""

import json
from collections.abc import Iterator

import pytest

from tests.app.run_command import RunCommand, result_line
from tests.app.stage import FORM, JSON, TOKEN, Answer, Stage, rest_event
from tests.app.test_reconcile_event import EVENT
from tests.edges.scripted_server import ScriptedServer
from tests.fakes import COMMIT, GUID, NAMES, SECRET, SITE, target_json
from tests.forges import GiteaApi, gitea_headers, gitea_json, gitea_push, in_form

both = pytest.mark.parametrize("forgejo", [False, True], ids=["Gitea", "Forgejo"])


@pytest.fixture
def gitea(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[GiteaApi]:
    """A server for which the stage has a token."""
    api = GiteaApi()
    with ScriptedServer(api) as http:
        monkeypatch.setenv("PULLEY_GITHUB_API", f"{http.url}/api/v1")
        stage.store(NAMES.github_token, TOKEN)
        yield api


def deliver(
    stage: Stage,
    content_type: str = JSON,
    *,
    secret: str = SECRET,
    forgejo: bool = False,
) -> Answer:
    payload = gitea_json(gitea_push())
    headers = gitea_headers(payload, content_type=content_type, secret=secret, forgejo=forgejo)
    body = in_form(payload) if content_type == FORM else payload
    return stage.post(body, headers)


class TestDelivery:
    @both
    @pytest.mark.parametrize("content_type", [JSON, FORM])
    def test_push_is_accepted(self, stage: Stage, content_type: str, *, forgejo: bool) -> None:
        answer = deliver(stage, content_type, forgejo=forgejo)
        (command,) = stage.commands()
        assert answer.status == 202
        assert answer.body["delivery"] == GUID
        assert answer.body["deployments"] == [{"target": "web", "command_id": command["CommandId"]}]

    @pytest.mark.parametrize("content_type", [JSON, FORM])
    def test_wrong_secret_is_401(self, stage: Stage, content_type: str) -> None:
        assert deliver(stage, content_type, secret="guessed").status == 401
        assert stage.commands() == []

    def test_form_of_github_with_the_signature_of_its_payload_is_401(self, stage: Stage) -> None:
        payload = gitea_json(gitea_push())
        headers = gitea_headers(payload, content_type=FORM, forgejo=False)
        github = {name: value for name, value in headers.items() if "Gitea" not in name}
        assert stage.post(in_form(payload), github).status == 401

    @pytest.mark.parametrize(
        ("headers", "forge"),
        [
            ({"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": SECRET}, "GitLab"),
            ({"X-Event-Key": "repo:push", "User-Agent": "Bitbucket-Webhooks/2.0"}, "Bitbucket"),
            ({"X-Gogs-Event": "push", "X-Gogs-Signature": "0" * 64}, "Gogs"),
        ],
    )
    def test_other_forge_is_401_and_named(
        self, stage: Stage, headers: dict[str, str], forge: str
    ) -> None:
        event = rest_event({"Content-Type": JSON, **headers}, gitea_json(gitea_push()).decode())
        answer = stage.call(event)
        assert answer.status == 401
        assert f"this is a delivery of {forge}, and Pulley takes those of" in answer.body["error"]
        assert stage.commands() == []


class TestReport:
    def test_commit_status_follows_the_command(
        self, stage: Stage, run_command: RunCommand, gitea: GiteaApi
    ) -> None:
        assert deliver(stage).status == 202
        assert deliver(stage).status == 202  # redelivered
        again, first = run_command.commands  # newest first
        assert first.deployment == again.deployment != ""
        for sent in (first, again):
            sent.add_host(result_line(COMMIT))
            sent.end()
        for sent in (first, again):
            assert stage.report(sent.event())["state"] == "success"
        words = "1 of 1 host at 4d5e6f7: web-1"
        shown = [(one["status"], one["description"]) for one in gitea.statuses[COMMIT]]
        assert shown == [("pending", "Pulley: web"), ("success", words)]
        newest = gitea.statuses[COMMIT][-1]
        assert newest["context"] == "pulley/web"
        assert newest["target_url"].endswith(f"/run-command/{again.id}?region=eu-central-1#success")

    def test_frozen_target_is_a_warning_that_names_the_reason(
        self, stage: Stage, gitea: GiteaApi
    ) -> None:
        stage.store(NAMES.pin("web"), {"state": "frozen", "reason": "a holiday"})
        for _ in range(2):
            assert deliver(stage).status == 200
        shown = [(one["status"], one["description"]) for one in gitea.statuses[COMMIT]]
        frozen = ("warning", "not deployed: frozen: a holiday")
        assert shown == [("pending", "Pulley: web"), frozen]


class TestRound:
    def test_gated_commit_goes_out_in_a_round_of_its_window(
        self, stage: Stage, run_command: RunCommand, gitea: GiteaApi
    ) -> None:
        stage.store(NAMES.targets(SITE), [target_json(window="Mon-Sun 00:00-24:00 UTC")])
        gitea.branches["main"], gitea.parents[COMMIT] = COMMIT, ["a" * 40]
        assert deliver(stage).status == 200
        stage.reconcile(EVENT)
        (sent,) = run_command.commands
        assert sent.arguments["Parameters"]["Commit"] == [COMMIT]
        assert json.dumps(stage.log.lines("round")).count("not_asked") == 0
