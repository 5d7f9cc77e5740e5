"""`pulley targets`, in an empty account."""

import json
import socket
from pathlib import Path

import pytest
from click.testing import Result

from chalicelib.core.refs import Repository
from chalicelib.core.stored import ParameterNames
from chalicelib.core.targets import parse_stored_targets
from pulley.operator.aws.parameters import Parameters
from pulley.sandbox.account import Account
from tests.cli.conftest import Pulley, invoke

SITE = Repository("octo", "site")
STORED, STORED_API = (f"/pulley/dev/repositories/octo/{one}/targets" for one in ("site", "api"))
WEB = """
[targets.web]
repository = "octo/site"
branch = "main"
instances = { tags = { role = ["web", "cron"] } }
checkout = "/srv/site"
"""
WORKER = WEB.replace("targets.web", "targets.worker").replace("/srv/site", "/srv/worker")
WORKER += 'restart = ["worker.service"]\n'
API = (
    WEB.replace("octo/site", "octo/api").replace("s.web", "s.api").replace("/srv/site", "/srv/api")
)


def check(*arguments: str, stdin: str = "") -> Result:
    return invoke({}, "targets", "check", *arguments, stdin=stdin)


@pytest.fixture
def targets(
    account: Account, no_settings: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Pulley:
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: invoke(account.environ, "targets", *arguments)


@pytest.fixture
def apply(targets: Pulley) -> Pulley:
    def write(text: str, *arguments: str) -> Result:
        Path("pulley.toml").write_text(text)
        return targets("apply", "--yes", *arguments)

    return write


def stored_in(account: Account, name: str = STORED) -> object:
    return json.loads(account.ssm.get_parameter(Name=name)["Parameter"]["Value"])


def versions(account: Account, name: str = STORED) -> int:
    return len(Parameters(account.ssm).versions(name))


class TestCheck:
    @pytest.fixture(autouse=True)
    def without_aws(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*arguments: object) -> None:
            pytest.fail("it asked somebody")

        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(socket.socket, "connect", refuse)
        monkeypatch.setattr("boto3.client", refuse)
        for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ACCESS_KEY_ID"):
            monkeypatch.delenv(name, raising=False)

    def test_valid_file_passes_without_a_request(self) -> None:
        Path("pulley.toml").write_text(WEB + WORKER)
        done = check()
        assert (done.exit_code, done.stdout) == (0, "pulley.toml is valid: web, worker\n")

    def test_every_problem_is_reported(self) -> None:
        Path("mine.toml").write_text(WEB.replace('"main"', '"no good"') + "timeout = 1\n")
        done = check("mine.toml")
        assert done.exit_code == 3
        assert "Error: targets.web.branch: must be" in done.stderr
        assert "Error: targets.web.timeout: must be" in done.stderr
        assert done.stdout == ""

    def test_json_report_has_the_problems_and_is_all_of_stdout(self) -> None:
        done = check("-", "--json", stdin="[targets.web]\n[other]\n")
        assert done.exit_code == 3
        report = json.loads(done.stdout)
        assert not report["valid"]
        assert "targets.web.checkout: is missing" in report["problems"]

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "has no targets"),
            ("targets =\n", "pulley.toml: not TOML: Invalid value (at line 1, column 10)"),
        ],
    )
    def test_file_without_targets_or_with_wrong_toml_is_reported(
        self, text: str, words: str
    ) -> None:
        Path("pulley.toml").write_text(text)
        done = check()
        assert done.exit_code == 3
        assert words in done.stderr

    def test_unreadable_file_exits_with_1_and_not_3(self) -> None:
        done = check("nosuch.toml")
        assert (done.exit_code, "nosuch.toml: cannot be read" in done.stderr) == (1, True)


