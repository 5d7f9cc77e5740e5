"""Paths: after_pull, restart and health_check run only if a file that fits has changed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.host.conftest import Run, Site
from tests.host.test_contract import in_each_shell
from tests.host.test_submodules import commit_index, link, move, submodule

AFTER = "deploy/after"
PATHS = "app/**,*.txt,:!**/*.md"


@pytest.fixture(scope="module")
def like(make_shared_site: Callable[[str], Site]) -> Site:
    """A site with a deployed commit, whose step writes the commit that it ran for."""
    site = make_shared_site("sh")
    step = '#!/bin/sh\necho "${PULLEY_PREVIOUS_COMMIT:--} $PULLEY_COMMIT" >>../seen\n'
    site.commit({AFTER: step, "app/a.py": "one\n", "docs/a.md": "one\n"})
    deploy(site).must_be("updated", steps_not_needed=False)
    return site


def deploy(
    site: Site,
    paths: str = PATHS,
    *,
    after_pull: str = AFTER,
    target: str = "web",
    update: str = "rebase",
    commit: str = "",
) -> Run:
    return site.pull(AfterPull=after_pull, Paths=paths, Target=target, Update=update, Commit=commit)


def seen(site: Site) -> list[str]:
    """The commits that the step ran for, the newest last."""
    return [line.split()[1] for line in (site.root / "seen").read_text().splitlines()]


def marker(site: Site) -> str:
    return (site.checkout / ".git/pulley/deployed").read_text().split()[1]


class TestPaths:
    @in_each_shell
    def test_steps_run_only_if_a_file_that_fits_has_changed(self, site: Site) -> None:
        first = site.head()
        for number, files in enumerate(({"docs/a.md": "2\n"}, {"app/x.md": "3\n"})):
            before, commit = site.head(), site.commit(files)
            result = deploy(site)
            result.must_be("updated", before=before, after=commit, upstream=commit)
            assert result.result.steps_not_needed, number
            assert marker(site) == commit
            deploy(site).must_be("unchanged", after=commit, steps_not_needed=False)
        assert seen(site) == [first]
        last = site.head()
        commit = site.commit({"app/deep/b.py": "4\n"})
        deploy(site).must_be("updated", after=commit, steps_not_needed=False)
        assert (site.root / "seen").read_text().splitlines()[-1] == f"{last} {commit}"

    @pytest.mark.parametrize(
        ("paths", "changed", "needed"),
        [
            ("app/**", "app/deep/b.py", True),
            ("app/**", "apps/b.py", False),
            ("app", "app/deep/b.py", True),
            ("*.txt", "app.txt", True),
            ("*.txt", "docs/b.txt", False),  # a * matches no /
            ("**/*.txt", "docs/b.txt", True),
            ("?.txt", "b.txt", True),
            ("?.txt", "app.txt", False),
            (":!docs", "docs/a.md", False),
            (":!docs", "app/a.py", True),
            (":!docs,:!*.txt", "app.txt", False),
            (":!docs,:!*.txt", "config/b.ini", True),
            ("app,:!app/**/*.md", "app/deep/b.md", False),
            ("app,:!app/**/*.md", "app/deep/b.py", True),
            ("/etc", "docs/a.md", True),  # git refuses it
            ("../x", "docs/a.md", True),
        ],
    )
    def test_pathspec_is_read_as_git_does(
        self, site: Site, paths: str, changed: str, *, needed: bool
    ) -> None:
        commit = site.commit({changed: "changed\n"})
        deploy(site, paths).must_be("updated", after=commit, steps_not_needed=not needed)
        assert (seen(site)[-1] == commit) == needed

    def test_names_of_files_in_the_checkout_are_not_put_in_place_of_a_pathspec(
        self, site: Site
    ) -> None:
        site.write("a.txt", "x\n")  # a shell would find this, and not the removed file
        site.commit({"app.txt": None})
        deploy(site, "a*.txt").must_be("updated", steps_not_needed=False)

    @pytest.mark.parametrize(
        "command",
        [
            "rm -q app/a.py",
            "mv app/a.py docs/a.py",
            "mv docs/a.md app/b.py",
            "update-index --chmod=+x app/a.py",
        ],
    )
    def test_removed_and_renamed_file_and_its_mode_count_as_changed(
        self, site: Site, command: str
    ) -> None:
        site.git(*command.split(), cwd=site.upstream)
        site.git("commit", "-qm", "change", cwd=site.upstream)
        deploy(site).must_be("updated", steps_not_needed=False)

    def test_all_commits_since_the_last_deploy_count(self, site: Site) -> None:
        site.commit({"app/a.py": "two\n"})
        site.commit({"docs/a.md": "two\n"})
        deploy(site).must_be("updated", steps_not_needed=False)

    def test_change_that_was_reverted_in_between_does_not_count(self, site: Site) -> None:
        site.commit({"app/a.py": "two\n"})
        site.commit({"app/a.py": "one\n"})
        deploy(site).must_be("updated", steps_not_needed=True)

    def test_local_commits_are_compared_too(self, site: Site) -> None:
        site.commit({"app/local.py": "mine\n"}, where=site.checkout)
        deploy(site).must_be("updated", local_commits=1, steps_not_needed=False)
        site.commit({"docs/a.md": "two\n"})
        deploy(site).must_be("updated", local_commits=1, steps_not_needed=True)

    @pytest.mark.parametrize("update", ["exact", "rebase-to", "reset-to", "reset"])
    def test_each_way_of_updating_compares(self, site: Site, update: str) -> None:
        commit = site.commit({"docs/a.md": "two\n"})
        result = deploy(site, update=update, commit=commit)
        result.must_be("updated", after=commit, steps_not_needed=True)
        again = deploy(site, update=update, commit=commit)
        again.must_be("unchanged", steps_not_needed=False)


class TestStepsRunAnyway:
    """Nothing that fits has changed, but what was built or runs may not be the marker's commit."""

    def change(self, site: Site) -> str:
        return site.commit({"docs/a.md": "changed\n"})

    def test_without_a_marker(self, site: Site) -> None:
        (site.checkout / ".git/pulley/deployed").unlink()
        commit = self.change(site)
        deploy(site).must_be("updated", steps_not_needed=False)
        assert seen(site)[-1] == commit

    def test_with_a_marker_of_another_target(self, site: Site) -> None:
        self.change(site)
        deploy(site, target="other").must_be("updated", steps_not_needed=False)

    def test_with_a_marker_whose_commit_is_gone(self, site: Site) -> None:
        file = site.checkout / ".git/pulley/deployed"
        file.write_text(file.read_text().replace(marker(site), "1" * 40))
        self.change(site)
        assert not deploy(site).result.steps_not_needed
        assert len(seen(site)) == 2

    def test_with_other_settings_of_the_steps(self, site: Site) -> None:
        site.commit({"deploy/other": "#!/bin/sh\necho - other >>../seen\n"})
        result = deploy(site, after_pull="deploy/other")
        result.must_be("updated", steps_not_needed=False)
        assert seen(site)[-1] == "other"

    def test_but_not_with_another_value_of_paths(self, site: Site) -> None:
        self.change(site)
        deploy(site, "app,:!docs").must_be("updated", steps_not_needed=True)
        deploy(site, "docs").must_be("unchanged")

    def test_after_steps_that_began_and_did_not_end(self, site: Site) -> None:
        site.write(".git/pulley/begun", "x\n")
        commit = self.change(site)
        deploy(site).must_be("updated", steps_not_needed=False)
        assert seen(site)[-1] == commit

    def test_after_drift_of_head_or_branch(self, site: Site) -> None:
        site.commit({})
        deploy(site)
        site.git("reset", "-q", "--hard", "HEAD~1")
        self.change(site)
        deploy(site).must_be("updated", drift="head", steps_not_needed=False)
        site.git("checkout", "-q", "-b", "experiment")
        site.commit({"docs/a.md": "again\n"})
        deploy(site).must_be("updated", drift="branch", steps_not_needed=False)

    def test_if_git_cannot_compare(self, site: Site) -> None:
        self.change(site)
        site.before_git('case "$*" in *--glob-pathspecs*) exit 128 ;; esac')
        deploy(site).must_be("updated", steps_not_needed=False)

    def test_without_paths(self, site: Site) -> None:
        commit = self.change(site)
        deploy(site, "").must_be("updated", steps_not_needed=False)
        assert seen(site)[-1] == commit


