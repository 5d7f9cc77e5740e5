"""Targets that follow tags: what an operator may write, which commit is wanted, what is sent."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.core.commands import build_send_request
from chalicelib.core.history import RollOut, parse_roll_out
from chalicelib.core.holds import CANCELLED, Hold
from chalicelib.core.hosts import Host
from chalicelib.core.pins import Pin
from chalicelib.core.plan import SEND, plan_target
from chalicelib.core.refs import CommitSha
from chalicelib.core.tags import TaggedCommit, TagGlob
from chalicelib.core.targets import Target, TargetsError, match_targets, parse_target
from chalicelib.core.wanted import (
    TargetFacts,
    Wanted,
    newest_asked,
    newest_tag,
    tag_sent_last,
    wanted_of,
)
from tests.facts import ROLL_OUT
from tests.fakes import target_json

A, B, C = (CommitSha(digit * 40) for digit in "abc")
NOW = datetime(2030, 1, 1, 8, tzinfo=UTC)


def tag_json(tag: object = "v*", **changes: object) -> dict[str, object]:
    """A stored target that follows tags."""
    entry = target_json(tag=tag) | changes
    del entry["branch"]
    return entry


def target_of(tag: str = "v*", **changes: object) -> Target:
    return parse_target("targets.web", tag_json(tag, **changes))


def problems_of(entry: object) -> Sequence[str]:
    with pytest.raises(TargetsError) as caught:
        parse_target("targets.web", entry)
    return caught.value.problems


def asked(
    commit: CommitSha,
    tag: str,
    minute: int,
    *,
    update: str = "tag",
    cause: str = "push",
    pushed_at: datetime | None = None,
) -> RollOut:
    issued = int((NOW + timedelta(minutes=minute)).timestamp() * 1000)
    return replace(
        ROLL_OUT,
        commit=commit,
        branch=tag,
        issued=issued,
        update=update,
        cause=cause,
        pushed_at=pushed_at,
    )


def facts_of(
    *sent: RollOut,
    target: Target | None = None,
    **changes: Any,  # noqa: ANN401 - fields of TargetFacts
) -> TargetFacts:
    facts = TargetFacts(target=target or target_of(), hosts=(), runs=(), asked=sent)
    return replace(facts, **changes)


class TestParse:
    def test_tag_stands_in_place_of_a_branch(self) -> None:
        target = target_of("release/*", releases=True)
        assert (target.branch, target.tag) == (None, TagGlob("release/*"))
        assert target.releases is True
        assert target_of().releases is False

    def test_branch_and_tag_are_refused_together(self) -> None:
        assert problems_of(target_json(tag="v*")) == (
            "targets.web.tag: must not stand beside branch: a target follows one of them",
        )

    def test_neither_is_refused(self) -> None:
        entry = target_json()
        del entry["branch"]
        assert problems_of(entry) == ("targets.web.branch: is missing (or tag, like v*)",)

    def test_update_is_for_a_branch(self) -> None:
        assert problems_of(tag_json(update="reset")) == (
            "targets.web.update: is for a branch: hosts go to the tag's commit, detached",
        )

    @pytest.mark.parametrize("releases", [True, False])
    def test_releases_need_a_tag(self, *, releases: bool) -> None:
        assert problems_of(target_json(releases=releases)) == (
            "targets.web.releases: needs tag, like v*",
        )

    def test_all_problems_are_reported_at_once(self) -> None:
        entry = target_json(tag="v[1]", update="merge", releases="yes", soak="1m")
        assert [one.partition(": ")[0] for one in problems_of(entry)] == [
            "targets.web.tag",
            "targets.web.update",
            "targets.web.releases",
            "targets.web.tag",
            "targets.web.update",
        ]

    def test_problems_of_tags_and_gates_are_reported_at_once(self) -> None:
        entry = target_json(tag="v*", soak="1m")
        assert [one.partition(": ")[0] for one in problems_of(entry)] == [
            "targets.web.tag",
            "targets.web.soak",
        ]

    @pytest.mark.parametrize("tag", ["", "v[0-9]", 1, None, ["v*"], "refs/tags/v*", "-v"])
    def test_pattern_that_is_none_is_refused(self, tag: object) -> None:
        (problem,) = problems_of(tag_json(tag))
        assert problem.startswith("targets.web.tag: must be ")

    @pytest.mark.parametrize("releases", ["yes", 1, 0, None, "true", []])
    def test_releases_must_be_true_or_false(self, releases: object) -> None:
        (problem,) = problems_of(tag_json(releases=releases))
        assert problem == f"targets.web.releases: must be true or false, not {releases!r}"


class TestTarget:
    def test_line_says_what_it_follows(self) -> None:
        branch = parse_target("", target_json())
        lines = [one.line for one in (branch, target_of(), target_of(releases=True))]
        assert lines == ["branch main", "tag v*", "released tag v*"]

    def test_pushed_tag_waits_for_a_round_or_for_gates(self) -> None:
        assert target_of().waits_for == "a round, which takes the highest version of v*"
        gated = target_of(after=["staging"])
        assert gated.waits_for == str(gated.gates)
        assert parse_target("", target_json()).waits_for == ""

    def test_rounds_decide_and_ask_github(self) -> None:
        manual = target_of(trigger="manual")
        branch = parse_target("", target_json())
        found = [
            (one.is_decided_by_rounds, one.needs_github) for one in (target_of(), manual, branch)
        ]
        assert found == [(True, True), (True, False), (False, False)]

    def test_hosts_go_to_the_tags_commit(self) -> None:
        assert target_of().sent_update == "tag"
        assert target_of(after=["staging"]).sent_update == "tag-to"
        assert target_of(trigger="manual").sent_update == "tag-to"

    def test_tag_and_branch_of_one_name_are_never_confused(self) -> None:
        of_tag, of_pattern = target_of("v1"), target_of("v*")
        of_branch = parse_target("", target_json(branch="v1"))
        targets = [of_tag, of_pattern, of_branch]
        assert match_targets(targets, "refs/tags/v1") == (of_tag, of_pattern)
        assert match_targets(targets, "refs/heads/v1") == (of_branch,)
        assert match_targets(targets, "v1") == ()

    def test_target_without_a_line_follows_nothing(self) -> None:
        assert not replace(target_of(), tag=None).follows("refs/tags/v1")


class TestGates:
    """A host of a target with gates must not go where its tag was moved since."""

    def test_commit_that_passed_is_wanted_and_not_what_the_tag_points_at_now(self) -> None:
        facts = facts_of(
            asked(A, "v1", 1, update="tag-to"),
            target=target_of(after=["staging"]),
            tags=[TaggedCommit("v1", B)],
        )
        wanted = wanted_of(facts, now=NOW)
        assert wanted == Wanted(A, "tag-to", "it is v1", tag="v1")
        assert wanted.stops_at_commit

    def test_tags_sent_with_and_without_gates_count(self) -> None:
        facts = facts_of(asked(A, "v1.0", 1, update="tag-to"), asked(B, "v1.1", 2))
        assert newest_tag(facts) == TaggedCommit("v1.1", B)
        newest = asked(C, "v1.2", 3, update="tag-to")
        assert newest_tag(facts_of(*facts.asked, newest)) == TaggedCommit("v1.2", C)
        assert tag_sent_last(target_of(), [*facts.asked, newest]) == "v1.2"

    def test_its_command_is_read_back(self) -> None:
        request = build_send_request(
            target_of(checks=["test"]), stage="dev", commit=A, issued=1, cause="push", tag="v1"
        )
        assert request.parameters["Update"] == "tag-to"
        read = parse_roll_out(request.parameters, request.comment, requested=NOW)
        assert read is not None
        assert read.stops_at_commit


class TestCommand:
    def test_tag_is_sent_as_the_branch_and_read_back(self) -> None:
        request = build_send_request(
            target_of(), stage="dev", commit=A, issued=1, cause="push", tag="v1.0"
        )
        parameters = request.parameters
        assert (parameters["Branch"], parameters["Update"]) == ("v1.0", "tag")
        read = parse_roll_out(parameters, request.comment, requested=NOW)
        assert read is not None
        assert (read.branch, read.update, read.commit) == ("v1.0", "tag", A)
        assert read.stops_at_commit
        assert not read.is_exact

    def test_branch_is_sent_even_if_a_tag_is_given(self) -> None:
        request = build_send_request(
            parse_target("", target_json()), stage="dev", commit=A, issued=1, cause="push", tag="v1"
        )
        assert request.parameters["Branch"] == "main"


class TestNewestTag:
    def test_none_is_known_at_first(self) -> None:
        assert newest_tag(facts_of()) is None

    def test_tag_requested_last_counts(self) -> None:
        facts = facts_of(asked(A, "v1.0", 1), asked(B, "v1.1", 2))
        assert newest_tag(facts) == TaggedCommit("v1.1", B)

    def test_repeat_by_a_round_requests_nothing(self) -> None:
        facts = facts_of(
            asked(A, "v1.0", 1), asked(B, "v1.1", 2), asked(A, "v1.0", 3, cause="reconcile")
        )
        assert newest_tag(facts) == TaggedCommit("v1.1", B)

    def test_tag_that_moved_back_counts_from_its_last_request(self) -> None:
        facts = facts_of(*(asked(one, "v1", minute) for minute, one in enumerate((A, B, A))))
        assert newest_tag(facts) == TaggedCommit("v1", A)

    def test_two_tags_of_one_commit_are_told_apart(self) -> None:
        facts = facts_of(
            asked(A, "v1-rc.1", 1), asked(A, "v1", 2), asked(A, "v1-rc.1", 3, cause="reconcile")
        )
        assert newest_tag(facts) == TaggedCommit("v1", A)

    def test_tags_of_an_older_pattern_and_branches_do_not_count(self) -> None:
        facts = facts_of(
            asked(A, "v9", 1),
            asked(B, "main", 2, update="rebase"),
            asked(C, "site-1", 3, update="exact"),
            target=target_of("site-*"),
        )
        assert newest_tag(facts) is None
        assert newest_tag(facts_of(asked(A, "v9", 1), target=parse_target("", target_json()))) is (
            None
        )
        assert newest_asked(facts) == B


class TestWanted:
    def test_tag_requested_last_is_wanted(self) -> None:
        facts = facts_of(asked(A, "v1.0", 1), asked(B, "v1.1", 2))
        assert wanted_of(facts, now=NOW) == Wanted(B, "tag", "it is v1.1", tag="v1.1")
        assert wanted_of(facts, now=NOW).stops_at_commit  # type: ignore[union-attr] # it is wanted

    def test_branch_tip_of_another_line_is_never_wanted(self) -> None:
        facts = facts_of(asked(A, "main", 1, update="rebase"), head=B)
        assert wanted_of(facts, now=NOW) is None

    def test_newer_tag_is_not_wanted_until_it_was_sent(self) -> None:
        facts = facts_of(asked(A, "v1.0", 1), tags=[TaggedCommit("v1.1", B)])
        wanted = wanted_of(facts, now=NOW)
        assert wanted == Wanted(A, "tag", "it is v1.0", tag="v1.0")

    def test_pinned_commit_goes_with_the_name_of_the_tag_sent_last(self) -> None:
        facts = facts_of(asked(A, "v1.0", 1), asked(B, "v1.1", 2), pin=Pin("pinned", A))
        assert wanted_of(facts, now=NOW) == Wanted(A, "exact", "it is pinned", tag="v1.1")

    def test_pin_outlasts_the_history_of_its_tag(self) -> None:
        # Systems Manager remembers 30 days: then it has only the commands of the pin.
        facts = facts_of(
            asked(A, "v1.1", 1, update="exact", cause="reconcile"), pin=Pin("pinned", A)
        )
        assert wanted_of(facts, now=NOW) == Wanted(A, "exact", "it is pinned", tag="v1.1")
        assert wanted_of(replace(facts, pin=None), now=NOW) is None

    def test_pin_takes_any_known_tag_if_none_was_sent(self) -> None:
        tags = [TaggedCommit("v1.1", B), TaggedCommit("v1.0", A)]
        wanted = wanted_of(facts_of(pin=Pin("pinned", A), tags=tags), now=NOW)
        assert wanted == Wanted(A, "exact", "it is pinned", tag="v1.1")

    def test_pin_of_a_target_that_followed_a_branch_goes_with_that_branch(self) -> None:
        sent = [asked(B, "main", 1, update="rebase"), asked(A, "main", 2, update="rebase")]
        wanted = wanted_of(facts_of(*sent, pin=Pin("pinned", A)), now=NOW)
        assert wanted == Wanted(A, "exact", "it is pinned", tag="main")

    def test_pin_without_any_tag_wants_nothing(self) -> None:
        assert wanted_of(facts_of(pin=Pin("pinned", A)), now=NOW) is None

    def test_frozen_target_wants_nothing(self) -> None:
        facts = facts_of(asked(A, "v1.0", 1), pin=Pin("frozen"))
        assert wanted_of(facts, now=NOW) is None

    def test_pin_of_a_branch_needs_no_tag(self) -> None:
        facts = facts_of(target=parse_target("", target_json()), pin=Pin("pinned", A))
        assert wanted_of(facts, now=NOW) == Wanted(A, "exact", "it is pinned")


class TestTagSentLast:
    def test_newest_command_counts_also_of_a_pin(self) -> None:
        sent = [asked(A, "v1.0", 3), asked(B, "v1.1", 4, update="exact"), asked(C, "v1.2", 1)]
        assert tag_sent_last(target_of(), sent) == "v1.1"

    def test_names_that_are_no_tags_of_it_do_not_count(self) -> None:
        sent = [asked(A, "v1", 1, update="rebase"), asked(B, "site-1", 2)]
        assert tag_sent_last(target_of(), sent) == ""
        assert tag_sent_last(parse_target("", target_json()), [asked(B, "v1", 2)]) == ""


class TestPlan:
    HOST = Host(f"i-{1:017x}", "web-1", is_online=True)

    def test_host_that_is_not_there_gets_the_tag(self) -> None:
        facts = facts_of(asked(A, "v1.0", 1), hosts=[self.HOST])
        (send,) = plan_target(facts, now=NOW).sends
        request = send.request(stage="dev", issued=1, document_pin=None)
        assert request.parameters["Branch"] == "v1.0"
        assert request.parameters["Update"] == "tag"
        assert request.parameters["Commit"] == A.sha

    def test_way_back_from_a_held_commit_names_a_tag_too(self) -> None:
        facts = facts_of(asked(A, "v1.0", 1), asked(B, "v1.1", 2), hosts=[self.HOST])
        hold = Hold(B, CANCELLED, issued=1, good=A)
        plan = plan_target(replace(facts, hold=hold), now=NOW)
        assert [one.action for one in plan.hosts] == [SEND]
        (send,) = plan.sends
        assert (send.wanted.commit, send.wanted.update) == (A, "exact")
        assert send.wanted.tag == "v1.1"

    @pytest.mark.parametrize(
        ("target", "why"),
        [
            (target_of(), "no tag that fits was sent yet"),
            (target_of(after=["staging"]), "no commit has passed the gates yet"),
            (parse_target("", target_json()), "no commit is known yet"),
        ],
    )
    def test_without_a_commit_the_plan_says_why(self, target: Target, why: str) -> None:
        assert plan_target(facts_of(target=target), now=NOW).held == why