class TestApply:
    def test_new_targets_are_stored_in_the_form_that_lambda_parses(
        self, account: Account, apply: Pulley
    ) -> None:
        done = apply(WORKER + WEB)
        assert done.exit_code == 0, done.output
        text = account.ssm.get_parameter(Name=STORED)["Parameter"]["Value"]
        assert [one.name for one in parse_stored_targets(text, SITE)] == ["web", "worker"]
        assert ", " not in text
        assert '      checkout: "/srv/site"\n' in done.stdout

    def test_tags_need_a_token_and_releases_more_events(
        self, account: Account, apply: Pulley
    ) -> None:
        tags = WEB.replace('branch = "main"', 'tag = "v*"\nreleases = true')
        refused = apply(tags)
        assert refused.exit_code == 3, refused.output
        words = "targets.web: tag: needs a token for GitHub, and none is stored for octo/site"
        assert words in refused.output
        name = ParameterNames("dev").github_token
        account.ssm.put_parameter(Name=name, Value="t0ken", Type="SecureString")
        done = apply(tags)
        assert done.exit_code == 0, done.output
        said = "Its webhook must send more events: pulley connect octo/site"
        assert said in done.stderr

    def test_unchanged_file_stores_nothing_and_asks_no_question(
        self, account: Account, apply: Pulley, targets: Pulley
    ) -> None:
        apply(WEB + WORKER)
        done = targets("apply")
        assert done.exit_code == 0
        assert done.stdout.startswith("Nothing to do: ")
        assert versions(account) == 1

    def test_without_yes_and_in_a_dry_run_nothing_is_stored(
        self, account: Account, apply: Pulley, targets: Pulley
    ) -> None:
        apply(WEB)
        Path("pulley.toml").write_text(WEB.replace('"main"', '"release"'))
        assert targets("apply").exit_code == 4
        done = targets("apply", "--dry-run")
        assert done.exit_code == 0
        assert '      branch: "main" -> "release"\n' in done.stdout
        assert versions(account) == 1

    def test_invalid_file_stores_nothing(self, account: Account, apply: Pulley) -> None:
        done = apply(WEB + "[targets.api]\n")
        assert done.exit_code == 3
        assert "Error: targets.api.checkout: is missing" in done.stderr
        assert account.ssm.describe_parameters()["Parameters"] == []

    def test_target_missing_in_the_file_is_kept_unless_prune_is_given(
        self, account: Account, apply: Pulley
    ) -> None:
        apply(WEB + WORKER)
        done = apply(WEB)
        assert "kept, though not in the file (--prune removes it): worker" in done.stdout
        assert "are as in the file" in done.stdout
        assert versions(account) == 1
        done = apply(WEB, "--prune")
        assert "  - worker\n" in done.stdout
        assert [one["name"] for one in stored_in(account)] == ["web"]  # type: ignore[attr-defined]

    def test_prune_changes_only_repositories_of_the_file_or_the_option(
        self, account: Account, apply: Pulley
    ) -> None:
        apply(WORKER.replace("octo/site", "octo/api"))
        apply(WEB, "--prune")
        assert versions(account, STORED_API) == 1
        done = apply("", "--prune", "--repository", "octo/api")
        assert done.exit_code == 0, done.output
        assert stored_in(account, STORED_API) == []
        assert versions(account, STORED_API) == 2
        assert stored_in(account) != []

    def test_empty_file_is_refused_without_prune_and_a_repository(self, apply: Pulley) -> None:
        for arguments in ([], ["--prune"], ["--repository", "octo/api"]):
            done = apply("", *arguments)
            assert done.exit_code == 3
            assert "has no targets" in done.stderr

    def test_targets_in_one_checkout_are_refused_if_a_host_has_the_tags_of_both(
        self, account: Account, apply: Pulley, tmp_path: Path
    ) -> None:
        by_other_tags = WEB.replace("targets.web", "targets.prod").replace("role =", "env =")
        both = WEB + by_other_tags
        account.add_host("web-1", tags={"pulley": "dev", "role": "web"}, root=tmp_path)
        account.add_host("cron-1", tags={"pulley": "dev", "env": "cron"}, root=tmp_path)
        assert apply(both).exit_code == 0
        tags = {"pulley": "dev", "role": "web", "env": "web"}
        host = account.add_host("web-2", tags=tags, root=tmp_path)
        done = apply(both.replace('"main"', '"next"'), "--dry-run")
        assert done.exit_code == 3
        assert f"and they have the host web-2 ({host.instance_id}) in common" in done.stderr
        assert apply(both.replace('"main"', '"next"')).exit_code == 3
        assert versions(account) == 1

    def test_removed_target_with_a_pin_causes_a_warning(
        self, account: Account, apply: Pulley
    ) -> None:
        apply(WEB + WORKER)
        account.ssm.put_parameter(
            Name="/pulley/dev/pins/worker",
            Value='{"state": "frozen", "reason": "a holiday"}',
            Type="String",
        )
        done = apply(WEB, "--prune")
        assert "Warning: worker is removed, and is frozen: a holiday." in done.stderr

    def test_long_list_needs_the_advanced_option_and_stays_in_that_tier(
        self, account: Account, apply: Pulley
    ) -> None:
        many = "".join(
            WEB.replace("targets.web", f"targets.web-{one}").replace(
                "/srv/site", f"/srv/site-{one}"
            )
            for one in range(40)
        )
        done = apply(many)
        assert done.exit_code == 3
        assert "--advanced stores up to 8,192 bytes" in done.stderr
        assert apply(many, "--advanced").exit_code == 0
        assert apply(WEB, "--prune").exit_code == 0
        tier = Parameters(account.ssm).tier(STORED)
        assert tier == "Advanced"

    def test_json_has_the_changes_and_the_versions(self, apply: Pulley) -> None:
        done = apply(WEB, "--json")
        report = json.loads(done.stdout)
        (listed,) = report["repositories"]
        assert listed["changes"][0]["action"] == "added"
        assert report["stored"] == {"octo/site": 1}
        assert json.loads(apply(WEB, "--json").stdout)["stored"] == {}

    def test_value_stored_during_the_question_is_shown_when_overwritten(
        self, account: Account, apply: Pulley, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        apply(WEB)

        def store_theirs(question: str, *, yes: bool) -> None:
            account.ssm.put_parameter(Name=STORED, Value="[]", Type="String", Overwrite=True)

        monkeypatch.setattr("pulley.cli.targets.confirm", store_theirs)  # during the question
        done = apply(WORKER)
        assert f"Warning: {STORED}: version 2 by " in done.stderr
        assert f"aws ssm put-parameter --name {STORED}" in done.stderr


class TestShow:
    def test_output_can_be_applied_without_a_change(
        self, account: Account, apply: Pulley, targets: Pulley
    ) -> None:
        apply(WEB + WORKER + API)
        shown = targets("show")
        assert shown.exit_code == 0
        assert "# octo/api\n[targets.api]\n" in shown.stdout
        assert apply(shown.stdout, "--prune").stdout.startswith("Nothing to do: ")

    def test_argument_selects_one_target_or_one_repository(
        self, apply: Pulley, targets: Pulley
    ) -> None:
        apply(WEB + WORKER + API)
        assert targets("show", "worker").stdout.count("[targets.") == 1
        assert targets("show", "Octo/Site").stdout.count("[targets.") == 2
        names = [one["name"] for one in json.loads(targets("show", "--json").stdout)["targets"]]
        assert names == ["api", "web", "worker"]
        done = targets("show", "nobody")
        assert done.exit_code == 1
        assert "nothing valid is stored for nobody: there is api, web, worker" in done.stderr

    def test_stage_without_targets_prints_only_a_note(
        self, account: Account, targets: Pulley
    ) -> None:
        account.ssm.put_parameter(Name=STORED, Value="[]", Type="String")
        done = targets("show")
        assert (done.exit_code, done.stdout) == (0, "")
        assert "No target is stored in stage dev (account 123456789012, " in done.stderr

    def test_invalid_stored_target_is_reported_beside_the_valid_ones(
        self, account: Account, apply: Pulley, targets: Pulley
    ) -> None:
        apply(WEB)
        account.ssm.put_parameter(Name=STORED_API, Value='[{"name": "api"}]', Type="String")
        done = targets("show")
        assert done.exit_code == 3
        assert "Error: octo/api: targets.api.checkout: is missing" in done.stderr
        assert "[targets.web]" in done.stdout
