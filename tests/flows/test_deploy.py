"""A deploy opens deployments on GitHub, reads the pins, and sends one command a target."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.commands import DocumentPin
from chalicelib.core.deployments import Cause, DeploymentStatus
from chalicelib.core.errors import NotTakenError, PulleyError, RefusedError, UnavailableError
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import Target, parse_target
from chalicelib.flows.deploy import Deployer, Sent
from tests.fakes import (
    COMMIT,
    GUID,
    NAMES,
    SITE,
    STAGE,
    TOKEN,
    FakeAnnouncements,
    FakeCommands,
    FakeDeployments,
    FakeJournal,
    FakeParameters,
    target_json,
)

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
DOCUMENT_PIN = json.dumps({"version": "3", "hash": "a" * 64})
GITHUB_ERRORS = [
    NotTakenError("the token is not valid"),
    NotTakenError("the token is not valid", is_known=True),
    UnavailableError("GitHub is not well", retry_seconds=2.0),
    UnavailableError("GitHub did not answer in time"),
]


def target(name: str = "web", **changes: object) -> Target:
    return parse_target(name, target_json(name, **changes))


class House:
    """A deployer between fakes: no pins, a repository with a token."""

    def __init__(self) -> None:
        self.parameters = FakeParameters()
        self.commands = FakeCommands()
        self.github = FakeDeployments()
        self.announcements = FakeAnnouncements(self.github)
        self.journal = FakeJournal()
        self.deployer = Deployer(
            stage=STAGE,
            pins=self.parameters,
            commands=self.commands,
            announcements=self.announcements,
            journal=self.journal,
        )

    def deploy(self, *names: str, token: str = TOKEN) -> Sent:
        return self.deployer.deploy([target(name) for name in names or ("web",)], cause(token))

    def pin(self, name: str, **pin: object) -> None:
        self.parameters.values[NAMES.pin(name)] = json.dumps(pin)

    @property
    def sent(self) -> list[str]:
        return [request.target for request in self.commands.sent]

    @property
    def deployment_ids(self) -> dict[str, str]:
        """The deployment id that each command got, by target."""
        return {one.target: one.parameters["Deployment"] for one in self.commands.sent}


def cause(token: str = TOKEN) -> Cause:
    return Cause(
        repository=SITE,
        commit=CommitSha(COMMIT),
        word="push",
        now=NOW,
        token=token,
        delivery=GUID,
        pushed_at=NOW - timedelta(seconds=2),
    )


@pytest.fixture
def house() -> House:
    return House()


class TestDeploy:
    def test_command_has_the_facts_of_its_cause(self, house: House) -> None:
        assert house.deploy() == Sent(sent=(("web", "command-1"),), skipped=(), failed=())
        (request,) = house.commands.sent
        assert request.document == "pulley-dev-pull"
        assert request.document_pin is None
        assert request.comment == "push at 2030-01-31T11:59:58Z: octo/site 4d5e6f7 to web"
        assert request.parameters["Commit"] == COMMIT
        assert request.parameters["Delivery"] == GUID
        assert request.parameters["Cause"] == "push"
        assert request.parameters["Issued"] == str(int(NOW.timestamp() * 1000))

    def test_pinned_document_version_is_sent(self, house: House) -> None:
        house.parameters.values[NAMES.document] = DOCUMENT_PIN
        house.deploy()
        assert house.commands.sent[0].document_pin == DocumentPin("3", "a" * 64)

    def test_one_target_s_failure_does_not_stop_the_others(self, house: House) -> None:
        refused = RefusedError("AWS refused the command to api")
        house.commands.refused["api"] = refused
        done = house.deploy("web", "api", "worker")
        assert done.sent == (("web", "command-1"), ("worker", "command-2"))
        assert done.failed == (("api", refused),)

    def test_each_target_is_noted_as_held_sent_or_failed(self, house: House) -> None:
        house.pin("api", state="frozen")
        house.commands.refused["worker"] = RefusedError("no", detail="AccessDenied")
        house.deploy("web", "api", "worker")
        facts = {"delivery": GUID, "repository": "octo/site", "commit": COMMIT, "cause": "push"}
        noted = {(one.outcome, one.level): one.facts for one in house.journal.decisions}
        assert {one.about for one in house.journal.decisions} == {"command"}
        assert noted == {
            ("held", "info"): facts | {"target": "api", "reason": "frozen"},
            ("sent", "info"): facts | {"target": "web", "command_id": "command-1"},
            ("failed", "error"): facts | {"target": "worker", "reason": "no: AccessDenied"},
        }

    def test_failure_without_a_detail_is_noted_with_its_message(self, house: House) -> None:
        house.commands.refused["web"] = UnavailableError("AWS throttles")
        house.deploy()
        (noted,) = house.journal.of("command", "failed")
        assert noted.facts["reason"] == "AWS throttles"


class TestDeployWithPins:
    def test_pinned_target_is_skipped_with_its_reason(self, house: House) -> None:
        house.pin("web", state="pinned", commit="a" * 40, reason="the release")
        assert house.deploy().skipped == (("web", "pinned at aaaaaaa: the release"),)
        assert house.sent == []

    def test_frozen_target_is_skipped_until_its_end(self, house: House) -> None:
        house.pin("web", state="frozen", until="2030-01-31T12:00:01Z")
        assert house.deploy().skipped == (("web", "frozen until 2030-01-31 12:00 UTC"),)
        assert house.sent == []

    @pytest.mark.parametrize("until", ["2030-01-31T12:00:00Z", "2030-01-31T13:00:00+01:00"])
    def test_target_with_an_expired_pin_is_sent(self, house: House, until: str) -> None:
        house.pin("web", state="frozen", until=until)
        assert house.deploy().sent == (("web", "command-1"),)

    def test_target_whose_pin_was_removed_is_sent(self, house: House) -> None:
        house.pin("web", state="none")
        assert house.deploy().sent == (("web", "command-1"),)

    def test_pin_of_another_target_has_no_effect(self, house: House) -> None:
        house.pin("api", state="frozen")
        assert house.deploy().sent == (("web", "command-1"),)

    def test_frozen_target_is_skipped_and_the_other_is_sent(self, house: House) -> None:
        house.pin("web", state="frozen")
        done = house.deploy("web", "api")
        assert done.skipped == (("web", "frozen"),)
        assert done.sent == (("api", "command-1"),)

    @pytest.mark.parametrize("text", ["", "{", '{"state": "paused"}', "[" * 10_000])
    def test_unreadable_pin_fails_only_its_target(self, house: House, text: str) -> None:
        house.parameters.values[NAMES.pin("web")] = text
        done = house.deploy("web", "api")
        assert done.sent == (("api", "command-1"),)
        ((name, error),) = done.failed
        assert name == "web"
        assert isinstance(error, UnavailableError)
        assert str(error) == "the target's stored pin is not valid"
        assert error.detail.startswith("the parameter pins/web is not valid: ")
        why = "not sent to any host: the target's stored pin is not valid"
        assert house.github.log == {7001: [DeploymentStatus("error", why)], 7002: []}

    def test_frozen_target_is_skipped_and_target_with_unreadable_pin_fails(
        self, house: House
    ) -> None:
        house.pin("web", state="frozen")
        house.parameters.values[NAMES.pin("api")] = "{"
        done = house.deploy("web", "api")
        assert done.skipped == (("web", "frozen"),)
        assert [name for name, _ in done.failed] == ["api"]
        assert house.sent == []

    def test_pins_are_read_for_every_deploy(self, house: House) -> None:
        house.deploy()
        house.pin("web", state="frozen")
        house.deploy()
        assert house.sent == ["web"]

    @pytest.mark.parametrize("text", ["", "{", '{"version": "$LATEST", "hash": ""}'])
    def test_unreadable_document_pin_sends_nothing_and_posts_an_error(
        self, house: House, text: str
    ) -> None:
        house.parameters.values[NAMES.document] = text
        reason = r"^the document's stored pin is not valid$"
        with pytest.raises(UnavailableError, match=reason) as caught:
            house.deploy()
        assert caught.value.detail.startswith("the parameter document is not valid: must ")
        why = "not sent to any host: the document's stored pin is not valid"
        assert house.sent == []
        assert house.github.log == {7001: [DeploymentStatus("error", why)]}

    @pytest.mark.parametrize("error", [RefusedError("no"), UnavailableError("not now")])
    def test_pins_error_sends_nothing_and_each_new_deployment_gets_an_error(
        self, house: House, error: PulleyError
    ) -> None:
        house.github.say(house.github.add(COMMIT).id, DeploymentStatus("success", "1 of 1 host"))
        house.parameters.error = error
        with pytest.raises(type(error)) as caught:
            house.deploy("web", "api")
        assert caught.value is error
        assert house.sent == []
        assert house.github.states(7001) == ["success"]
        assert house.github.log[7002] == [
            DeploymentStatus("error", f"not sent to any host: {error}")
        ]

    def test_pins_error_without_a_token_sends_nothing_and_github_is_not_called(
        self, house: House
    ) -> None:
        house.parameters.error = UnavailableError("not now")
        with pytest.raises(UnavailableError):
            house.deploy(token="")
        assert (house.sent, house.announcements.tokens) == ([], [])


class TestDeployWhenAPinChangesMeanwhile:
    """GitHub may be slow. A pin that is stored while it answers still counts."""

    @pytest.mark.parametrize("method", ["find", "create"])
    def test_target_frozen_while_github_is_slow_is_skipped(self, house: House, method: str) -> None:
        house.github.before = lambda called: (
            house.pin("web", state="frozen", reason="stop") if called == method else None
        )
        assert house.deploy("web", "api") == Sent(
            (("api", "command-1"),), (("web", "frozen: stop"),), ()
        )
        assert house.sent == ["api"]
        assert house.github.log == {
            7001: [DeploymentStatus("inactive", "not deployed: frozen: stop")],
            7002: [],
        }

    def test_target_unfrozen_while_github_is_slow_is_sent(self, house: House) -> None:
        house.pin("web", state="frozen")
        house.github.before = lambda _called: house.pin("web", state="none")
        assert house.deploy().sent == (("web", "command-1"),)

    def test_command_is_issued_at_the_time_before_the_pins_were_read(self, house: House) -> None:
        house.deploy()
        assert house.parameters.looked_up == ["pins"]
        assert house.commands.sent[0].parameters["Issued"] == str(int(NOW.timestamp() * 1000))


class TestDeployByHand:
    """An operator deploys a tip, or with `exact` the commit at which the target is pinned."""

    def deploy(self, house: House, update: str = "") -> Sent:
        by_hand = replace(cause(), word="manual", by="mona", update=update, pushed_at=None)
        deployer = replace(house.deployer, announcements=None)
        return deployer.deploy([target()], by_hand)

    def test_command_names_the_operator_and_github_is_not_called(self, house: House) -> None:
        assert self.deploy(house).sent == (("web", "command-1"),)
        (request,) = house.commands.sent
        assert request.comment == "manual by mona: octo/site 4d5e6f7 to web"
        assert (request.parameters["Update"], request.parameters["Deployment"]) == ("rebase", "")
        assert house.announcements.opened == []

    def test_pinned_target_gets_its_commit_with_update_exact(self, house: House) -> None:
        house.pin("web", state="pinned", commit=COMMIT)
        assert self.deploy(house, "exact").sent == (("web", "command-1"),)
        assert house.commands.sent[0].parameters["Update"] == "exact"

    def test_pinned_target_without_update_exact_is_skipped(self, house: House) -> None:
        house.pin("web", state="pinned", commit=COMMIT)
        assert self.deploy(house).skipped == (("web", "pinned at 4d5e6f7"),)
        assert house.sent == []

    @pytest.mark.parametrize(
        ("pin", "words"),
        [
            ({"state": "pinned", "commit": "a" * 40}, "pinned at aaaaaaa"),
            ({"state": "frozen", "commit": COMMIT}, "frozen at 4d5e6f7"),
        ],
    )
    def test_target_pinned_or_frozen_elsewhere_meanwhile_is_skipped(
        self, house: House, pin: dict[str, str], words: str
    ) -> None:
        house.pin("web", **pin)
        assert self.deploy(house, "exact").skipped == (("web", words),)
        assert house.sent == []

    @pytest.mark.parametrize(
        "pin",
        [{"state": "none"}, {"state": "pinned", "commit": COMMIT, "until": "2030-01-31T12:00:00Z"}],
    )
    def test_exact_deploy_fails_after_its_pin_was_removed(
        self, house: House, pin: dict[str, str]
    ) -> None:
        house.pin("web", **pin)
        ((name, error),) = self.deploy(house, "exact").failed
        assert (name, str(error)) == ("web", "it is not pinned at 4d5e6f7 any more")
        assert house.sent == []

    def test_refused_command_fails_and_github_is_not_called(self, house: House) -> None:
        refused = house.commands.refused["web"] = RefusedError("no")
        assert self.deploy(house).failed == (("web", refused),)
        assert house.github.calls == []


class TestDeployAnnounces:
    def test_each_target_gets_a_deployment_and_its_command_has_the_id(self, house: House) -> None:
        house.deployer.deploy([target("web"), target("api", environment="production")], cause())
        made = [(one.target, one.environment, one.stage) for one in house.github.made.values()]
        assert made == [("web", "web", "dev"), ("api", "production", "dev")]
        assert house.deployment_ids == {"web": "7001", "api": "7002"}

    def test_deployment_is_looked_up_before_it_is_made(self, house: House) -> None:
        house.deploy()
        assert house.github.calls == ["find", "create"]

    def test_redelivery_uses_the_existing_deployment(self, house: House) -> None:
        house.deploy()
        house.deploy()
        assert list(house.github.made) == [7001]
        assert [one.parameters["Deployment"] for one in house.commands.sent] == ["7001", "7001"]

    def test_deployment_of_another_stage_is_not_used(self, house: House) -> None:
        house.github.add(COMMIT, stage="prod")
        house.deploy()
        assert house.deployment_ids == {"web": "7002"}

    def test_deployment_whose_command_was_sent_gets_no_status(self, house: House) -> None:
        house.deploy()
        assert house.github.states(7001) == []

    def test_token_of_the_cause_is_used_for_its_repository(self, house: House) -> None:
        house.deploy()
        assert house.announcements.tokens == [(SITE, TOKEN)]

    def test_without_a_token_commands_are_sent_and_github_is_not_called(self, house: House) -> None:
        assert house.deploy(token="").sent == (("web", "command-1"),)
        assert house.announcements.tokens == []
        assert house.deployment_ids == {"web": ""}

    def test_posting_gets_the_rest_of_the_time_for_github(self, house: House) -> None:
        house.pin("web", state="frozen")
        house.announcements.takes = 0.5
        house.deploy()
        assert house.announcements.seconds == [2.0, 1.5]

    def test_posting_an_error_gets_the_rest_of_the_time_for_github(self, house: House) -> None:
        house.parameters.error = UnavailableError("not now")
        house.announcements.takes = 0.5
        with pytest.raises(UnavailableError):
            house.deploy()
        assert house.announcements.seconds == [2.0, 1.5]


class TestDeployAnnouncesSkippedTargets:
    def test_deployment_of_a_pinned_target_is_inactive_with_the_reason(self, house: House) -> None:
        house.pin("web", state="pinned", commit="a" * 40, reason="a holiday")
        house.deploy("web", "api")
        assert house.github.log == {
            7001: [DeploymentStatus("inactive", "not deployed: pinned at aaaaaaa: a holiday")],
            7002: [],  # api's, which was sent
        }
        assert house.deployment_ids == {"api": "7002"}

    def test_long_reason_with_markup_is_cut_and_plain(self, house: House) -> None:
        house.pin("web", state="frozen", reason="<b>a</b> `holiday` " * 40)
        house.deploy()
        (said,) = house.github.log[7001]
        assert said.description.startswith("not deployed: frozen: a holiday a holiday ")
        assert len(said.description) <= 140

    def test_redelivery_to_a_frozen_target_leaves_its_success(self, house: House) -> None:
        house.deploy()
        house.github.say(7001, DeploymentStatus("success", "1 of 1 host"))
        house.pin("web", state="frozen")
        house.deploy()
        assert house.github.states(7001) == ["success"]
        assert list(house.github.made) == [7001]

    def test_redelivery_of_a_skipped_commit_posts_no_second_status(self, house: House) -> None:
        house.pin("web", state="frozen")
        house.deploy()
        house.deploy()
        assert house.github.states(7001) == ["inactive"]

    def test_target_pinned_at_the_pushed_commit_gets_no_status(self, house: House) -> None:
        house.pin("web", state="pinned", commit=COMMIT)
        assert house.deploy().skipped == (("web", "pinned at 4d5e6f7"),)
        assert house.github.log == {7001: []}

    def test_target_frozen_at_the_pushed_commit_gets_inactive(self, house: House) -> None:
        house.pin("web", state="frozen", commit=COMMIT)
        house.deploy()
        assert house.github.states(7001) == ["inactive"]

    def test_without_a_token_github_is_not_called(self, house: House) -> None:
        house.pin("web", state="frozen")
        assert house.deploy(token="").skipped == (("web", "frozen"),)
        assert house.announcements.tokens == []

    @pytest.mark.parametrize("error", GITHUB_ERRORS)
    def test_failure_of_github_does_not_change_the_outcome(
        self, house: House, error: PulleyError
    ) -> None:
        house.pin("web", state="frozen")
        house.announcements.error = error
        assert house.deploy("web", "api") == Sent((("api", "command-1"),), (("web", "frozen"),), ())

    def test_status_that_could_not_be_posted_is_noted(self, house: House) -> None:
        house.pin("web", state="frozen")
        house.announcements.post_error = UnavailableError("GitHub is not well")
        house.deploy()
        (noted,) = house.journal.of("deployment", "not_reported")
        assert (noted.facts["target"], noted.facts["reason"]) == ("web", "GitHub is not well")


class TestDeployWhenGitHubFails:
    @pytest.mark.parametrize("error", GITHUB_ERRORS)
    def test_commands_are_sent_without_a_deployment(self, house: House, error: PulleyError) -> None:
        without = House()
        without.deploy("web", "api", token="")
        house.announcements.error = error
        done = house.deploy("web", "api")
        assert done == Sent((("web", "command-1"), ("api", "command-2")), (), ())
        assert house.commands.sent == without.commands.sent

    @pytest.mark.parametrize("error", GITHUB_ERRORS)
    def test_target_without_a_deployment_does_not_get_that_of_another(
        self, house: House, error: PulleyError
    ) -> None:
        house.announcements.refused["web"] = error
        house.deploy("web", "api")
        assert house.deployment_ids == {"web": "", "api": "7001"}

    @pytest.mark.parametrize(
        ("error", "reason"),
        [
            (
                UnavailableError("GitHub is not well", detail="POST: 502"),
                "GitHub is not well: POST: 502",
            ),
            (UnavailableError("GitHub did not answer in time"), "GitHub did not answer in time"),
            (NotTakenError("the token is not valid"), "the token is not valid"),
        ],
    )
    def test_deployment_that_could_not_be_made_is_noted(
        self, house: House, error: PulleyError, reason: str
    ) -> None:
        house.announcements.error = error
        house.deploy()
        (noted,) = house.journal.of("deployment", "not_made")
        assert noted.level == "warning"
        assert (noted.facts["target"], noted.facts["reason"]) == ("web", reason)

    def test_known_refusal_is_not_noted_again(self, house: House) -> None:
        house.announcements.error = NotTakenError("the token is not valid", is_known=True)
        house.deploy()
        assert house.journal.lines == [("command", "sent")]


class TestDeployWhenSendingFails:
    def test_new_deployment_gets_an_error_with_the_reason(self, house: House) -> None:
        house.commands.refused["web"] = RefusedError("AWS refused the command to web")
        house.deploy()
        why = "not sent to any host: AWS refused the command to web"
        assert house.github.log == {7001: [DeploymentStatus("error", why)]}

    def test_detail_for_the_operator_is_not_posted_to_github(self, house: House) -> None:
        house.commands.refused["web"] = RefusedError("no", detail="arn:aws:iam::123456789012:x")
        house.deploy()
        assert house.github.log[7001][0].description == "not sent to any host: no"

    def test_existing_deployment_keeps_its_status(self, house: House) -> None:
        house.deploy()
        house.github.say(7001, DeploymentStatus("success", "1 of 1 host"))
        house.commands.refused["web"] = RefusedError("no")
        house.deploy()
        assert house.github.states(7001) == ["success"]

    def test_only_the_failed_target_gets_an_error(self, house: House) -> None:
        house.commands.refused["api"] = RefusedError("no")
        house.deploy("web", "api")
        assert (house.github.states(7001), house.github.states(7002)) == ([], ["error"])

    def test_failed_target_without_a_deployment_posts_nothing(self, house: House) -> None:
        house.announcements.refused["web"] = UnavailableError("not now")
        house.commands.refused["web"] = RefusedError("no")
        done = house.deploy()
        assert [name for name, _ in done.failed] == ["web"]
        assert len(house.announcements.tokens) == 1

    @pytest.mark.parametrize("error", GITHUB_ERRORS)
    def test_failure_of_github_after_opening_does_not_change_the_outcome(
        self, house: House, error: PulleyError
    ) -> None:
        refused = RefusedError("no")
        house.commands.refused["web"] = refused
        # GitHub answers the opening, and fails afterwards.
        house.github.before = lambda method: setattr(house.announcements, "error", error)
        done = house.deploy("web", "api")
        assert done.failed == (("web", refused),)

    def test_error_status_that_could_not_be_posted_is_noted(self, house: House) -> None:
        house.commands.refused["web"] = RefusedError("no")
        house.github.before = lambda method: setattr(
            house.announcements, "error", UnavailableError("GitHub is not well", detail="502")
        )
        house.deploy()
        (noted,) = house.journal.of("deployment", "not_reported")
        assert (noted.level, noted.facts["target"]) == ("warning", "web")
        assert noted.facts["reason"] == "GitHub is not well: 502"


class TestDeployKeepsTheToken:
    @pytest.mark.parametrize("error", [None, *GITHUB_ERRORS])
    def test_token_is_not_in_decisions_outcome_or_commands(
        self, house: House, error: PulleyError | None
    ) -> None:
        house.announcements.error = error
        house.commands.refused["api"] = RefusedError("no")
        done = house.deploy("web", "api")
        assert house.announcements.tokens[0] == (SITE, TOKEN)
        assert TOKEN not in repr(house.journal.decisions) + repr(done) + repr(house.commands.sent)

    def test_token_is_not_in_the_cause_s_repr(self) -> None:
        assert cause().token == TOKEN
        assert TOKEN not in repr(cause())
