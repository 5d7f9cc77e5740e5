"""What the doctor says about hosts, tokens and addresses, tried without a sandbox."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest

from chalicelib.core.errors import RefusedError, UnavailableError
from chalicelib.core.history import Invocation
from chalicelib.core.hosts import Fleet, Host
from chalicelib.core.refs import CommitSha
from chalicelib.core.tags import TagGlob
from chalicelib.core.targets import Instances, Target, parse_target
from pulley.operator.doctor.checkout_state import Place
from pulley.operator.doctor.functions import check_address
from pulley.operator.doctor.hosts import (
    check_hosts,
    check_invocation,
    not_asked,
)
from pulley.operator.doctor.nodes import Node, parse_version
from pulley.operator.doctor.row import FAIL, PASS, UNKNOWN, WARN, Row, passed, rows_of
from pulley.operator.doctor.token import TokenCheck
from pulley.operator.hosts.ask import NoTagError, Question, build_check_requests
from tests.edges.scripted_server import Raw, Request, ScriptedServer, answer
from tests.fakes import STAGE, target_json

WEB = parse_target("targets.web", target_json())
TAGS = {"pulley": STAGE, "role": "web"}
ONE = Host("i-0123456789abcdef0", "web-1", TAGS)
NODE = Node(ONE.instance_id, "Online", "Linux", (3, 3, 3572, 0), datetime(2030, 1, 1, tzinfo=UTC))


def found(*, owner: str = "deploy", free_mib: int = 81_000) -> dict[str, object]:
    """The script's findings, as in its result line."""
    return {
        "would_update": False,
        "owner": owner,
        "git": "2.40.1",
        "free_mib": free_mib,
        "lfs": False,
    }


def line(outcome: str = "unchanged", detail: str = "", **changes: object) -> Invocation:
    sha = "4d5e6f7" + "0" * 33
    result = {
        "v": 1,
        "target": "web",
        "outcome": outcome,
        "before": sha,
        "after": sha,
        "upstream": sha,
        "local_commits": 0,
        "saved": None,
        "step": None,
        "detail": detail,
        "seconds": 0.1,
    }
    output = json.dumps(result | changes)
    return Invocation(ONE.instance_id, "web-1", "Success", "Success", output)


class TestRowsOf:
    def test_rows_before_an_error_are_kept_and_the_error_is_a_row(self) -> None:
        def look() -> Iterator[Row]:
            yield passed("one", "well")
            raise RefusedError("AWS refused reading the role (AccessDenied)")

        first, second = rows_of("Lambda", look)
        assert first.outcome == PASS
        assert (second.what, second.outcome, second.is_well) == ("Lambda", UNKNOWN, False)
        assert "AccessDenied" in second.words


class TestHosts:
    def rows(self, node: Node | None, host: Host = ONE, target: Target = WEB) -> list[Row]:
        nodes = {host.instance_id: node} if node else {}
        return list(check_hosts(target, Fleet([host], STAGE), nodes, [], STAGE))

    def test_online_host_with_a_new_agent_passes(self) -> None:
        assert [row.outcome for row in self.rows(NODE)] == [PASS, PASS]

    def test_host_unknown_to_systems_manager_fails(self) -> None:
        _, row = self.rows(None)
        assert row.outcome == FAIL
        assert "AmazonSSMManagedInstanceCore" in row.mend

    def test_offline_host_fails_with_the_time_of_its_last_ping(self) -> None:
        node = replace(NODE, ping="ConnectionLost")
        _, row = self.rows(node, replace(ONE, is_online=False))
        assert (row.outcome, row.words) == (
            FAIL,
            "it is offline: ConnectionLost, last heard of at 2030-01-01 00:00 UTC",
        )

    def test_host_of_another_platform_fails(self) -> None:
        _, row = self.rows(replace(NODE, platform="Windows"))
        assert row.outcome == FAIL

    @pytest.mark.parametrize(
        ("version", "outcome"),
        [("3.3.2746.0", PASS), ("3.3.2745.9", WARN), ("3.4.0.0", PASS), ("", WARN)],
    )
    def test_agent_versions_are_compared_as_numbers(self, version: str, outcome: str) -> None:
        _, row = self.rows(replace(NODE, agent=parse_version(version)))
        assert row.outcome == outcome

    def test_missing_instance_id_of_a_target_is_named(self) -> None:
        target = replace(WEB, instances=Instances(ids=("i-0000000000000000a",)))
        (row,) = self.rows(NODE, target=target)
        assert row.outcome == FAIL
        assert "i-0000000000000000a" in row.words


