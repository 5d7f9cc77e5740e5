"""How a commit, an end and a reason are parsed, and when a pin must be stored."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from git import Repo

from chalicelib.core.pins import Pin
from chalicelib.core.refs import Branch, CommitSha, Repository
from chalicelib.core.targets import parse_target
from pulley.operator.aws.parameters import StoredValue
from pulley.operator.deploy.pin import (
    LONGEST_REASON,
    MeaningError,
    StoredPin,
    deployed_to,
    doubt_about,
    parse_commit,
    parse_end,
    parse_reason,
)
from pulley.operator.stage.checkout import Here, find_here
from tests.fakes import COMMIT, SITE, target_json
from tests.flows.runs import check_of, command_of

NOW = datetime(2030, 1, 31, 12, 0, 0, 500_000, tzinfo=UTC)
TARGET = parse_target("web", target_json())


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Here:
    """A clone of octo/site with two commits on main, and a third that was not pushed."""
    folder = tmp_path_factory.mktemp("clone")
    with Repo.init(folder, initial_branch="main") as repo:
        repo.create_remote("origin", "git@github.com:Octo/site.git")
        repo.index.commit("one")
        second = repo.index.commit("two")
        repo.create_tag("v2")
        repo.git.update_ref("refs/remotes/origin/main", second.hexsha)
        repo.index.commit("three, not pushed")
    here = find_here(Path(folder))
    assert here is not None
    return here


class TestParseEnd:
    @pytest.mark.parametrize(
        ("text", "end"),
        [
            ("90m", NOW + timedelta(minutes=90)),
            ("2h", NOW + timedelta(hours=2)),
            ("3d", NOW + timedelta(days=3)),
            ("1w", NOW + timedelta(days=7)),
            (" 2h ", NOW + timedelta(hours=2)),
        ],
    )
    def test_duration_counts_from_now_in_whole_seconds(self, text: str, end: datetime) -> None:
        assert parse_end(text, now=NOW) == end.replace(microsecond=0)

    @pytest.mark.parametrize(
        ("text", "end"),
        [
            ("2030-02-01", datetime(2030, 2, 1, tzinfo=UTC)),
            ("2030-02-01T10:00:00Z", datetime(2030, 2, 1, 10, tzinfo=UTC)),
            ("2030-02-01T10:00+02:00", datetime(2030, 2, 1, 8, tzinfo=UTC)),
        ],
    )
    def test_date_and_time_are_converted_to_utc(self, text: str, end: datetime) -> None:
        found = parse_end(text, now=NOW)
        assert found == end
        assert found.tzinfo is UTC

    @pytest.mark.parametrize("text", ["2030-01-31", "2030-01-31T12:00:00Z", "1999-01-01"])
    def test_end_in_the_past_is_refused(self, text: str) -> None:
        with pytest.raises(MeaningError, match="must be in the future"):
            parse_end(text, now=NOW)

    @pytest.mark.parametrize(
        "text",
        [
            *("", "tomorrow", "0h", "-2h", "2", "2y", "99999d", "2030-02-01T10:00:00"),
            *("2030-02-30", "9999-12-31T23:59:59-14:00", "\u0662h", "2 h"),
        ],
    )
    def test_other_text_is_refused_with_the_allowed_forms(self, text: str) -> None:
        with pytest.raises(MeaningError, match="must be a length like 90m"):
            parse_end(text, now=NOW)


class TestParseReason:
    def test_several_lines_become_one(self) -> None:
        assert parse_reason(" the\n fair ") == "the fair"

    @pytest.mark.parametrize("text", ["", " \n", "x" * (LONGEST_REASON + 1), "\x1b[2J", "a\x00b"])
    def test_empty_long_or_unprintable_reason_is_refused(self, text: str) -> None:
        with pytest.raises(MeaningError):
            parse_reason(text)


class TestParseCommit:
    def test_full_id_needs_no_clone(self) -> None:
        assert parse_commit(COMMIT.upper(), TARGET, None) == CommitSha(COMMIT)

    @pytest.mark.parametrize("text", ["v2", "main~1", "origin/main"])
    def test_name_is_resolved_in_the_current_clone(self, clone: Here, text: str) -> None:
        assert parse_commit(text, TARGET, clone) == clone.resolve("v2")

    def test_short_id_is_resolved_in_the_current_clone(self, clone: Here) -> None:
        assert clone.commit
        assert parse_commit(clone.commit.short, TARGET, clone) == clone.commit

    @pytest.mark.parametrize("text", ["4d5e6f7", "main", "", "--help", "0" * 40])
    def test_outside_a_clone_all_but_a_full_id_is_refused(self, text: str) -> None:
        with pytest.raises(MeaningError, match="stand in a clone of octo/site"):
            parse_commit(text, TARGET, None)

    def test_clone_of_another_repository_does_not_count(self, clone: Here) -> None:
        other = Here(Repository("octo", "other"), clone.branch, clone.commit, clone.folder)
        with pytest.raises(MeaningError, match="stand in a clone of octo/site"):
            parse_commit("v2", TARGET, other)

    @pytest.mark.parametrize("text", ["v3", "--help", "nothing like it", "@{99}"])
    def test_name_that_git_does_not_know_is_refused(self, clone: Here, text: str) -> None:
        with pytest.raises(MeaningError, match=r"names no commit in .*git fetch"):
            parse_commit(text, TARGET, clone)


class TestDoubtAbout:
    def test_commit_of_the_branch_is_not_doubted(self, clone: Here) -> None:
        assert doubt_about(parse_commit("main~1", TARGET, clone), TARGET, clone, ()) == ""

    def test_commit_outside_the_branch_is_doubted(self, clone: Here) -> None:
        assert clone.commit
        doubt = doubt_about(clone.commit, TARGET, clone, ())
        assert doubt.startswith(f"{clone.commit.short} is not in main, as this clone has it")

    def test_commit_unknown_to_the_clone_is_doubted(self, clone: Here) -> None:
        doubt = doubt_about(CommitSha(COMMIT), TARGET, clone, ())
        assert doubt.startswith("this clone does not know whether 4d5e6f7 is in main")

    def test_commit_is_doubted_if_the_clone_does_not_know_the_branch(self, clone: Here) -> None:
        target = parse_target("web", target_json(branch="release"))
        assert clone.commit
        assert "is in release" in doubt_about(clone.commit, target, clone, ())

    def test_outside_a_clone_a_commit_is_doubted(self) -> None:
        doubt = doubt_about(CommitSha(COMMIT), TARGET, None, ())
        assert "is in its branch main is not known outside a clone of octo/site" in doubt

    def test_deployed_commit_is_not_doubted(self, clone: Here) -> None:
        for here in (clone, None):
            assert doubt_about(CommitSha(COMMIT), TARGET, here, {CommitSha(COMMIT)}) == ""


class TestDeployedTo:
    def test_only_commits_of_successful_commands_count(self) -> None:
        good = command_of(COMMIT)
        assert deployed_to(TARGET, [good]) == {CommitSha(COMMIT)}
        assert deployed_to(TARGET, [replace(good, status="Failed")]) == set()
        assert deployed_to(TARGET, [check_of()]) == set()


class TestStoredPinNeeds:
    READ = StoredValue("/pulley/dev/pins/web", "{}", 1)
    FROZEN = Pin("frozen", reason="x", by="mona")
    ENDED = Pin("frozen", reason="x", until=NOW - timedelta(hours=1))

    @pytest.mark.parametrize(
        ("stored", "wanted", "is_news"),
        [
            (Pin("none"), FROZEN, True),
            (FROZEN, Pin("frozen", reason="x", by="octavia"), False),
            (FROZEN, Pin("frozen", reason="y"), True),
            (FROZEN, Pin("pinned", CommitSha(COMMIT), "x"), True),
            (FROZEN, Pin("none", reason="done"), True),
            (Pin("none", reason="before"), Pin("none", reason="done"), False),
            (ENDED, Pin("none"), False),
            (ENDED, FROZEN, True),
        ],
    )
    def test_pin_is_stored_only_if_it_changes_something(
        self, stored: Pin, wanted: Pin, *, is_news: bool
    ) -> None:
        assert StoredPin("n", self.READ, stored).needs(wanted, now=NOW) is is_news

    @pytest.mark.parametrize("wanted", [Pin("none"), FROZEN])
    def test_unreadable_pin_is_always_replaced(self, wanted: Pin) -> None:
        assert StoredPin("n", self.READ, problem="must be JSON").needs(wanted, now=NOW)


def test_clone_knows_its_repository(clone: Here) -> None:
    assert (clone.repository, clone.branch) == (SITE, Branch("main"))