class TestRollBack:
    def test_commits_are_compared_with_the_one_that_a_roll_back_returned_to(
        self, site: Site
    ) -> None:
        good = (site.upstream / AFTER).read_text()
        site.commit({"docs/a.md": "two\n"})
        deploy(site).must_be("updated", steps_not_needed=True)
        back = site.head()
        bad = site.commit({AFTER: "#!/bin/sh\nexit 1\n", "app/a.py": "two\n"})
        result = deploy(site).must_be("rolled_back", after=back, steps_not_needed=False)
        assert result.before == back
        assert seen(site)[-1] == back  # the steps ran on the way back, too
        # Between the bad commit and the next one nothing that fits has changed.
        commit = site.commit({AFTER: good, "docs/a.md": "three\n"})
        assert site.git("rev-parse", "HEAD~1", cwd=site.upstream) == bad
        deploy(site).must_be("updated", after=commit, steps_not_needed=False)
        assert seen(site)[-1] == commit

    def test_commit_without_the_bad_change_needs_no_steps(self, site: Site) -> None:
        good = (site.upstream / AFTER).read_text()
        site.commit({AFTER: "#!/bin/sh\nexit 1\n", "app/a.py": "two\n"})
        deploy(site).must_be("rolled_back")
        commit = site.commit({AFTER: good, "app/a.py": "one\n"})
        deploy(site).must_be("updated", after=commit, steps_not_needed=True)


