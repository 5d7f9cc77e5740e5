"""`pulley setup`, in an empty account."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from chalicelib.core.commands import parse_document_pin
from chalicelib.core.refs import Repository
from pulley.cli.setup import next_steps
from pulley.host.build import build
from pulley.host.document import build_document
from pulley.operator.stage.policies import PLACEHOLDER
from pulley.project import project
from pulley.sandbox.account import Account
from tests.cli.conftest import Pulley, invoke
from tests.edges.scripted_server import Raw, Request, ScriptedServer, answer

DOCUMENT, PIN = "pulley-prod-pull", "/pulley/prod/document"
SECRET, TOKEN = "/pulley/prod/webhook-secret", "/pulley/prod/github-token"
CONTENT = build_document(build())
OTHER = build_document("echo other\n")


@pytest.fixture
def setup(account: Account, no_settings: None) -> Pulley:
    def run(*arguments: str, stdin: str = "", environ: Mapping[str, str | None] = {}) -> Result:
        settings = {**account.environ, **environ}
        return invoke(settings, "setup", "--stage", "prod", *arguments, stdin=stdin)

    return run


def value_of(account: Account, name: str) -> str:
    return account.ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]


def names_of(account: Account) -> set[str]:
    return {one["Name"] for one in account.ssm.describe_parameters()["Parameters"]}


def versions_of(account: Account) -> list[object]:
    """All version numbers that a write would raise."""
    parameters = account.ssm.describe_parameters()["Parameters"]
    described = account.ssm.describe_document(Name=DOCUMENT, DocumentVersion="$LATEST")["Document"]
    document = [described["LatestVersion"], described["DefaultVersion"]]
    return [*sorted((one["Name"], one["Version"]) for one in parameters), *document]


def store(account: Account, content: object) -> str:
    """Store a document as somebody does in the console. Returns the version."""
    updated = account.ssm.update_document(
        Name=DOCUMENT, Content=json.dumps(content), DocumentVersion="$LATEST", DocumentFormat="JSON"
    )
    return updated["DocumentDescription"]["DocumentVersion"]


def assert_right(account: Account) -> None:
    pin = parse_document_pin(value_of(account, PIN))
    described = account.ssm.describe_document(Name=DOCUMENT, DocumentVersion="$LATEST")["Document"]
    assert pin.version == described["LatestVersion"] == described["DefaultVersion"]
    assert pin.hash == described["Hash"]
    got = account.ssm.get_document(Name=DOCUMENT, DocumentVersion=pin.version)
    assert json.loads(got["Content"]) == CONTENT


def steps(
    *,
    is_deployed: bool = True,
    has_tokens: bool = False,
    repositories: Sequence[Repository] = (),
    has_new_secret: bool = False,
) -> list[str]:
    return next_steps(
        "prod",
        is_deployed=is_deployed,
        has_tokens=has_tokens,
        repositories=repositories,
        has_new_secret=has_new_secret,
    )


class TestNextSteps:
    def test_missing_functions_make_chalice_deploy_the_first_step(self) -> None:
        assert steps(is_deployed=False)[0] == "chalice deploy --stage prod"

    def test_bare_stage_needs_every_later_step(self) -> None:
        assert steps() == [
            "pulley setup --github-token-file -",
            "pulley targets apply",
            "pulley connect OWNER/REPO",
            "pulley doctor",
        ]

    def test_completed_steps_are_left_out(self) -> None:
        found = steps(has_tokens=True, repositories=[Repository("octo", "site")])
        assert found == ["pulley connect octo/site", "pulley doctor"]

    def test_new_secret_requires_connect_with_force(self) -> None:
        found = steps(repositories=[Repository("octo", "site")], has_new_secret=True)
        assert "pulley connect octo/site --force" in found


class TestBareStage:
    def test_first_run_makes_everything_and_a_second_run_changes_nothing(
        self, account: Account, setup: Pulley
    ) -> None:
        done = setup("--yes")
        assert done.exit_code == 0, done.output
        assert_right(account)
        secret = value_of(account, SECRET)
        assert re.fullmatch("[0-9a-f]{64}", secret)
        assert secret not in done.output
        parameter = account.ssm.get_parameter(Name=SECRET)["Parameter"]
        assert parameter["Type"] == "SecureString"
        assert "chalice deploy" not in done.stdout  # not for an emulated account
        assert done.stdout.index("pulley targets apply --stage prod") < done.stdout.index(
            "pulley connect"
        )
        before = versions_of(account)
        again = setup()  # without --yes, since it has no question
        assert again.exit_code == 0
        assert again.stdout.startswith("Nothing to do: ")
        assert versions_of(account) == before

    def test_dry_run_shows_the_plan_and_without_a_yes_nothing_is_changed(
        self, account: Account, setup: Pulley
    ) -> None:
        done = setup("--dry-run", "--yes")
        assert done.exit_code == 0
        for name in (SECRET, DOCUMENT, PIN):
            assert f": {name}\n" in done.stdout
        asked = setup()
        assert asked.exit_code == 4
        assert "Pass --yes" in asked.stderr
        as_json = setup("--json")
        report = json.loads(as_json.stdout)
        assert (as_json.exit_code, len(report["changes"]), report["done"]) == (4, 3, [])
        assert names_of(account) == set()

    def test_json_is_one_document_with_planned_and_completed_changes(self, setup: Pulley) -> None:
        done = setup("--yes", "--json")
        report = json.loads(done.stdout)
        whats = ["webhook secret", "document", "document's pin"]
        assert [one["what"] for one in report["changes"]] == whats
        assert [one["what"] for one in report["done"]] == whats
        assert (report["account"], report["region"]) == ("123456789012", "eu-west-1")
        assert json.loads(setup("--json").stdout)["changes"] == []

    def test_deployed_application_needs_no_deploy(self, setup: Pulley) -> None:
        setup("--yes")
        done = setup(environ={"PULLEY_WEBHOOK_URL": "https://example.org/github"})
        assert "chalice deploy" not in done.output
        assert "pulley doctor --stage prod" in done.stdout


class TestSecret:
    def test_show_secret_prints_only_the_newest_secret_to_stdout(
        self, account: Account, setup: Pulley
    ) -> None:
        done = setup("--yes", "--show-secret")
        assert done.stdout == value_of(account, SECRET) + "\n"
        account.ssm.put_parameter(
            Name=SECRET, Value="newest\nolder\n", Type="SecureString", Overwrite=True
        )
        assert setup("--show-secret").stdout == "newest\n"

    def test_show_secret_in_a_dry_run_of_a_bare_stage_prints_nothing(self, setup: Pulley) -> None:
        done = setup("--dry-run", "--show-secret")
        assert (done.stdout, done.exit_code) == ("", 0)

    def test_show_secret_with_json_is_a_wrong_command_line(self, setup: Pulley) -> None:
        assert setup("--show-secret", "--json").exit_code == 2


class TestToken:
    def test_token_is_read_from_stdin_and_never_shown(
        self, account: Account, setup: Pulley
    ) -> None:
        done = setup("--yes", "--github-token-file", "-", stdin="ghp_s3cret\n")
        assert done.exit_code == 0, done.output
        assert value_of(account, TOKEN) == "ghp_s3cret"
        assert "ghp_s3cret" not in done.output
        again = setup("--github-token-file", "-", stdin="ghp_s3cret\n")
        assert again.stdout.startswith("Nothing to do: ")

    def test_token_that_github_refuses_replaces_a_stored_token_only_with_force(
        self, account: Account, setup: Pulley
    ) -> None:
        def script(request: Request) -> Raw:
            if request.headers["authorization"] == "Bearer ghp_good":
                return answer({"full_name": "octo/site"})
            return answer({"message": "Bad credentials"}, 401)

        with ScriptedServer(script) as github:
            api = {"PULLEY_GITHUB_API": github.url}
            options = "--yes", "--github-token-file", "-"
            first = setup(*options, stdin="ghp_first", environ=api)
            assert (first.exit_code, github.requests) == (0, [])
            before = versions_of(account)
            refused = setup(*options, stdin="ghp_typo", environ=api)
            assert refused.exit_code == 1
            assert "GitHub says 'Bad credentials'. --force stores it" in refused.stderr
            assert "ghp_typo" not in refused.output
            assert versions_of(account) == before
            assert setup(*options, stdin="ghp_good", environ=api).exit_code == 0
            assert value_of(account, TOKEN) == "ghp_good"
            assert setup(*options, "--force", stdin="ghp_typo", environ=api).exit_code == 0
            assert value_of(account, TOKEN) == "ghp_typo"
            of_one = *options, "--repository", "octo/site"
            assert setup(*of_one, stdin="ghp_other", environ=api).exit_code == 1
            assert setup(*of_one, stdin="ghp_good", environ=api).exit_code == 0
            name = "/pulley/prod/repositories/octo/site/github-token"
            assert (value_of(account, name), value_of(account, TOKEN)) == ("ghp_good", "ghp_typo")
        asked = [request.target for request in github.requests]
        assert asked == ["/rate_limit", "/rate_limit", "/repos/octo/site", "/repos/octo/site"]

    def test_unreachable_github_keeps_the_stored_token(
        self, account: Account, setup: Pulley
    ) -> None:
        nobody = {"PULLEY_GITHUB_API": "http://127.0.0.1:9"}
        setup("--yes", "--github-token-file", "-", stdin="ghp_first", environ=nobody)
        done = setup("--yes", "--github-token-file", "-", stdin="ghp_next", environ=nobody)
        assert done.exit_code == 1
        assert "it could not be tried: GitHub could not be reached" in done.stderr
        assert value_of(account, TOKEN) == "ghp_first"

    def test_malformed_token_is_refused_before_anything_is_stored(
        self, account: Account, setup: Pulley, tmp_path: Path
    ) -> None:
        done = setup("--yes", "--github-token-file", "-", stdin="ghp_a\nghp_b\n")
        assert done.exit_code == 1
        assert done.stderr == "Error: the token must be one line, with nothing before or after it\n"
        (path := tmp_path / "bytes").write_bytes(b"\xff\xfe")
        done = setup("--yes", "--github-token-file", str(path))
        assert (done.exit_code, done.stderr) == (1, f"Error: {path}: is not text\n")
        assert names_of(account) == set()

    def test_repository_without_a_token_is_a_wrong_command_line(self, setup: Pulley) -> None:
        assert setup("--repository", "octo/site").exit_code == 2
        assert setup("--repository", "octo", "--github-token-file", "-").exit_code == 2


class TestUpgrade:
    @pytest.fixture(autouse=True)
    def older(self, account: Account) -> None:
        account.ssm.create_document(
            Name=DOCUMENT, Content=json.dumps(OTHER), DocumentType="Command", DocumentFormat="JSON"
        )
        described = account.ssm.describe_document(Name=DOCUMENT)["Document"]
        pin = json.dumps({"version": "1", "hash": described["Hash"]})
        account.ssm.put_parameter(Name=PIN, Value=pin, Type="String")
        account.ssm.put_parameter(Name=SECRET, Value="s3cret", Type="SecureString")

    def test_diff_is_shown_and_the_previous_document_version_is_kept(
        self, account: Account, setup: Pulley
    ) -> None:
        done = setup("--yes")
        assert done.exit_code == 0, done.output
        assert "-echo other" in done.stdout
        assert "more lines of this diff" in done.stdout
        assert_right(account)
        assert account.ssm.describe_document(Name=DOCUMENT, DocumentVersion="1")["Document"]

    def test_edit_by_hand_is_replaced_and_the_oldest_version_is_deleted(
        self, account: Account, setup: Pulley
    ) -> None:
        setup("--yes")
        store(account, OTHER | {"description": "Somebody's"})
        account.ssm.update_document_default_version(Name=DOCUMENT, DocumentVersion="3")
        done = setup("--yes")
        assert done.exit_code == 0
        assert "version 3 was stored by other means" in done.stdout
        assert_right(account)
        with pytest.raises(account.ssm.exceptions.InvalidDocument):
            account.ssm.describe_document(Name=DOCUMENT, DocumentVersion="1")
        assert account.ssm.describe_document(Name=DOCUMENT, DocumentVersion="2")["Document"]
        before = versions_of(account)
        assert setup("--yes").stdout.startswith("Nothing to do: ")
        assert versions_of(account) == before

    def test_document_of_another_type_is_left_alone(self, account: Account, setup: Pulley) -> None:
        account.ssm.delete_document(Name=DOCUMENT)
        account.ssm.create_document(
            Name=DOCUMENT,
            Content='{"schemaVersion": "0.3", "mainSteps": []}',
            DocumentType="Automation",
            DocumentFormat="JSON",
        )
        done = setup("--yes")
        assert done.exit_code == 1
        assert "is a document of the type Automation" in done.stderr


class TestFailure:
    def test_completed_steps_are_reported_and_the_next_run_does_the_rest(
        self, account: Account, setup: Pulley, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answer = account._answer

        def refuse(environ: Any, start_response: Any) -> Any:  # noqa: ANN401
            if environ.get("HTTP_X_AMZ_TARGET") == "AmazonSSM.CreateDocument":
                headers = [("Content-Type", "application/x-amz-json-1.1")]
                start_response("400 Bad Request", headers)
                return [b'{"__type": "AccessDeniedException", "message": "no"}']
            return answer(environ, start_response)

        account._server.app = refuse
        done = setup("--yes", "--json")
        assert done.exit_code == 1
        assert [one["what"] for one in json.loads(done.stdout)["done"]] == ["webhook secret"]
        assert "AWS refused creating pulley-prod-pull (AccessDeniedException)" in done.stderr
        assert "the steps above were done" in done.stderr
        assert PIN not in names_of(account)
        account._server.app = answer
        secret = value_of(account, SECRET)
        assert setup("--yes").exit_code == 0
        assert_right(account)
        assert value_of(account, SECRET) == secret


class TestPolicies:
    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        (folder := tmp_path / ".chalice").mkdir()
        for path in (project() / ".chalice").glob("*.json"):
            text = re.sub(r":\d{12}:", f":{PLACEHOLDER}:", path.read_text())
            (folder / path.name).write_text(text)
        monkeypatch.setattr("pulley.cli.setup.find_project", lambda: tmp_path)
        return folder

    def real(self, account: Account) -> dict[str, str | None]:
        """The same endpoint, in variables that do not say that the account is emulated."""
        services = {f"AWS_ENDPOINT_URL_{one}": account.endpoint_url for one in ("SSM", "STS")}
        return {"AWS_ENDPOINT_URL": None, **services}

    def test_account_id_is_written_into_the_policy_files_of_the_stage(
        self, account: Account, setup: Pulley, folder: Path
    ) -> None:
        done = setup("--yes", environ=self.real(account))
        assert done.exit_code == 0, done.output
        text = (folder / "policy-report-prod.json").read_text()
        assert PLACEHOLDER not in text
        assert ":123456789012:" in text
        assert PLACEHOLDER in (folder / "policy-report-dev.json").read_text()
        assert setup(environ=self.real(account)).stdout.startswith("Nothing to do: ")

    def test_policy_files_of_another_account_stop_setup_before_any_change(
        self, account: Account, setup: Pulley, folder: Path
    ) -> None:
        path = folder / "policy-report-prod.json"
        path.write_text(path.read_text().replace(PLACEHOLDER, "999988887777"))
        done = setup("--yes", environ=self.real(account))
        assert done.exit_code == 3
        assert "policy-report-prod.json: is for the account 999988887777" in done.stderr
        assert names_of(account) == set()

    def test_outside_a_clone_of_pulley_only_the_policies_are_skipped_with_a_note(
        self, account: Account, setup: Pulley, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pulley.cli.setup.find_project", lambda: None)
        done = setup("--yes", environ=self.real(account))
        assert done.exit_code == 0, done.output
        assert "not a clone of Pulley" in done.stderr
        assert names_of(account) == {SECRET, PIN}

    def test_emulated_account_leaves_the_policy_files_unchanged_with_a_note(
        self, setup: Pulley, folder: Path
    ) -> None:
        done = setup("--yes")
        assert ".chalice is left as it is" in done.stderr
        assert PLACEHOLDER in (folder / "policy-report-prod.json").read_text()
