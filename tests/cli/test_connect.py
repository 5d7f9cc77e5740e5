"""`pulley connect` makes, corrects and pings a repository's webhook, or prints its settings."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from chalicelib.core.stored import ParameterNames
from pulley.sandbox.github.hooks import HookConfig, HostedHook
from pulley.sandbox.sandbox import FULL_NAME, STAGE, Sandbox
from tests.cli.conftest import NAMES, Pulley, json_of, stored
from tests.fakes import SITE


def hook_of(sandbox: Sandbox) -> HostedHook:
    (hook,) = sandbox.github.hooks(FULL_NAME)
    return hook


@pytest.fixture(autouse=True)
def restore_webhook(sandbox: Sandbox) -> Iterator[None]:
    yield
    wanted = HookConfig(sandbox.webhook.url, "json", sandbox.secret.decode())
    for hook in sandbox.github.hooks(FULL_NAME)[1:]:
        sandbox.github._hooks[FULL_NAME].delete(hook.id)
    for hook in sandbox.github.hooks(FULL_NAME):
        hook.config, hook.events, hook.active = wanted, ("push",), True
    if not sandbox.github.hooks(FULL_NAME):
        sandbox.github.add_hook(FULL_NAME, wanted.url, secret=wanted.secret)
    sandbox.github.permissions["webhooks"] = "write"


class TestConnect:
    def test_missing_webhook_is_made_with_all_settings_and_its_ping_succeeds(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        sandbox.github._hooks[FULL_NAME].delete(hook_of(sandbox).id)
        done = pulley("connect", "octo/site", "--yes")
        assert done.exit_code == 0, done.stderr
        hook = hook_of(sandbox)
        assert hook.config == HookConfig(sandbox.webhook.url, "json", sandbox.secret.decode(), "0")
        assert (hook.events, hook.active) == (("push",), True)
        assert "was made" in done.stdout
        assert "GitHub's ping was answered 200" in done.stdout
        assert "signed with the newest secret" in done.stdout
        assert "Push to octo/site, and see: pulley status" in done.stdout
        assert sandbox.secret.decode() not in done.output
        assert sandbox.token not in done.output

    def test_correct_webhook_is_only_pinged(self, sandbox: Sandbox, pulley: Pulley) -> None:
        before, asked = hook_of(sandbox).updated_at, len(sandbox.github.requests)
        done = pulley("connect", "octo/site")
        assert done.exit_code == 0
        assert "left as it is" in done.stdout
        assert "Push to" not in done.stdout
        assert hook_of(sandbox).updated_at == before
        changes = [one for one in sandbox.github.requests[asked:] if one.method != "GET"]
        assert [one.path.rpartition("/")[2] for one in changes] == ["pings"]

    def test_setup_names_the_webhook_among_the_next_steps_only_if_it_is_not_right(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        right = json_of(pulley("setup", "--yes", "--json"))
        assert right["next"] == ["pulley doctor"]
        hook_of(sandbox).active = False
        wrong = json_of(pulley("setup", "--yes", "--json"))
        assert wrong["next"] == ["pulley connect octo/site", "pulley doctor"]
        sandbox.github.permissions["webhooks"] = ""
        unknown = json_of(pulley("setup", "--yes", "--json"))
        assert unknown["next"] == wrong["next"]

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"events": ("push", "issues")}, "events: push, issues -> push"),
            ({"active": False}, "active: no -> yes"),
            ({"content_type": "form"}, "content type: form -> json"),
            ({"insecure_ssl": "1"}, "check of the certificate: off -> on"),
            ({"secret": ""}, "secret: none -> set"),
        ],
    )
    def test_setting_that_differs_is_shown_and_corrected_after_a_yes(
        self, sandbox: Sandbox, pulley: Pulley, change: dict[str, object], words: str
    ) -> None:
        hook = hook_of(sandbox)
        wanted = hook.config
        for name, value in change.items():
            if hasattr(hook, name):
                setattr(hook, name, value)
            else:
                hook.config = replace(hook.config, **{name: str(value)})
        asked = pulley("connect", "octo/site")
        assert (asked.exit_code, words in asked.stderr) == (4, True)
        found = json_of(pulley("connect", "octo/site", "--yes", "--json"))
        assert (found["action"], found["differences"]) == ("updated", [words])
        assert found["stage"] == STAGE
        assert found["ping"]["code"] == 200
        hook = hook_of(sandbox)
        assert (hook.config, hook.events, hook.active) == (wanted, ("push",), True)

    def test_ping_detects_another_secret_and_force_sets_the_stored_secret(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        hook_of(sandbox).config = replace(hook_of(sandbox).config, secret="another")
        done = pulley("connect", "octo/site")
        assert done.exit_code == 3
        assert "GitHub's ping was answered 401" in done.stderr
        assert "the signature does not match" in done.stderr
        assert "pulley connect octo/site --force sets it" in done.stderr
        assert pulley("connect", "octo/site", "--force", "--yes").exit_code == 0
        assert hook_of(sandbox).config.secret == sandbox.secret.decode()

    def test_webhook_signed_with_another_stage_s_secret_is_not_changed(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        name = ParameterNames("prod").webhook_secret
        where = ("--stage", "prod", "--url", sandbox.webhook.url)
        environ = {"GITHUB_TOKEN": sandbox.token}
        with stored(sandbox, name, "prod's", secret=True):
            for more in ((), ("--force", "--yes")):
                done = pulley("connect", "octo/site", *where, *more, environ=environ)
                assert done.exit_code == 1
                assert f"is opened by {NAMES.webhook_secret}, and not by {name}" in done.stderr
        assert hook_of(sandbox).config.secret == sandbox.secret.decode()

    def test_webhook_url_in_the_environment_is_not_used_for_another_stage(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        done = pulley("connect", "octo/site", "--stage", "prod", "--force", "--yes")
        assert (done.exit_code, "the webhook's address is not known here" in done.stderr) == (
            2,
            True,
        )

    def test_repository_s_own_secret_is_set_if_it_is_stored(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        own = NAMES.repository_webhook_secret(SITE)
        with stored(sandbox, own, "own-new\nown-old", secret=True):
            done = pulley("connect", "octo/site", "--force", "--yes")
        assert done.exit_code == 0, done.stderr
        assert hook_of(sandbox).config.secret == "own-new"

    def test_unreachable_address_is_reported_with_a_hint(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        nowhere = "http://127.0.0.1:9/github"
        done = pulley("connect", "octo/site", "--url", nowhere, "--yes")
        assert done.exit_code == 3
        assert "another webhook of octo/site posts to" in done.stderr
        assert "GitHub's ping was not answered: failed to connect to host" in done.stderr
        assert "can GitHub reach the address?" in done.stderr
        assert [one.url for one in sandbox.github.hooks(FULL_NAME)][1:] == [nowhere]


class TestByHand:
    def test_without_a_token_the_settings_are_printed_and_the_secret_is_not(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        with stored(sandbox, NAMES.github_token, None):
            done = pulley("connect", "octo/site")
        assert done.exit_code == 0
        assert "There is no token for GitHub" in done.stderr
        assert sandbox.webhook.url in done.stdout
        assert f"--name {NAMES.webhook_secret} " in done.stdout
        assert "Just the push event" in done.stdout
        assert sandbox.secret.decode() not in done.output

    def test_missing_permission_is_named_and_the_settings_are_printed(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        sandbox.github.permissions["webhooks"] = "read"
        done = pulley("connect", "octo/site", "--force", "--yes")
        assert done.exit_code == 1
        assert "the token needs the permission Webhooks: write" in done.stderr
        assert f"The token was the one in {NAMES.github_token}." in done.stderr
        assert "Just the push event" in done.stdout

    def test_token_of_the_environment_comes_first_and_is_not_shown(self, pulley: Pulley) -> None:
        done = pulley("connect", "octo/site", environ={"GITHUB_TOKEN": "ghp_not_valid"})
        assert done.exit_code == 1
        assert "the token is not valid, or has expired" in done.stderr
        assert "The token was the one in GITHUB_TOKEN." in done.stderr
        assert "ghp_not_valid" not in done.output

    def test_print_only_sends_no_request_to_github(self, sandbox: Sandbox, pulley: Pulley) -> None:
        asked = len(sandbox.github.requests)
        found = json_of(pulley("connect", "octo/site", "--print-only", "--json"))
        assert found["settings"]["Payload URL"] == sandbox.webhook.url
        assert len(sandbox.github.requests) == asked


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("octo/site", "--url", "http://example.com/github"), "must be https"),
            (("octo/site", "--url", "https://example.com/"), "end in /github"),
        ],
    )
    def test_invalid_url_is_refused(
        self, pulley: Pulley, arguments: tuple[str, ...], words: str
    ) -> None:
        done = pulley("connect", *arguments)
        assert (done.exit_code, words in done.stderr) == (2, True)

    def test_repository_defaults_to_the_clone_s_and_is_required_outside_a_clone(
        self, sandbox: Sandbox, pulley: Pulley, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(sandbox.developer.working_dir)
        assert json_of(pulley("connect", "--json"))["repository"] == "octo/site"
        monkeypatch.chdir("/")
        done = pulley("connect")
        assert (done.exit_code, "name OWNER/REPO" in done.stderr) == (2, True)

    def test_repository_without_targets_causes_a_warning(self, pulley: Pulley) -> None:
        done = pulley("connect", "octo/other", "--print-only")
        assert "no target of octo/other is stored yet" in done.stderr
        assert done.exit_code == 0

    def test_missing_secret_is_an_error_that_names_setup(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        with stored(sandbox, NAMES.repository_webhook_secret(SITE), " ", secret=True):
            done = pulley("connect", "octo/site", "--yes")
        assert (done.exit_code, "run pulley setup first" in done.stderr) == (1, True)