class TestSubmodulesAndLfs:
    @pytest.fixture
    def part(self, site: Site) -> Path:
        """The repository behind a submodule, which is deployed."""
        submodule(site)
        deploy(site).must_be("updated", steps_not_needed=True)
        return site.root / "octo/part"

    def test_submodule_is_brought_to_its_commit_without_the_other_steps(
        self, site: Site, part: Path
    ) -> None:
        assert (site.checkout / "part/part.txt").read_text() == "one\n"
        move(site, part)
        deploy(site).must_be("updated", steps_not_needed=True)
        assert (site.checkout / "part/part.txt").read_text() == "two\n"
        assert len(seen(site)) == 1

    def test_submodule_that_fits_has_changed_even_if_git_is_told_to_ignore_it(
        self, site: Site, part: Path
    ) -> None:
        for where in (site.upstream, site.checkout):
            site.git("config", "submodule.part.ignore", "all", cwd=where)
        move(site, part)
        deploy(site, "part").must_be("updated", steps_not_needed=False)

    def test_submodule_that_fails_is_rolled_back_without_the_other_steps(
        self, site: Site, part: Path
    ) -> None:
        back = site.head()
        link(site, "part", "1" * 40)
        commit_index(site)
        result = deploy(site).must_be("rolled_back", after=back, step="submodules")
        assert not result.steps_not_needed
        assert len(seen(site)) == 1
        move(site, part)
        deploy(site).must_be("updated", steps_not_needed=True)

    def test_lfs_files_come_without_the_other_steps(self, site: Site) -> None:
        site.tool("git-lfs", f'echo "$*" >>{site.root}/lfs')
        site.commit({"big/.gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"})
        deploy(site).must_be("updated", steps_not_needed=True)
        fetched = f"fetch origin {site.head()}"
        assert (site.root / "lfs").read_text().splitlines() == [fetched, "pull"]
        assert len(seen(site)) == 1
