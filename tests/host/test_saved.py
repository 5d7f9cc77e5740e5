"""Runs report edits that were set aside until somebody drops them; they are listed and shown."""

import fcntl
import json
import os
import re
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.host.conftest import Run, Site, held_to_contract, run_in_own_group
from tests.processes import HANG_SECONDS

NOTES = ".git/pulley/aside"
MISSING = "0123456789" * 4


def wait_for_the_next_second() -> None:
    now = int(time.time())
    while int(time.time()) == now:
        time.sleep(0.01)


@pytest.fixture(scope="module")
def like(make_shared_site: Callable[[str], Site]) -> Site:
    """An edit of app.txt is set aside."""
    site = make_shared_site("sh")
    set_aside(site)
    return site


@pytest.fixture
def ref(site: Site) -> str:
    """The saved ref of that edit."""
    (ref,) = site.saved()
    return ref


@pytest.fixture
def plain_site(make_site: Callable[[str], Site], shell: str) -> Site:
    return make_site(shell)


def set_aside(site: Site, name: str = "app.txt", edit: str = "mine\n") -> str:
    """Edit the file so that the edit does not fit the next commit; returns its saved ref."""
    site.write(name, edit)
    site.commit({name: f"not {edit}"})
    result = site.pull().must_be("updated")
    assert result.saved
    return result.saved


def reported(run: Run) -> tuple[str | None, str | None]:
    """The file and the ref that a run reports."""
    return run.result.set_aside, run.result.saved


def line_of(site: Site, **parameters: str) -> dict[str, object]:
    """The raw result line of a run that succeeds."""
    command, environ = site.command(**parameters)
    done = subprocess.run(
        command, cwd="/", env=environ, capture_output=True, timeout=HANG_SECONDS, check=True
    )
    held_to_contract(done)
    line: dict[str, object] = json.loads(done.stdout)
    return line


def listed(site: Site) -> list[list[object]]:
    line = line_of(site, Update="saved")
    refs = line["saved_refs"]
    assert isinstance(refs, list)
    return refs


def commit_at(site: Site, ref: str) -> str:
    return site.git("rev-parse", ref)


