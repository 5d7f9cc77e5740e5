"""The contract with Systems Manager: what a command contains, and what it never contains."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from chalicelib.core.commands import (
    DocumentPin,
    DocumentPinError,
    SendRequest,
    build_send_request,
    document_name,
    parse_document_pin,
)
from chalicelib.core.history import parse_roll_out
from chalicelib.core.refs import BRANCH_PATTERN, CommitSha
from chalicelib.core.targets import (
    AFTER_PULL_PATTERN,
    CHECKOUT_PATTERN,
    HEALTH_CHECK_PATTERN,
    NAME_PATTERN,
    TargetsError,
    parse_target,
)
from chalicelib.core.units import UNIT_PATTERN
from chalicelib.core.webhook import PushEvent, parse_delivery, parse_payload
from pulley.host.document import PARAMETERS
from tests.core.test_targets import GROUP, OTHER_GROUP
from tests.fakes import COMMIT, GUID, STAGE, delivery_of, push_json, target_json

NEW = {
    "Paths",
    "Clone",
    "Owner",
    "Drain",
    "BeforeRestart",
    "AfterHealthy",
    "Releases",
}  # since release 0.2.0
NASTY = "'\"$\\{}` \n\r\t\x00"


def request_for(
    *,
    deployment: int | None = None,
    pushed_at: datetime | None = None,
    by: str = "",
    cause: str = "push",
    **changes: object,
) -> SendRequest:
    target = parse_target("targets.web", target_json(**changes))
    return build_send_request(
        target,
        stage=STAGE,
        commit=CommitSha(COMMIT),
        issued=1_896_091_200_000,
        cause=cause,
        delivery=GUID,
        deployment=deployment,
        pushed_at=pushed_at,
        by=by,
    )


def request_to(
    *, update: str = "", instance_ids: tuple[str, ...] = (), attempt: int = 0, **changes: object
) -> SendRequest:
    """The request of a round."""
    return build_send_request(
        parse_target("targets.web", target_json(**changes)),
        stage=STAGE,
        commit=CommitSha(COMMIT),
        issued=1_896_091_200_000,
        cause="reconcile",
        update=update,
        instance_ids=instance_ids,
        attempt=attempt,
    )


class TestDocumentName:
    def test_name_contains_the_stage(self) -> None:
        assert document_name("prod") == "pulley-prod-pull"


class TestBuildSendRequest:
    def test_check_without_a_commit_has_an_empty_commit_parameter(self) -> None:
        target = parse_target("targets.web", target_json())
        request = build_send_request(
            target, stage=STAGE, commit=None, issued=1, cause="manual", update="check"
        )
        assert (request.parameters["Commit"], request.parameters["Update"]) == ("", "check")
        assert request.comment == "manual: check of web"
        now = datetime.now(UTC)
        assert parse_roll_out(request.parameters, request.comment, requested=now) is None

    @pytest.mark.parametrize("update", ["saved", "drop"])
    def test_command_about_a_saved_commit_is_not_a_roll_out(self, update: str) -> None:
        request = request_to(update=update)
        assert (request.parameters["Commit"], request.parameters["Update"]) == (COMMIT, update)
        assert request.comment == f"reconcile: {update} 4d5e6f7 of web"
        now = datetime.now(UTC)
        assert parse_roll_out(request.parameters, request.comment, requested=now) is None

    @pytest.mark.parametrize("method", ["rebase", "reset"])
    def test_target_with_gates_has_its_hosts_go_to_the_commit(self, method: str) -> None:
        request = request_for(checks=["test"], update=method)
        assert request.parameters["Update"] == f"{method}-to"
        assert request.comment == "push: octo/site 4d5e6f7 to web"
        assert request_to(checks=["test"], update="exact").parameters["Update"] == "exact"

    def test_target_with_tags_gives_the_stage_s_tag_and_its_tags(self) -> None:
        assert request_for() == SendRequest(
            target="web",
            document="pulley-dev-pull",
            document_pin=None,
            selectors=(("tag:pulley", ("dev",)), ("tag:role", ("web",))),
            parameters={
                "Target": "web",
                "Repository": "octo/site",
                "Checkout": "/srv/site",
                "Branch": "main",
                "Commit": COMMIT,
                "Update": "rebase",
                "AfterPull": "",
                "Restart": "",
                "HealthCheck": "",
                "Timeout": "600",
                "Issued": "1896091200000",
                "Cause": "push",
                "Delivery": GUID,
                "Deployment": "",
                "Attempt": "",
                "By": "",
                "PushedAt": "",
                "Saved": "keep",
            },
            comment="push: octo/site 4d5e6f7 to web",
            max_concurrency="50",
            max_errors="0",
            log_group="",
        )

    def test_every_setting_of_the_target_is_in_the_request(self) -> None:
        request = request_for(
            update="reset",
            after_pull="deploy/after-pull",
            restart=["site.service", "worker@1.service"],
            health_check="http://127.0.0.1:8000/health",
            max_concurrency="25%",
            max_errors=1,
            timeout=900,
            log_group="/pulley/site",
        )
        expected = {
            "Update": "reset",
            "AfterPull": "deploy/after-pull",
            "Restart": "site.service,worker@1.service",
            "HealthCheck": "http://127.0.0.1:8000/health",
            "Timeout": "900",
        }
        assert {name: request.parameters[name] for name in expected} == expected
        assert (request.max_concurrency, request.max_errors) == ("25%", "1")
        assert request.log_group == "/pulley/site"

    def test_every_document_parameter_is_passed_but_a_new_one_only_if_the_target_has_its_key(
        self,
    ) -> None:
        # SSM refuses a command with a parameter that its document lacks. A stage's document may be
        # that of release 0.2.0, without these, until `pulley setup` has moved the pin.
        assert set(request_for().parameters) == set(PARAMETERS) - NEW
        of_paths = request_for(paths=["site/**", ":!site/docs/**"]).parameters
        assert set(of_paths) == set(PARAMETERS) - NEW | {"Paths"}
        assert of_paths["Paths"] == "site/**,:!site/docs/**"
        of_clone = request_for(clone="git@github.com:octo/site.git", owner="deploy").parameters
        assert set(of_clone) == set(PARAMETERS) - NEW | {"Clone", "Owner"}
        assert of_clone["Clone"] == "git@github.com:octo/site.git"
        assert of_clone["Owner"] == "deploy"
        of_drain = request_for(
            restart=["site.service"],
            max_concurrency="25%",
            drain={"target_group": [GROUP, OTHER_GROUP]},
            before_restart="deploy/before",
            after_healthy="deploy/after",
        ).parameters
        assert set(of_drain) == set(PARAMETERS) - {"Paths", "Clone", "Owner", "Releases"}
        assert of_drain["Drain"] == f"{GROUP},{OTHER_GROUP}"
        assert re.fullmatch(PARAMETERS["Drain"], of_drain["Drain"])

    def test_release_folders_are_one_parameter(self) -> None:
        of_releases = request_for(layout="releases").parameters
        assert set(of_releases) == set(PARAMETERS) - NEW | {"Releases"}
        assert of_releases["Releases"] == "5"
        of_releases = request_for(layout="releases", keep=3, shared=["a/", ".env"]).parameters
        assert of_releases["Releases"] == "3,a/,.env"
        assert re.fullmatch(PARAMETERS["Releases"], of_releases["Releases"])

    def test_the_stage_s_own_tag_is_the_first_selector(self) -> None:
        tags = {"role": "web", "env": ["a", "b"], "a": "1", "z": "2"}
        selectors = request_for(instances={"tags": tags}).selectors
        assert selectors == (
            ("tag:pulley", ("dev",)),
            ("tag:a", ("1",)),
            ("tag:env", ("a", "b")),
            ("tag:role", ("web",)),
            ("tag:z", ("2",)),
        )
        assert len(selectors) == 5

    def test_target_with_ids_selects_these_instances(self) -> None:
        ids = ["i-0123456789abcdef0", "mi-0123456789abcdef0"]
        assert request_for(instances={"ids": ids}).selectors == (("InstanceIds", tuple(ids)),)

    def test_comment_is_cut_to_the_limit_of_ssm(self) -> None:
        repository = f"{'o' * 64}/{'r' * 100}"
        assert len(request_for(repository=repository).comment) == 100

    def test_deployment_id_is_passed(self) -> None:
        request = request_for(deployment=1_234_567)
        assert request.parameters["Deployment"] == "1234567"
        others = request_for().parameters
        assert dict(request.parameters) | {"Deployment": ""} == others

    def test_document_accepts_every_deployment_id_of_github(self) -> None:
        for deployment in (0, 1, 2**63 - 1):
            value = request_for(deployment=deployment).parameters["Deployment"]
            assert re.fullmatch(PARAMETERS["Deployment"], value)
            assert int(value) == deployment

    @pytest.mark.parametrize("update", ["exact", "check", "reset", "tag", "check-tag"])
    def test_given_update_replaces_the_target_s_update(self, update: str) -> None:
        request = request_to(update=update)
        assert dict(request.parameters) == dict(request_to().parameters) | {"Update": update}
        assert re.fullmatch(PARAMETERS["Update"], request.parameters["Update"])

    @pytest.mark.parametrize(
        "instances", [{"tags": {"role": "web"}}, {"ids": ["i-0123456789abcdef0"]}]
    )
    def test_given_instance_ids_replace_the_target_s_selectors(
        self, instances: dict[str, object]
    ) -> None:
        ids = ("i-0aaaaaaaaaaaaaaa1", "mi-0aaaaaaaaaaaaaaa2")
        request = request_to(instance_ids=ids, instances=instances)
        assert request.selectors == (("InstanceIds", ids),)
        assert request.parameters == request_to(instances=instances).parameters

    def test_document_pin_is_in_the_request(self) -> None:
        pin = DocumentPin("3", "a" * 64)
        request = build_send_request(
            parse_target("targets.web", target_json()),
            stage="prod",
            commit=CommitSha(COMMIT),
            issued=0,
            cause="manual",
            document_pin=pin,
        )
        assert request.document == "pulley-prod-pull"
        assert request.document_pin == pin
        assert request.parameters["Delivery"] == ""
        assert request.selectors[0] == ("tag:pulley", ("prod",))

    @settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
    @given(
        entry=st.fixed_dictionaries(
            {
                "name": st.from_regex(NAME_PATTERN, fullmatch=True),
                "repository": st.sampled_from(["octo/site", "Mona_corp/.github"]),
                "branch": st.from_regex(BRANCH_PATTERN, fullmatch=True),
                "instances": st.just({"tags": {"role": "web"}}),
                "checkout": st.from_regex(CHECKOUT_PATTERN, fullmatch=True),
                "update": st.sampled_from(["rebase", "reset"]),
                "after_pull": st.from_regex(AFTER_PULL_PATTERN, fullmatch=True),
                "restart": st.lists(st.from_regex(UNIT_PATTERN, fullmatch=True), max_size=3),
                "health_check": st.from_regex(HEALTH_CHECK_PATTERN, fullmatch=True),
                "timeout": st.integers(30, 172_800),
                "log_group": st.just("") | st.just("/pulley/site"),
            }
        ),
        odd=st.none()
        | st.tuples(
            st.sampled_from(["name", "branch", "checkout", "after_pull", "health_check"]),
            st.sampled_from(NASTY) | st.characters(),
            st.integers(0, 30),
        ),
        commit=st.from_regex("[0-9a-f]{40}", fullmatch=True),
        guid=st.from_regex("[0-9A-Za-z-]{0,64}", fullmatch=True),
    )
    def test_request_of_every_valid_target_has_only_harmless_values(
        self,
        entry: dict[str, object],
        odd: tuple[str, str, int] | None,
        commit: str,
        guid: str,
    ) -> None:
        if odd:
            key, character, place = odd
            value = str(entry[key])
            entry = entry | {key: value[:place] + character + value[place:]}
        try:
            target = parse_target("targets.web", entry)
        except TargetsError:
            reject()
        payload = push_json(after=commit, repository={"full_name": entry["repository"]})
        delivery = delivery_of(payload, guid=guid)
        event = parse_delivery(delivery, parse_payload(delivery))
        if not isinstance(event, PushEvent):
            reject()
        request = build_send_request(
            target,
            stage=STAGE,
            commit=event.after,
            issued=1_896_091_200_000,
            cause="push",
            delivery=delivery.id,
        )
        assert set(request.parameters) == set(PARAMETERS) - NEW
        for name, value in request.parameters.items():
            assert re.fullmatch(PARAMETERS[name], value), name
            assert not set(value) & set(NASTY), name


class TestCause:
    """The cause of a command, in parameters that the report reads and the host ignores."""

    @pytest.mark.parametrize("name", ["mona", "anna.o@example.com", "x" * 39, "dev_ops=1,2+3"])
    def test_login_is_passed_and_is_in_the_comment(self, name: str) -> None:
        request = request_for(by=name)
        assert request.parameters["By"] == name
        assert request.comment == f"push by {name}: octo/site 4d5e6f7 to web"

    def test_arn_is_passed_whole_and_its_end_is_in_the_comment(self) -> None:
        arn = f"arn:aws:sts::123456789012:assumed-role/ops/{'mona' * 16}"
        request = request_for(by=arn, cause="manual")
        assert request.parameters["By"] == arn
        assert request.comment == f"manual by {('mona' * 16)[:39]}: octo/site 4d5e6f7 to web"

    @pytest.mark.parametrize("name", ["arn:aws:iam::123456789012:user/mona", "x" * 40])
    def test_payload_of_a_push_cannot_pass_for_an_operator(self, name: str) -> None:
        assert request_for(by=name) == request_for()

    def test_bot_is_passed_without_its_suffix(self) -> None:
        request = request_for(by="octo-bot[bot]")
        assert request.parameters["By"] == "octo-bot"
        assert request.comment.startswith("push by octo-bot[bot]: ")

    @pytest.mark.parametrize(
        "name", ["", "two words", "mona: octo/site", "mona\n", "{{ssm:x}}", "ж", "[bot]"]
    )
    def test_name_that_is_no_login_is_left_out(self, name: str) -> None:
        assert request_for(by=name) == request_for()

    def test_push_time_is_passed_in_utc(self) -> None:
        pushed_at = datetime(2030, 1, 1, 9, 30, 7, tzinfo=timezone(timedelta(hours=1.5)))
        request = request_for(pushed_at=pushed_at)
        assert request.parameters["PushedAt"] == "2030-01-01T08:00:07Z"
        assert request.comment == "push at 2030-01-01T08:00:07Z: octo/site 4d5e6f7 to web"

    @pytest.mark.parametrize("attempt", range(1, 10))
    def test_attempt_is_passed_and_is_in_the_comment(self, attempt: int) -> None:
        request = request_to(attempt=attempt)
        assert request.parameters["Attempt"] == str(attempt)
        assert request.comment == f"reconcile, attempt {attempt}: octo/site 4d5e6f7 to web"
        assert request_to().comment == "reconcile: octo/site 4d5e6f7 to web"

    def test_document_accepts_the_cause_s_parameters(self) -> None:
        pushed_at = datetime(2030, 1, 1, 8, 0, 7, tzinfo=UTC)
        parameters = request_for(by="mona", pushed_at=pushed_at).parameters
        for name in ("By", "PushedAt", "Attempt"):
            assert re.fullmatch(PARAMETERS[name], parameters[name])


class TestParseDocumentPin:
    HASH = "0123456789abcdef" * 4

    @pytest.mark.parametrize("version", ["3", 3])
    def test_version_and_hash_are_read(self, version: object) -> None:
        text = json.dumps({"version": version, "hash": self.HASH, "by": "mona"})
        assert parse_document_pin(text) == DocumentPin("3", self.HASH)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{",
            "3",
            "null",
            "[]",
            '"3"',
            "{}",
            '{"version": "3"}',
            '{"hash": "x"}',
            "[" * 10_000,
        ],
    )
    def test_text_without_version_and_hash_is_refused(self, text: str) -> None:
        with pytest.raises(DocumentPinError, match="must be JSON with version and hash"):
            parse_document_pin(text)

    @pytest.mark.parametrize(
        "changes",
        [
            {"version": "$LATEST"},
            {"version": "0"},
            {"version": ""},
            {"version": "1\n"},
            {"version": None},
            {"version": True},
            {"version": "12345678901"},
            {"hash": HASH[:-1]},
            {"hash": HASH + "\n"},
            {"hash": HASH.upper()},
            {"hash": None},
            {"hash": []},
        ],
    )
    def test_invalid_version_or_hash_is_refused(self, changes: dict[str, object]) -> None:
        text = json.dumps({"version": "3", "hash": self.HASH} | changes)
        with pytest.raises(DocumentPinError, match="must have a version number and a SHA-256"):
            parse_document_pin(text)
