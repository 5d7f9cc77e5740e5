"""One repository, a stage in each of two Regions: real git, real HTTP, the real app and script."""

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import Result

from chalicelib.core.refs import Repository
from chalicelib.core.stored import ParameterNames
from pulley.sandbox.sandbox import FULL_NAME, STAGE, Sandbox
from tests.cli.conftest import PULLEYS, invoke
from tests.sandbox.second_region import SecondRegion, write_profiles

Pulley = Callable[..., Result]
EU, US = "eu-west-1", "us-east-1"
A_NAME = "a stage's name (1 to 30 letters, digits, _ and -)"
SECOND = "prod"  # the stage in the second Region
STAGES = f"""
[stages.{STAGE}]
profile = "eu"

[stages.shop]
stage = "{SECOND}"
profile = "us"
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(["web-1"]) as opened:
        yield opened


@pytest.fixture(scope="module")
def second(sandbox: Sandbox) -> Iterator[SecondRegion]:
    """The second Region, connected by `pulley connect`. One push has been deployed in both."""
    with SecondRegion(sandbox, ["web-1"], stage=SECOND, region=US) as opened:
        yield opened


@pytest.fixture
def pulley(
    sandbox: Sandbox, second: SecondRegion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Pulley:
    """Run a command as an operator with two profiles, in a folder with their `stages.toml`."""
    for name in ("GITHUB_TOKEN", "GH_TOKEN", "AWS_PROFILE", "COLUMNS", *PULLEYS):
        monkeypatch.delenv(name, raising=False)
    profiles = write_profiles(tmp_path, {"eu": sandbox.account, "us": second.account})
    environ = {**profiles, "PULLEY_GITHUB_API": sandbox.github.api_url}
    (tmp_path / "stages.toml").write_text(STAGES)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, environ: Mapping[str, str] = environ) -> Result:
        return invoke(environ, *arguments)

    return run


@pytest.fixture
def connected(sandbox: Sandbox, second: SecondRegion, pulley: Pulley) -> SecondRegion:
    """The second Region, to which a webhook of its own posts."""
    options = ("--profile", "us", "--stage", SECOND)
    done = pulley("connect", FULL_NAME, *options, "--url", second.webhook.url, "--yes")
    assert done.exit_code == 0, done.output
    return second


def push(sandbox: Sandbox, words: str) -> str:
    commit = sandbox.commit({"index.html": f"{words}\n"}, words)
    subprocess.run(
        ["git", "push", "-q", "origin", "main"],
        cwd=sandbox.developer.working_dir,
        check=True,
        capture_output=True,
    )
    return commit


def urls(sandbox: Sandbox) -> list[str]:
    return sorted(one.config.url for one in sandbox.github.hooks(FULL_NAME))


class TestConnect:
    def test_each_stage_has_a_webhook_and_leaves_the_other_s_alone(
        self, sandbox: Sandbox, connected: SecondRegion, pulley: Pulley
    ) -> None:
        both = sorted([sandbox.webhook.url, connected.webhook.url])
        assert urls(sandbox) == both
        configs = [one.config for one in sandbox.github.hooks(FULL_NAME)]
        for profile, stage, url in (
            ("eu", STAGE, sandbox.webhook.url),
            ("us", SECOND, connected.webhook.url),
        ):
            options = ("--profile", profile, "--stage", stage, "--url", url)
            done = pulley("connect", FULL_NAME, *options)
            assert done.exit_code == 0, done.output
            assert "was left as it is" in done.stdout
            again = pulley("connect", FULL_NAME, *options, "--force", "--yes")
            assert again.exit_code == 0, again.output
        assert [one.config for one in sandbox.github.hooks(FULL_NAME)] == configs

    def test_address_of_the_other_stage_is_refused_and_its_webhook_stays(
        self, sandbox: Sandbox, connected: SecondRegion, pulley: Pulley
    ) -> None:
        before = [one.config for one in sandbox.github.hooks(FULL_NAME)]
        options = ("--profile", "eu", "--stage", STAGE, "--url", connected.webhook.url)
        done = pulley("connect", FULL_NAME, *options, "--force", "--yes")
        assert done.exit_code == 1
        assert "is it the address of another stage?" in done.stderr
        assert [one.config for one in sandbox.github.hooks(FULL_NAME)] == before


class TestPush:
    def test_one_push_deploys_in_both_regions_and_each_reports_its_own(
        self, sandbox: Sandbox, connected: SecondRegion, pulley: Pulley
    ) -> None:
        commit = push(sandbox, "for both")
        sandbox.wait_until_quiet()
        connected.wait_until_quiet()
        assert {one.head() for one in (*sandbox.machines, *connected.machines)} == {commit}
        made = [one for one in sandbox.github.deployments(FULL_NAME) if one.sha == commit]
        assert {(one.environment, one.state) for one in made} == {
            ("web", "success"),
            (US, "success"),
        }
        done = pulley("status", "--all", "--check")
        assert done.exit_code == 0, done.output
        _, *rows = done.stdout.splitlines()
        assert [one.split()[:6] for one in rows] == [
            [name, "web", commit[:7], "1", "of", "1"] for name in (STAGE, "shop")
        ]


class TestStatusAll:
    def test_json_has_each_stage_s_own_document(
        self, sandbox: Sandbox, connected: SecondRegion, pulley: Pulley
    ) -> None:
        done = pulley("status", "--all", "--json")
        assert done.exit_code == 0, done.output
        document = json.loads(done.stdout)
        assert [(one["name"], one["stage"], one["region"]) for one in document["stages"]] == [
            (STAGE, STAGE, EU),
            ("shop", SECOND, US),
        ]
        machines = [*sandbox.machines, *connected.machines]
        hosts = [
            host["instance_id"]
            for one in document["stages"]
            for target in one["state"]["targets"]
            for host in target["hosts"]
        ]
        assert hosts == [one.host.instance_id for one in machines]

    def test_stage_that_is_not_there_is_named_and_the_other_is_shown(
        self, pulley: Pulley, connected: SecondRegion
    ) -> None:
        Path("stages.toml").write_text(STAGES.replace(SECOND, "prdo"))
        done = pulley("status", "--all", "--check")
        assert done.exit_code == 1
        assert done.stdout.splitlines()[1].startswith(f"{STAGE}  ")
        assert (
            "Error: shop: there is no stage prdo in this account and region (did you mean prod?); "
            "there is prod. pulley setup --stage prdo --profile us makes it\n"
        ) in done.stderr

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            (('"us"', '"uss"'), "AWS's configuration has no profile uss (did you mean us?)"),
            (('profile = "us"', ""), "there is no region: set AWS_DEFAULT_REGION, or give"),
        ],
        ids=["profile", "region"],
    )
    def test_place_that_cannot_be_reached_is_named_with_what_to_do(
        self, pulley: Pulley, connected: SecondRegion, change: tuple[str, str], why: str
    ) -> None:
        Path("stages.toml").write_text(STAGES.replace(*change))
        done = pulley("status", "--all", "--json")
        assert done.exit_code == 1
        assert "Error: shop: " in done.stderr
        assert why in done.stderr
        stages = json.loads(done.stdout)["stages"]
        assert [one["error"] is None for one in stages] == [True, False]

    def test_target_that_is_not_well_gives_3_with_check_and_the_command_that_shows_it(
        self, sandbox: Sandbox, pulley: Pulley, connected: SecondRegion
    ) -> None:
        names = ParameterNames(SECOND)
        nobody = {**sandbox.target, "instances": {"tags": {"role": "nobody"}}}
        name = names.targets(Repository.parse(FULL_NAME))
        ssm = connected.account.ssm
        before = ssm.get_parameter(Name=name)["Parameter"]["Value"]
        ssm.put_parameter(Name=name, Value=json.dumps([nobody]), Overwrite=True)
        try:
            done = pulley("status", "--all", "--check")
            usual = pulley("status", "--all")
        finally:
            ssm.put_parameter(Name=name, Value=before, Overwrite=True)
        assert (done.exit_code, usual.exit_code) == (3, 0)
        hint = "shop: not every host is at what is wanted: pulley status --stage prod --profile us"
        assert hint in done.stderr
        assert f"{STAGE}: not every host" not in done.stderr


class TestFile:
    def test_every_problem_is_told_at_once_and_nothing_is_read(self, pulley: Pulley) -> None:
        Path("stages.toml").write_text(
            '[stags.x]\n[stages.a]\nregoin = "x"\nprofile = 3\n[stages."b c"]\n'
            '[stages.d]\nstage = "a b"\n[stages.e]\nstage = "dev"\n[stages.f]\nstage = "dev"\n'
        )
        done = pulley("status", "--all")
        assert done.exit_code == 3
        assert done.stdout == ""
        file, rule = "Error: stages.toml", f"must be {A_NAME}"
        example, keys = (
            "a file has tables like [stages.prod-eu]",
            "the keys are profile, region, stage",
        )
        assert done.stderr.splitlines() == [
            f"{file}: unknown key 'stags' (did you mean stages?); {example}",
            f"{file}: stages.a: unknown key 'regoin' (did you mean region?); {keys}",
            f"{file}: stages.a.profile: must be a profile's name, not 3",
            f"{file}: stages.'b c': its name, without `stage`, {rule}, not 'b c'",
            f"{file}: stages.d.stage: {rule}, not 'a b'",
            f"{file}: stages.f: is the same stage as stages.e",
        ]

    @pytest.mark.parametrize(
        ("text", "code", "words"),
        [
            (
                '[stages."a\\nError: b"]\nstage = "a"',
                3,
                "its name must be one line of text that a terminal can show",
            ),
            ("", 3, "stages.toml: has no stages; a file has tables like [stages.prod-eu]"),
            ("stages = 1", 3, "stages.toml: stages: must be tables like [stages.prod-eu]"),
            ("[stages]\na = 1", 3, "stages.toml: stages.a: must be a table"),
            ("x = [", 3, "stages.toml: not TOML"),
            (None, 1, "stages.toml: cannot be read: No such file or directory; docs/deploying.md"),
        ],
        ids=["two lines", "empty", "number", "no table", "not TOML", "none"],
    )
    def test_file_that_says_nothing_is_refused(
        self, pulley: Pulley, text: str | None, code: int, words: str
    ) -> None:
        if text is None:
            Path("stages.toml").unlink()
        else:
            Path("stages.toml").write_text(text)
        done = pulley("status", "--all")
        assert (done.exit_code, done.stdout) == (code, "")
        assert words in done.stderr

    def test_another_file_is_named_after_the_option(
        self, pulley: Pulley, connected: SecondRegion
    ) -> None:
        Path("stages.toml").rename("others.toml")
        assert pulley("status", "--all", "others.toml").exit_code == 0

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("web", "--all"), "--all takes no TARGET:"),
            (("--all", "--region", EU, "--live"), "--all takes no --region and no --live:"),
        ],
    )
    def test_what_the_file_says_already_is_a_wrong_command_line(
        self, pulley: Pulley, arguments: tuple[str, ...], words: str
    ) -> None:
        done = pulley("status", *arguments)
        assert done.exit_code == 2
        assert words in done.stderr
