"""The clone in the operator's current folder."""

import os
from pathlib import Path

import pytest
from git import Repo

from chalicelib.core.refs import Branch, CommitSha, Repository
from pulley.operator.stage.checkout import find_here, repository_of
from pulley.sandbox.github.git_server import SOMEONE

SITE = Repository("octo", "site")
MAIN = Branch("main")


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    upstream = tmp_path / "octo/site.git"
    Repo.init(upstream, mkdir=True, bare=True, initial_branch="main").close()
    repo = Repo.init(tmp_path / "clone", initial_branch="main")
    (tmp_path / "clone/below").mkdir()
    repo.index.commit("One", author=SOMEONE, committer=SOMEONE)
    # By a setting of the operator, git reads a folder of this machine instead of github.com.
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.{tmp_path}/.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://github.com/")
    repo.create_remote("origin", "https://github.com/octo/site.git")
    repo.git.push("-q", "-u", "origin", "main")
    return repo


class TestFindHere:
    def test_folder_in_a_clone_gives_its_repository_branch_and_commit(
        self, clone: Repo, tmp_path: Path
    ) -> None:
        here = find_here(tmp_path / "clone/below")
        assert here is not None
        assert (here.repository, here.branch) == (SITE, MAIN)
        assert here.commit == CommitSha(clone.head.commit.hexsha)

    def test_a_detached_head_has_no_branch(self, clone: Repo) -> None:
        clone.git.checkout("-q", "--detach")
        here = find_here(Path(clone.working_dir))
        assert here is not None
        assert here.branch is None

    def test_folder_outside_a_clone_gives_none(self, tmp_path: Path) -> None:
        assert find_here(tmp_path) is None

    def test_a_repository_without_a_commit_or_a_remote_is_no_error(self, tmp_path: Path) -> None:
        repo = Repo.init(tmp_path / "new")
        assert find_here(tmp_path / "new") is None
        repo.create_remote("origin", "https://github.com/octo/site.git")
        here = find_here(tmp_path / "new")
        assert here is not None
        assert (here.repository, here.commit) == (SITE, None)

    @pytest.mark.parametrize(
        "text", ['[remote "origin"]\n\tfetch = x\n', "garbage", "[core\n", "[core]\n\tbare = x\n"]
    )
    def test_invalid_git_settings_are_no_error(self, clone: Repo, text: str) -> None:
        (Path(clone.git_dir) / "config").write_text(text)
        assert find_here(Path(clone.working_dir)) is None

    def test_a_bare_repository_is_no_error(self, clone: Repo, tmp_path: Path) -> None:
        assert find_here(tmp_path / "octo/site.git") is None


class TestHere:
    def test_a_short_id_and_a_branch_are_resolved(self, clone: Repo) -> None:
        here = find_here(Path(clone.working_dir))
        assert here is not None
        sha = clone.head.commit.hexsha
        assert here.resolve(sha[:7]) == here.resolve("main") == CommitSha(sha)

    @pytest.mark.parametrize(
        "revision", ["nosuch", "", "--all", "deadbeef", "a..b", "HEAD~99", "HEAD@{9}", "a\0b"]
    )
    def test_unknown_revision_is_none(self, clone: Repo, revision: str) -> None:
        here = find_here(Path(clone.working_dir))
        assert here is not None
        assert here.resolve(revision) is None

    def test_subject_is_the_message_s_first_line_as_git_keeps_it(self, clone: Repo) -> None:
        message = "Ünd: a\nb\n\nc"
        made = clone.index.commit(message, author=SOMEONE, committer=SOMEONE)
        here = find_here(Path(clone.working_dir))
        assert here is not None
        assert here.subject(CommitSha(made.hexsha)) == "Ünd: a"
        assert here.subject(CommitSha("0" * 40)) == ""

    def test_branch_has_what_was_fetched_and_not_what_is_newer(self, clone: Repo) -> None:
        fetched = CommitSha(clone.head.commit.hexsha)
        newer = clone.index.commit("Not pushed", author=SOMEONE, committer=SOMEONE)
        here = find_here(Path(clone.working_dir))
        assert here is not None
        assert here.has(fetched, MAIN) is True
        assert here.has(CommitSha(newer.hexsha), MAIN) is False
        assert here.has(CommitSha("0" * 40), MAIN) is None
        assert here.has(fetched, Branch("nosuch")) is None

    def test_the_tip_is_the_remote_s_not_the_clone_s(self, clone: Repo) -> None:
        pushed = clone.head.commit.hexsha
        clone.index.commit("Not pushed", author=SOMEONE, committer=SOMEONE)
        here = find_here(Path(clone.working_dir))
        assert here is not None
        assert here.tip(MAIN) == CommitSha(pushed)
        assert here.tip(Branch("nosuch")) is None

    @pytest.mark.parametrize("own", [{}, {"GIT_SSH_COMMAND": "own-ssh"}])
    def test_ssh_runs_in_batch_mode_unless_the_operator_set_a_command(
        self, clone: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: dict[str, str]
    ) -> None:
        log = tmp_path / "log"
        for name in ("ssh", "own-ssh"):
            (tmp_path / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{log}; exit 1\n')
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        for name in ("GIT_SSH_COMMAND", "GIT_SSH"):
            monkeypatch.delenv(name, raising=False)
        for name, value in own.items():
            monkeypatch.setenv(name, value)
        clone.remote("origin").set_url("git@github.invalid:octo/site.git")
        here = find_here(Path(clone.working_dir))
        assert here is not None
        assert here.tip(MAIN) is None
        said = log.read_text()
        assert said.startswith("own-ssh " if own else "ssh -oBatchMode=yes ")
        assert ("BatchMode" in said) is not bool(own)

    def test_a_remote_that_does_not_answer_has_no_tip(self, clone: Repo, tmp_path: Path) -> None:
        (tmp_path / "octo/site.git").rename(tmp_path / "gone.git")
        here = find_here(Path(clone.working_dir))
        assert here is not None
        assert here.tip(MAIN) is None


class TestRepositoryOf:
    @pytest.mark.parametrize(
        "url",
        [
            "git@github.com:Octo/Site.git",
            "https://github.com/octo/site",
            "https://someone:word@github.com/octo/site.git/",
            "ssh://git@github.example.com:2222/octo/site.git",
            "octo.example.com:octo/site",
            "git://example.com/octo/site.git",
            "http://127.0.0.1:8000/octo/site.git",
        ],
    )
    def test_last_two_parts_of_an_address_name_the_repository(self, url: str) -> None:
        assert repository_of(url) == SITE

    @pytest.mark.parametrize(
        "url",
        [
            *("", "site.git", "https://example.com/", "https://example.com/a b/c d"),
            *("/srv/github/octo/site.git", "file:///srv/octo/site.git", "../octo/site.git"),
            *("octo/site", "./octo:x/site.git", "C:/octo/site"),
            *("ext::/tmp/x/octo/site", "helper::https://example.com/octo/site"),
        ],
    )
    def test_local_path_or_incomplete_address_names_no_repository(self, url: str) -> None:
        assert repository_of(url) is None