class TestReported:
    def test_each_later_run_reports_the_saved_edit_until_its_ref_is_gone(
        self, site: Site, ref: str
    ) -> None:
        assert reported(site.pull()) == ("app.txt", ref)
        assert reported(site.pull(Update="check")) == ("app.txt", ref)
        assert reported(site.pull(Cause="reconcile")) == ("app.txt", ref)
        commit = site.commit({"config.txt": "setting = 2\n"})
        assert reported(site.pull(Commit=commit)) == ("app.txt", ref)
        assert reported(site.pull(Commit=MISSING, Timeout="20")) == ("app.txt", ref)  # 71
        site.git("update-ref", "-d", ref)
        assert reported(site.pull(Update="check")) == (None, None)
        assert (site.checkout / NOTES).read_text()  # a check changes nothing
        assert reported(site.pull()) == (None, None)
        assert (site.checkout / NOTES).read_text() == ""

    def test_first_of_several_saved_edits_is_reported(self, site: Site, ref: str) -> None:
        second = set_aside(site, "config.txt", "setting = 3\n")
        assert reported(site.pull()) == ("app.txt", ref)
        site.git("update-ref", "-d", ref)
        assert reported(site.pull()) == ("config.txt", second)
        site.git("update-ref", "-d", second)
        assert reported(site.pull()) == (None, None)

    def test_run_that_saves_a_commit_reports_its_ref_and_the_file_set_aside_before(
        self, site: Site, ref: str
    ) -> None:
        site.commit({"local.txt": "mine\n"}, where=site.checkout)
        file, saved = reported(site.pull(Update="reset"))
        assert (file, saved in site.saved(), saved != ref) == ("app.txt", True, True)
        assert reported(site.pull(Update="reset")) == ("app.txt", ref)

    def test_half_written_note_of_a_killed_run_spoils_no_other_note(self, plain_site: Site) -> None:
        site = plain_site
        halves = ("refs/pulley/saved/20", "refs/pulley/sa", "\n", "x")
        site.pull()
        for half in halves:
            notes = site.write(NOTES, half)
            assert reported(site.pull()) == (None, None)
        notes.write_text(halves[0])  # again: the run has emptied the notes
        ref = set_aside(site)
        for half in halves:
            assert reported(site.pull()) == ("app.txt", ref)
            notes.write_text(f"{ref} app.txt\n{half}")
        assert reported(site.pull()) == ("app.txt", ref)

    def test_next_run_reports_the_edit_after_a_kill_at_any_git_call(
        self, make_site: Callable[..., Site]
    ) -> None:
        prepared = make_site("sh")
        prepared.pull()
        prepared.write("app.txt", "mine\n")
        prepared.commit({"app.txt": "theirs\n"})
        killed = 0
        for call in range(1, 40, 3 if "PULLEY_KILLS" in os.environ else 6):
            site = make_site("sh", prepared)
            count = site.write("count", "0\n", where=site.root)
            site.before_git(
                f"read -r n <{count}; n=$((n + 1)); echo $n >{count}\n"
                f"[ $n -ne {call} ] || kill -9 -$PULLEY_GROUP"
            )
            ended = run_in_own_group(site)
            (site.tools / "git").unlink()
            file, ref = reported(site.pull())
            assert (file, ref in site.saved()) == ("app.txt", True), call
            assert reported(site.pull()) == (file, ref)
            assert site.git("show", f"{ref}:app.txt") == "mine"
            if ended:
                break
            killed += 1
        assert killed > 2

    def test_run_with_nothing_set_aside_starts_no_extra_git(self, plain_site: Site) -> None:
        site = plain_site
        log = site.write("calls", "", where=site.root)
        site.pull(Commit=site.commit({"more.txt": "more\n"}))  # refs have files from here on
        site.before_git(f"echo call >>{log}")

        def calls() -> int:
            log.write_text("")
            site.pull()
            return log.read_text().count("call")

        before = calls()
        ref = set_aside(site)
        assert calls() == before + 1
        site.git("update-ref", "-d", ref)
        assert calls() == before + 1
        assert calls() == before

    @pytest.mark.parametrize("name", ['a","x', "/".join(["x" * 200] * 4)])
    def test_forged_ref_in_the_notes_is_only_text(self, plain_site: Site, name: str) -> None:
        site = plain_site
        ref = f"refs/pulley/saved/{name}"
        site.git("update-ref", ref, "HEAD")
        site.pull()
        site.write(NOTES, f"{ref} app.txt\n")
        file, saved = reported(site.pull())
        assert file == "app.txt"
        assert ref.startswith(str(saved))

    def test_result_line_with_many_quotes_stays_short(self, plain_site: Site) -> None:
        site = plain_site
        name, quotes = '"' * 200, '"' * 150
        step = f"#!/bin/sh\necho '{quotes}'\n[ ! -e .git/fail ]\n"
        site.commit({name: "one\n", "step": step})
        site.pull(AfterPull="step")
        site.write(name, "mine\n")
        site.commit({name: "theirs\n"})
        site.pull(AfterPull="step")
        site.write(".git/fail", "")
        site.commit({"local": "1\n"}, where=site.checkout)
        site.commit({"app.txt": "two\n"})
        result = site.pull(Target="a" * 50, AfterPull="step").result  # pull() checks its length
        assert result.step == "after_pull"
        assert result.detail.count('"') > 100


