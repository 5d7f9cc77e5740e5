"""Which targets and which commit a deploy chooses."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chalicelib.core.errors import UnavailableError
from chalicelib.core.history import RollOut, Run
from chalicelib.core.pins import Pin
from chalicelib.core.refs import Branch, CommitSha, Repository
from chalicelib.core.targets import Target, parse_target
from chalicelib.core.wanted import TargetFacts, Wanted
from pulley.operator.deploy.choose import (
    NotDeployableError,
    UnclearError,
    choose_commit,
    choose_targets,
)
from pulley.operator.stage.checkout import Here
from pulley.operator.stage.stage import StoredTargets
from tests.fakes import SITE, target_json
from tests.flows.runs import command_of

A, B, C = (CommitSha(digit * 40) for digit in "abc")
NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)


def target(name: str = "web", branch: str = "main") -> Target:
    return parse_target(name, target_json(name, branch=branch))


def stored(*targets: Target, problems: tuple[str, ...] = ()) -> StoredTargets:
    return StoredTargets(targets, problems, {})


def here(branch: str | None = "main", repository: Repository = SITE) -> Here:
    return Here(repository, Branch(branch) if branch else None, A, Path("/nowhere"))


class TestRequested:
    """A target with `trigger = "deployment"`, which was asked for B; the branch is at A."""

    def facts(self, *asked: CommitSha) -> TargetFacts:
        web = parse_target("web", target_json(trigger="deployment"))
        runs = [Run(command_of(one.sha, place), ()) for place, one in enumerate(asked, 1)]
        return TargetFacts(web, (), runs, A, commits=[A, B, C])

    def test_deploy_sends_again_what_was_asked_for_last(self) -> None:
        chosen = choose_commit(self.facts(A, B), None, now=NOW)
        assert chosen == Wanted(B, "rebase-to", "it was asked for last")

    def test_deploy_without_a_request_is_refused_with_what_is_waited_for(self) -> None:
        words = "no commit has passed the gates of web: it waits for a GitHub deployment of its"
        with pytest.raises(NotDeployableError, match=words):
            choose_commit(self.facts(), None, now=NOW)

    def test_deploy_of_another_commit_is_refused(self) -> None:
        with pytest.raises(NotDeployableError, match=f"{A.short} has not passed the gates"):
            choose_commit(self.facts(B), A, now=NOW)

    def test_now_passes_the_gate(self) -> None:
        chosen = choose_commit(self.facts(B), None, now=NOW, skips_gates=True)
        assert chosen == Wanted(A, "rebase-to", "it is the branch's tip")


class TestChooseTargets:
    def test_name_selects_its_target_in_any_folder(self) -> None:
        web, api = target("web"), target("api", "next")
        assert choose_targets(stored(api, web), "api", here("main")) == (api,)

    def test_unknown_name_is_refused_with_the_existing_names(self) -> None:
        with pytest.raises(UnavailableError, match="there is no target job; there is api, web"):
            choose_targets(stored(target("api"), target("web")), "job", None)

    def test_unknown_name_is_refused_with_the_nearest_name(self) -> None:
        words = r"there is no target wbe \(did you mean web\?\); there is api, web"
        with pytest.raises(UnavailableError, match=words):
            choose_targets(stored(target("api"), target("web")), "wbe", None)

    def test_without_a_name_all_targets_of_the_clone_s_branch_are_chosen(self) -> None:
        web, api, job = target("web"), target("api"), target("job", "next")
        assert choose_targets(stored(api, job, web), None, here("main")) == (api, web)

    @pytest.mark.parametrize(
        "where", [None, here("other"), here(None), here("main", Repository("octo", "b"))]
    )
    def test_outside_a_followed_branch_the_only_target_is_chosen(self, where: Here | None) -> None:
        assert choose_targets(stored(target()), None, where) == (target(),)

    @pytest.mark.parametrize(
        "where", [None, here("other"), here(None), here("main", Repository("octo", "b"))]
    )
    def test_outside_a_followed_branch_several_targets_must_be_named(
        self, where: Here | None
    ) -> None:
        with pytest.raises(UnclearError, match="there is api, web"):
            choose_targets(stored(target("api"), target("web")), None, where)

    def test_without_a_valid_target_the_error_has_the_problems(self) -> None:
        for name in (None, "web"):
            with pytest.raises(UnavailableError) as caught:
                choose_targets(stored(problems=("octo/site: bad",)), name, here())
            assert str(caught.value).startswith("stored targets are not valid, and not used: octo/")
            assert "octo/site: bad. Correct them in pulley.toml" in str(caught.value)

    @pytest.mark.parametrize("name", [None, "web"])
    def test_without_stored_targets_the_error_names_targets_apply(self, name: str | None) -> None:
        with pytest.raises(UnavailableError, match="pulley targets apply"):
            choose_targets(stored(), name, here())


def asked_before(commit: CommitSha) -> RollOut:
    return RollOut("web", SITE, commit, 1, "push", "", None, "600", None)


def facts(
    *, head: CommitSha | None = None, pin: Pin | None = None, newest: CommitSha | None = None
) -> TargetFacts:
    roll_outs = (asked_before(newest),) if newest else ()
    return TargetFacts(target(), (), (), head, pin, roll_outs)


class TestChooseCommit:
    def test_branch_s_tip_is_chosen(self) -> None:
        wanted = choose_commit(facts(head=A, newest=B), None, now=NOW)
        assert wanted == Wanted(A, "rebase", "it is the branch's tip")

    def test_without_a_known_tip_the_newest_sent_commit_is_chosen(self) -> None:
        assert choose_commit(facts(newest=B), None, now=NOW).commit == B

    def test_without_any_known_commit_the_error_says_what_to_do(self) -> None:
        with pytest.raises(NotDeployableError, match=r"push to its branch main, .* with --commit"):
            choose_commit(facts(), None, now=NOW)

    def test_tip_may_be_given(self) -> None:
        wanted = choose_commit(facts(head=A), A, now=NOW)
        assert wanted == Wanted(A, "rebase", "it is the branch's tip")

    def test_without_a_known_tip_any_commit_may_be_given(self) -> None:
        wanted = choose_commit(facts(newest=B), C, now=NOW)
        assert wanted == Wanted(C, "rebase", "you asked for it")

    def test_commit_that_is_not_the_tip_is_refused_with_the_alternatives(self) -> None:
        with pytest.raises(NotDeployableError) as caught:
            choose_commit(facts(head=A), B, now=NOW)
        for way in ("main, which is aaaaaaa", "pulley pin web bbbbbbb", "pulley rollback web"):
            assert way in str(caught.value)

    def test_pinned_target_gets_exactly_the_pinned_commit(self) -> None:
        wanted = choose_commit(facts(head=A, pin=Pin("pinned", B)), None, now=NOW)
        assert (wanted.commit, wanted.is_exact) == (B, True)

    def test_pinned_commit_may_be_given(self) -> None:
        assert choose_commit(facts(head=A, pin=Pin("pinned", B)), B, now=NOW).is_exact

    def test_commit_other_than_the_pinned_is_refused_even_the_tip(self) -> None:
        with pytest.raises(NotDeployableError, match=r"web is pinned at bbbbbbb.*pulley unpin web"):
            choose_commit(facts(head=A, pin=Pin("pinned", B)), A, now=NOW)

    @pytest.mark.parametrize("asked", [None, A])
    def test_frozen_target_is_refused_with_the_reason(self, asked: CommitSha | None) -> None:
        frozen = Pin("frozen", reason="a holiday")
        with pytest.raises(NotDeployableError, match=r"frozen: a holiday.*pulley unpin web"):
            choose_commit(facts(head=A, pin=frozen), asked, now=NOW)

    def test_expired_pin_is_ignored(self) -> None:
        past = Pin("frozen", until=NOW - timedelta(seconds=1))
        assert choose_commit(facts(head=A, pin=past), None, now=NOW).commit == A
        with pytest.raises(NotDeployableError, match="is not the tip of main"):
            choose_commit(facts(head=A, pin=past), B, now=NOW)