class TestBuildCheckRequests:
    def test_check_goes_to_all_online_hosts_and_errors_do_not_stop_it(self) -> None:
        hosts = [Host(f"i-{number:017x}", f"web-{number}", TAGS) for number in range(120)]
        asleep = replace(ONE, is_online=False)
        requests = build_check_requests(WEB, [*hosts, asleep], stage=STAGE, issued=1, document=None)
        assert [len(dict(one.selectors)["InstanceIds"]) for one in requests] == [50, 50, 20]
        assert {(one.max_errors, one.parameters["Update"]) for one in requests} == {
            ("100%", "check")
        }

    def test_drop_request_has_the_commit_and_the_operator(self) -> None:
        question = Question("drop", CommitSha("4d5e6f7" + "0" * 33), by="mona")
        (request,) = build_check_requests(
            WEB, [ONE], stage=STAGE, issued=1, document=None, question=question
        )
        assert request.parameters["Commit"] == "4d5e6f7" + "0" * 33
        assert (request.parameters["Update"], request.parameters["By"]) == ("drop", "mona")
        assert request.comment == "manual by mona: drop 4d5e6f7 of web"

    def test_request_has_the_pinned_document_version(self) -> None:
        pin = '{"version": "3", "hash": "' + "a" * 64 + '"}'
        (request,) = build_check_requests(WEB, [ONE], stage=STAGE, issued=1, document=pin)
        assert request.document_pin is not None
        assert request.document_pin.version == "3"

    def test_unreadable_document_pin_is_an_error(self) -> None:
        with pytest.raises(UnavailableError):
            build_check_requests(WEB, [ONE], stage=STAGE, issued=1, document="?")