class TestSaved:
    def test_list_is_empty_if_nothing_was_saved(self, plain_site: Site) -> None:
        site = plain_site
        line = line_of(site, Update="saved")
        assert (line["saved_count"], line["saved_refs"]) == (0, [])
        assert (line["outcome"], line["upstream"]) == ("unchanged", None)
        assert not (site.checkout / ".git/pulley").exists()

    def test_newest_ref_is_listed_first_with_its_commit_and_its_files(
        self, site: Site, ref: str
    ) -> None:
        wait_for_the_next_second()  # refs are ordered by the second in their names
        site.commit({"local.txt": "mine\n", "more.txt": "mine\n"}, where=site.checkout)
        second = site.pull(Update="reset").result.saved
        assert second
        assert listed(site) == [
            [second.rpartition("/")[2], commit_at(site, second), 2, "local.txt"],
            [ref.rpartition("/")[2], commit_at(site, ref), 1, "app.txt"],
        ]

    def test_list_needs_no_network_and_no_lock(self, site: Site) -> None:
        site.git("remote", "set-url", "origin", "/nowhere/octo/site")
        state = site.state()
        with (site.checkout / ".git/pulley/lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert len(listed(site)) == 1
        assert site.state() == state

    def test_another_repository_is_refused(self, site: Site) -> None:
        site.git("remote", "set-url", "origin", "https://github.com/octo/other.git")
        for update in ("saved", "drop"):
            site.pull(Update=update, Commit=MISSING).must_be("no_checkout", fault="origin")

    @pytest.mark.parametrize(
        "name", ['"' * 40, 'a"b\\c\nd\x01\x7f', "\u65e5\u672c" * 20, "x" * 200, " a "]
    )
    def test_hostile_names_stay_one_short_line_of_ascii(self, plain_site: Site, name: str) -> None:
        site = plain_site
        commit = site.commit({name: "mine\n"}, where=site.checkout)
        site.git("reset", "-q", "--hard", "HEAD~1")
        stamps = [f"2026112{number:02}T000000Z-1-1" for number in range(15)]
        for ref in (*stamps, 'z"quo"te', "z\u65e5\u672c", "z" * 200, "z/deep"):
            site.write(f".git/refs/pulley/saved/{ref}", f"{commit}\n")
        line = line_of(site, Update="saved", Target="a" * 50)
        refs = line["saved_refs"]
        assert isinstance(refs, list)
        assert line["saved_count"] == 19
        assert len(refs) >= 3
        for ref, sha, files, file in refs:
            assert re.fullmatch("[A-Za-z0-9-]{0,30}", ref)
            assert (sha, files) == (commit, 1)
            assert re.fullmatch("[ -~]{1,40}", file)

    def test_commit_without_a_parent_is_listed_and_shown(self, plain_site: Site) -> None:
        site = plain_site
        site.git("checkout", "-q", "--orphan", "other")
        commit = site.commit({"root.txt": "mine\n"}, where=site.checkout)
        site.git("update-ref", "refs/pulley/saved/20260101T000000Z-1-1", commit)
        site.git("checkout", "-q", "main")
        assert listed(site) == [["20260101T000000Z-1-1", commit, 3, "app.txt"]]
        assert "+mine" in site.pull(Update="saved", Commit=commit).stderr


class TestShown:
    def test_diff_against_the_first_parent_is_on_stderr(self, site: Site, ref: str) -> None:
        state = site.state()
        run = site.pull(Update="saved", Commit=commit_at(site, ref))
        assert run.result.outcome == "unchanged"
        assert "pulley: edits on web" in run.stderr
        assert " app.txt | 2 +-" in run.stderr
        assert "-one\n+mine\n" in run.stderr
        assert site.state() == state

    def test_long_diff_is_cut_to_what_systems_manager_keeps(self, plain_site: Site) -> None:
        site = plain_site
        ref = set_aside(site, edit="a long line of mine\n" * 1000)
        run = site.pull(Update="saved", Commit=commit_at(site, ref))
        assert (run.exit_code, len(run.stderr)) == (0, 7900)

    @pytest.mark.parametrize("update", ["saved", "drop"])
    def test_commit_that_is_not_saved_is_a_missing_commit_and_refs_stay(
        self, site: Site, update: str
    ) -> None:
        before = site.git("for-each-ref")
        for commit in (MISSING, site.head()):
            site.pull(Update=update, Commit=commit).must_be(
                "missing_commit", detail="no saved ref has it"
            )
        assert site.git("for-each-ref") == before

    def test_git_settings_of_the_owner_hide_nothing(self, site: Site) -> None:
        site.git("config", "log.diffMerges", "off")
        site.git("config", "diff.orderFile", "missing")
        ((_, _, files, file),) = listed(site)
        assert (files, file) == (1, "app.txt")

    def test_hanging_textconv_program_of_the_owner_is_not_run(self, site: Site, ref: str) -> None:
        site.write(".git/info/attributes", "* diff=hang\n")
        site.git("config", "diff.hang.textconv", "sleep 600; cat")
        run = site.pull(Update="saved", Commit=commit_at(site, ref))
        assert "mine" in run.stderr
        assert run.result.seconds < 60


class TestDrop:
    def test_one_of_two_refs_is_dropped_and_the_other_is_reported(
        self, site: Site, ref: str
    ) -> None:
        second = set_aside(site, "config.txt", "setting = 3\n")
        state, commit = site.state(), commit_at(site, ref)
        site.pull(Update="drop", Commit=commit).must_be(
            "unchanged", set_aside="config.txt", saved=second
        )
        assert site.saved() == [second]
        assert site.state() == state
        assert reported(site.pull()) == ("config.txt", second)
        site.git("update-ref", ref, commit)  # as after a mistake
        assert reported(site.pull(Update="check")) == ("app.txt", ref)
        assert [ref for ref, *_ in listed(site)] == [
            one.rpartition("/")[2] for one in sorted((ref, second), reverse=True)
        ]

    def test_all_saved_refs_of_the_commit_are_dropped_and_counted(
        self, site: Site, ref: str
    ) -> None:
        commit = commit_at(site, ref)
        site.git("update-ref", "refs/pulley/saved/another", commit)
        site.git("update-ref", "refs/pulley/savedtoo", commit)
        assert line_of(site, Update="drop", Commit=commit)["dropped"] == 2
        assert site.git("for-each-ref", "--format=%(refname)", "refs/pulley/savedtoo")
        assert site.saved() == []

    def test_symbolic_ref_to_a_branch_is_dropped_and_the_branch_stays(
        self, plain_site: Site
    ) -> None:
        site = plain_site
        site.pull()
        site.git("symbolic-ref", "refs/pulley/saved/link", "refs/heads/main")
        head = site.head()
        assert site.pull(Update="drop", Commit=head).exit_code == 0
        assert (site.head(), site.saved()) == (head, [])

    def test_drop_without_a_commit_is_a_bad_parameter(self, site: Site) -> None:
        site.pull(Update="drop").must_be("bad_parameter", detail="drop needs a Commit")

    def test_ref_that_a_killed_run_needs_stays(self, site: Site, ref: str) -> None:
        commit = commit_at(site, ref)
        (site.checkout / ".git/pulley/moving").write_text("half")
        site.pull(Update="drop", Commit=commit).must_be("conflict", detail="a killed run needs it")
        assert len(site.saved()) == 1

    def test_drop_does_not_supersede_an_earlier_push(self, site: Site, ref: str) -> None:
        site.pull(Update="drop", Commit=commit_at(site, ref), Issued="2000")
        commit = site.commit({"app.txt": "three\n"})
        site.pull(Commit=commit, Issued="1000").must_be("updated", after=commit)

    def test_drop_during_another_run_is_busy_and_drops_nothing(self, site: Site, ref: str) -> None:
        commit = commit_at(site, ref)
        with (site.checkout / ".git/pulley/lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert site.pull(Update="drop", Commit=commit, Timeout="20", late=6).exit_code == 75
        assert len(site.saved()) == 1


class TestAfterAKill:
    def test_ref_that_a_killed_reset_saved_is_reported_by_the_next_run_only(
        self, plain_site: Site
    ) -> None:
        site = plain_site
        site.commit({"after": "#!/bin/sh\n[ -z ${PULLEY_GROUP-} ] || kill -9 -$PULLEY_GROUP\n"})
        site.pull()
        site.write("app.txt", "mine\n")
        site.commit({"config.txt": "two\n"})
        assert not run_in_own_group(site, Update="reset", AfterPull="after")
        (ref,) = site.saved()
        assert reported(site.pull(Update="check")) == (None, ref)
        assert reported(site.pull(Update="reset", AfterPull="after")) == (None, ref)
        assert reported(site.pull(Update="reset", AfterPull="after")) == (None, None)
