"""Which commit a deploy chooses for a target that follows tags."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chalicelib.core.gates import Gates
from chalicelib.core.history import RollOut
from chalicelib.core.pins import Pin
from chalicelib.core.refs import Branch, CommitSha
from chalicelib.core.tags import TaggedCommit
from chalicelib.core.targets import Target, parse_target
from chalicelib.core.wanted import TargetFacts, Wanted
from pulley.operator.deploy.choose import NotDeployableError, choose_commit, followers_of
from pulley.operator.deploy.pin import doubt_about
from pulley.operator.deploy.promote import names_before
from pulley.operator.stage.checkout import Here
from tests.facts import ROLL_OUT
from tests.fakes import SITE, target_json

A, B, C, D = (CommitSha(digit * 40) for digit in "abcd")
NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
TAGS = (TaggedCommit("v1.2", C), TaggedCommit("v1.1", B), TaggedCommit("v1.0", A))


def target(**changes: object) -> Target:
    entry = target_json(tag="v*") | changes
    del entry["branch"]
    return parse_target("targets.web", entry)


MANUAL = target(trigger="manual")
GATED = target(checks=["test"])


def sent(commit: CommitSha, tag: str) -> RollOut:
    return replace(ROLL_OUT, commit=commit, branch=tag, update="tag")


def facts(
    *asked: RollOut,
    of: Target | None = None,
    tags: tuple[TaggedCommit, ...] = TAGS,
    pin: Pin | None = None,
) -> TargetFacts:
    return TargetFacts(of or target(), (), (), pin=pin, asked=asked, tags=tags)


def choose(
    found: TargetFacts, asked: CommitSha | None = None, *, skips_gates: bool = False
) -> tuple[str, CommitSha]:
    wanted = choose_commit(found, asked, now=NOW, skips_gates=skips_gates)
    assert wanted.update == found.target.sent_update
    return wanted.tag, wanted.commit


def refusal(
    found: TargetFacts, asked: CommitSha | None = None, *, skips_gates: bool = False
) -> str:
    with pytest.raises(NotDeployableError) as caught:
        choose_commit(found, asked, now=NOW, skips_gates=skips_gates)
    return str(caught.value)


class TestRounds:
    """A target whose tags rounds send."""

    def test_tag_that_was_sent_last_is_sent_again(self) -> None:
        wanted = choose_commit(facts(sent(B, "v1.1")), None, now=NOW)
        assert wanted == Wanted(B, "tag", "it is v1.1", tag="v1.1")

    def test_tag_that_was_deleted_since_is_sent_again_too(self) -> None:
        assert choose(facts(sent(D, "v1.3"))) == ("v1.3", D)
        assert choose(facts(sent(D, "v1.3"), tags=()), D) == ("v1.3", D)

    def test_first_tag_may_be_sent_before_a_round_does(self) -> None:
        assert choose(facts()) == ("v1.2", C)

    def test_without_any_tag_nothing_can_be_sent(self) -> None:
        said = refusal(facts(tags=()))
        assert said == "there is no tag that fits among the highest that GitHub has of tag v*"

    def test_commit_of_the_highest_tag_may_be_named(self) -> None:
        assert choose(facts(sent(B, "v1.1")), C) == ("v1.2", C)

    def test_commit_without_a_tag_that_fits_is_refused(self) -> None:
        said = refusal(facts(sent(B, "v1.1")), D)
        assert said.startswith("ddddddd has no tag that fits among the highest")
        assert "pulley pin web ddddddd" in said

    def test_lower_version_is_refused_with_the_pin_that_goes_back(self) -> None:
        said = refusal(facts(sent(B, "v1.1")), A)
        assert said.startswith("v1.0 is lower than v1.1, which web was sent.")
        assert "pulley pin web aaaaaaa" in said

    def test_version_that_the_next_round_would_pass_is_refused(self) -> None:
        said = refusal(facts(sent(A, "v1.0")), B)
        assert said.startswith("v1.1 is not the highest: the next round sends v1.2.")

    def test_now_sends_the_highest(self) -> None:
        assert choose(facts(sent(A, "v1.0")), skips_gates=True) == ("v1.2", C)
        assert choose(facts(sent(C, "v1.2")), skips_gates=True) == ("v1.2", C)

    def test_moved_tag_may_be_sent(self) -> None:
        assert choose(facts(sent(B, "v1.2")), C) == ("v1.2", C)


class TestGates:
    def test_tag_that_has_not_passed_is_refused(self) -> None:
        for asked in (None, C):
            said = refusal(facts(of=GATED), asked)
            assert "passed the gates of web: it waits for test" in said
        said = refusal(facts(sent(A, "v1.0"), of=GATED), C)
        assert said.startswith("ccccccc has not passed the gates of web")

    def test_tag_that_has_passed_is_sent_again(self) -> None:
        found = facts(sent(A, "v1.0"), of=GATED)
        assert [choose(found), choose(found, A)] == [("v1.0", A)] * 2

    def test_now_passes_the_gates_to_any_higher_version(self) -> None:
        found = facts(sent(A, "v1.0"), of=GATED)
        assert choose(found, skips_gates=True) == ("v1.2", C)
        assert choose(found, B, skips_gates=True) == ("v1.1", B)
        assert "lower than v1.2" in refusal(facts(sent(C, "v1.2")), B, skips_gates=True)


class TestManual:
    def test_highest_tag_is_sent(self) -> None:
        assert choose(facts(of=MANUAL)) == ("v1.2", C)
        assert choose(facts(sent(A, "v1.0"), of=MANUAL)) == ("v1.2", C)

    def test_any_higher_version_may_be_named(self) -> None:
        assert choose(facts(sent(A, "v1.0"), of=MANUAL), B) == ("v1.1", B)
        assert "lower than v1.1" in refusal(facts(sent(B, "v1.1"), of=MANUAL), A)

    def test_highest_tag_that_is_lower_than_a_deleted_one_is_refused(self) -> None:
        assert "v1.2 is lower than v1.3" in refusal(facts(sent(D, "v1.3"), of=MANUAL))
        assert choose(facts(sent(D, "v1.3"), of=MANUAL), D) == ("v1.3", D)


class TestPins:
    def test_pinned_commit_goes_with_a_tag_s_name(self) -> None:
        found = facts(sent(B, "v1.1"), pin=Pin("pinned", A))
        wanted = choose_commit(found, None, now=NOW)
        assert (wanted.commit, wanted.update, wanted.tag) == (A, "exact", "v1.1")

    def test_other_commit_is_refused_with_the_line(self) -> None:
        said = refusal(facts(sent(B, "v1.1"), pin=Pin("pinned", A)), C)
        assert "to follow its tag v* again" in said

    @pytest.mark.parametrize("is_here", [True, False])
    def test_only_what_was_deployed_before_is_not_doubted(self, *, is_here: bool) -> None:
        here = Here(SITE, Branch("main"), A, Path("/nowhere")) if is_here else None
        assert "deployed there before" in doubt_about(A, target(), here, ())
        assert doubt_about(A, target(), here, [A]) == ""


class TestOthers:
    @pytest.mark.parametrize("branch", [None, Branch("v1"), Branch("main")])
    def test_no_clone_is_on_a_branch_that_it_follows(self, branch: Branch | None) -> None:
        here = Here(SITE, branch, A, Path("/nowhere"))
        assert followers_of([target(), target(tag="v1")], here) == ()

    def test_nothing_is_promoted_to_it(self) -> None:
        with pytest.raises(NotDeployableError, match="follows its tag v\\* by itself"):
            names_before(target(), None)
        gated = replace(target(), gates=Gates(after=("staging",)))
        with pytest.raises(NotDeployableError, match="web follows tags: `pulley deploy web` sends"):
            names_before(gated, None)