class TestCheckInvocation:
    def row(self, invocation: Invocation) -> Row:
        (row,) = check_invocation(WEB, invocation)
        return row

    def test_healthy_host_passes_with_its_commit_owner_git_and_disk(self) -> None:
        row = self.row(line(found=found()))
        assert row.outcome == PASS
        assert row.words == "at 4d5e6f7, owner deploy, git 2.40.1, 81000 MiB free"

    @pytest.mark.parametrize(
        ("drift", "words"),
        [
            ("head", "it has drifted from aaaaaaa: somebody moved it to 4d5e6f7"),
            ("branch", "it has drifted from aaaaaaa: another branch is checked out"),
            ("files", "it has drifted from aaaaaaa: files of the commit were removed"),
        ],
    )
    def test_checkout_that_somebody_moved_has_drifted(self, drift: str, words: str) -> None:
        row = self.row(line(found=found() | {"deployed": "a" * 40, "drift": drift}))
        assert (row.outcome, row.words) == (FAIL, words)

    @pytest.mark.parametrize(
        ("place", "outcome"),
        [
            (Place(wanted="a" * 40, is_there=True), PASS),
            (Place(wanted="b" * 40, is_there=True), PASS),  # the tip is not known
            (Place(wanted="b" * 40), FAIL),
            (Place(wanted="b" * 40, held="the roll-out of bbbbbbb was cancelled"), PASS),
            (Place(), PASS),
        ],
    )
    def test_checkout_behind_the_wanted_commit_fails_unless_the_commit_is_held(
        self, place: Place, outcome: str
    ) -> None:
        said = line(found=found() | {"deployed": "a" * 40, "drift": ""})
        (row,) = check_invocation(WEB, said, place)
        assert row.outcome == outcome

    def test_checkout_without_a_deploy_passes(self) -> None:
        said = line(found=found() | {"deployed": "", "drift": ""})
        (row,) = check_invocation(WEB, said, Place(wanted="b" * 40))
        assert row.outcome == PASS

    @pytest.mark.parametrize(("free", "outcome"), [(199, FAIL), (200, WARN), (1024, PASS)])
    def test_nearly_full_disk_is_a_warning_and_full_disk_a_failure(
        self, free: int, outcome: str
    ) -> None:
        assert self.row(line(found=found(free_mib=free))).outcome == outcome

    @pytest.mark.parametrize("output", ["", "{", "not JSON", "sh: 1: git: not found"])
    def test_host_with_unreadable_output_is_unknown(self, output: str) -> None:
        row = self.row(replace(line(), output=output, details="Undeliverable"))
        assert (row.outcome, row.is_well) == (UNKNOWN, False)
        assert "Undeliverable" in row.words

    def test_host_whose_agent_refuses_the_document_fails_with_setup_as_fix(self) -> None:
        refused = replace(line(), output="", is_refused=True, trace="Branch is missing")
        row = self.row(refused)
        assert (row.outcome, row.words) == (FAIL, refused.refusal)
        assert row.mend.startswith("pulley setup")

    @pytest.mark.parametrize(
        ("outcome", "fix"),
        [
            ("no_checkout", "clone"),
            ("unreachable", "ls-remote"),
            ("missing_commit", "push the branch"),
            ("bad_parameter", "pulley setup"),
            ("broken", "docs/host.md"),
        ],
    )
    def test_each_outcome_has_its_fix(self, outcome: str, fix: str) -> None:
        row = self.row(line(outcome, "something"))
        assert row.outcome == FAIL
        assert fix in row.mend

    def test_checkout_that_a_run_will_clone_needs_a_run(self) -> None:
        target = replace(WEB, clone="git@github.com:octo/site.git", owner="deploy")
        missing = line("no_checkout", "cannot enter /srv/site", before=None, after=None)
        (row,) = check_invocation(target, missing)
        assert row.mend == "the next run clones it, as deploy: pulley deploy web"
        (row,) = check_invocation(target, line("no_checkout", "flock is not installed"))
        assert row.mend.startswith("clone the repository there")

    def test_fix_for_a_wrong_remote_is_a_complete_command(self) -> None:
        target = replace(WEB, checkout="/srv/my site")
        said = line("no_checkout", "origin is octo/other, not octo/site", fault="origin")
        (row,) = check_invocation(target, said, github="github.example.com")
        assert row.mend.startswith(
            "on the host: sudo -u \"$(stat -c %U '/srv/my site')\" git -C '/srv/my site' "
            "remote set-url origin git@github.example.com:octo/site.git. "
        )

    def test_fix_for_a_missing_remote_adds_it(self) -> None:
        row = self.row(line("no_checkout", "no remote", fault="no_origin"))
        assert "remote add origin git@github.com:octo/site.git" in row.mend

    def test_fix_for_an_old_git_is_a_newer_git(self) -> None:
        row = self.row(line("no_checkout", "git 2.17.1 is too old", fault="git_version"))
        assert row.mend == "install git 2.26 or newer on the host"

    def test_checkout_of_root_is_a_warning(self) -> None:
        assert self.row(line(found=found(owner="root"))).outcome == WARN

    def test_result_of_an_older_document_is_unknown_with_setup_as_fix(self) -> None:
        row = self.row(line(detail="nothing to do; owner deploy; git version 2.40.1"))
        assert (row.outcome, row.mend) == (UNKNOWN, "pulley setup")

    def test_refused_check_is_a_failure_with_setup_as_fix(self) -> None:
        row = not_asked(WEB, RefusedError("AWS refused the command (InvalidDocument)"))
        assert (row.outcome, row.mend) == (FAIL, "pulley setup")

    def test_target_that_was_sent_no_tag_is_a_warning(self) -> None:
        target = replace(WEB, branch=None, tag=TagGlob("v*"))
        row = not_asked(target, NoTagError("no tag was sent to web yet"))
        assert (row.outcome, row.mend) == (WARN, "push such a tag; pulley plan web shows it")
        assert row.words == "no tag that fits v* was sent yet, so its hosts were not asked"


class TestToken:
    NOW = datetime(2030, 1, 1, tzinfo=UTC)
    WELL = (200, {"full_name": "octo/site"})

    def rows(self, script: Callable[[Request], Raw], *, is_own: bool = False) -> list[Row]:
        with ScriptedServer(script) as server:
            check = TokenCheck(server.url, WEB.repository, "t0ken", [WEB], is_own)
            return rows_of(check.what, partial(check.check, now=self.NOW))

    def usual(self, request: Request) -> Raw:
        return answer({}, 422) if request.method == "POST" else answer({"name": "main"})

    def test_token_with_all_permissions_passes(self) -> None:
        (row,) = self.rows(self.usual)
        assert row.outcome == PASS

    @pytest.mark.parametrize(
        "unwell",
        [
            answer({}, 500),
            answer({}, 429),
            answer(b"<html>", 200),
            answer({"message": "API rate limit exceeded for user"}, 403),
            answer({}, 403, X_RateLimit_Remaining="0"),
            answer({}, 403, Retry_After="60"),
            answer({}, 418),
        ],
        ids=["500", "429", "no JSON", "rate limit", "no requests left", "retry after", "odd"],
    )
    @pytest.mark.parametrize("path", ["/repos/octo/site", "/deployments", "/branches", "/hooks"])
    def test_github_error_leaves_the_token_unknown(self, unwell: Raw, path: str) -> None:
        def script(request: Request) -> Raw:
            is_it = request.target.partition("?")[0].endswith(path) or (
                path == "/branches" and "/branches/" in request.target
            )
            return unwell if is_it else self.usual(request)

        row = self.rows(script)[-1]
        assert (row.outcome, row.is_well) == (UNKNOWN, False)

    def test_fix_for_a_repository_s_own_token_names_the_repository(self) -> None:
        (row,) = self.rows(lambda _request: answer({}, 401), is_own=True)
        assert row.mend.endswith("--github-token-file - --repository octo/site")
        (row,) = self.rows(lambda _request: answer({}, 401))
        assert row.mend.endswith("--github-token-file -")

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/octo/site", 401),
            ("/octo/site", 403),
            ("/octo/site", 404),
            ("/deployments", 403),
            ("/branches/main", 403),
            ("/hooks", 404),
        ],
    )
    def test_refusal_is_shown_with_github_s_reason_and_without_the_token(
        self, path: str, status: int
    ) -> None:
        said = "Resource protected by organization SAML enforcement. t0ken"

        def script(request: Request) -> Raw:
            is_it = request.target.partition("?")[0].endswith(path)
            return answer({"message": said}, status) if is_it else self.usual(request)

        (row,) = self.rows(script)
        assert row.outcome in {FAIL, WARN}
        assert "GitHub says 'Resource protected by organization SAML enforcement." in row.words
        assert "t0ken" not in row.words

    @pytest.mark.parametrize(
        ("text", "outcome", "words"),
        [
            ("2030-01-14 23:59:00 UTC", WARN, "it expires on 2030-01-14"),
            ("2030-01-15 01:59:00 +0200", WARN, "it expires on 2030-01-14"),
            ("2030-01-14 22:59:00 -0100", WARN, "it expires on 2030-01-14"),
            ("2030-01-14 23:59:00 -0200", PASS, "until 2030-01-15"),
            ("2030-02-28 12:00:00 UTC", PASS, "until 2030-02-28"),
            ("some day", PASS, "it may do what reports and rounds need"),
        ],
    )
    def test_expiry_is_read_with_its_offset(self, text: str, outcome: str, words: str) -> None:
        def script(request: Request) -> Raw:
            if request.target.endswith("/octo/site"):
                return answer({}, 200, github_authentication_token_expiration=text)
            return self.usual(request)

        (row,) = self.rows(script)
        assert (row.outcome, row.words.endswith(words)) == (outcome, True)

    def test_tags_need_the_permission_too(self) -> None:
        asked = []

        def script(request: Request) -> Raw:
            asked.append(request.target)
            is_it = request.target.endswith("/git/matching-refs/tags")
            return answer({"message": "no"}, 403) if is_it else self.usual(request)

        target = replace(WEB, branch=None, tag=TagGlob("v*"))
        with ScriptedServer(script) as server:
            check = TokenCheck(server.url, WEB.repository, "t0ken", [target], is_own=False)
            (row,) = rows_of(check.what, partial(check.check, now=self.NOW))
        assert row.outcome == FAIL
        assert "it lacks Contents: read: rounds do not know the tags" in row.words
        assert not any("/branches/" in one for one in asked)

    def test_missing_branch_is_no_missing_permission(self) -> None:
        def script(request: Request) -> Raw:
            return answer({}, 404) if "/branches/" in request.target else self.usual(request)

        (row,) = self.rows(script)
        assert row.outcome == PASS


class TestAddress:
    def row(self, url: str) -> Row:
        (row,) = check_address(url, STAGE)
        return row

    def test_unknown_address_is_a_warning(self) -> None:
        assert self.row("").outcome == WARN

    def test_unreachable_address_fails(self) -> None:
        assert self.row("http://127.0.0.1:9/github").outcome == FAIL

    def test_pulley_is_recognised_by_its_answer_to_an_unsigned_request(self) -> None:
        words = {"error": "X-Hub-Signature-256 is missing: set a secret on the webhook"}
        with ScriptedServer(lambda _request: answer(words, 401)) as server:
            assert self.row(server.url).outcome == PASS

    @pytest.mark.parametrize("status", [200, 401, 403, 404, 502])
    def test_other_answer_fails_with_its_status_and_without_escape_codes(self, status: int) -> None:
        with ScriptedServer(lambda _request: answer({"message": "\x1b[31mx"}, status)) as server:
            row = self.row(server.url)
        assert row.outcome == FAIL
        assert str(status) in row.words
        assert "\x1b" not in row.words
