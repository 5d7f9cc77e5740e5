"""Tags: which fit a pattern, and that their order is git's own."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.refs import CommitSha, RefError, is_ref_name
from chalicelib.core.tags import TaggedCommit, TagGlob, highest_first, newer_tags

A, B = CommitSha("a" * 40), CommitSha("b" * 40)
# Pieces in which git's order has its rules: zeros, dashes, and what is below and above a digit.
PIECES = [*"0129", "10", "00", "01", *"vax-.+_/@=,#%", "-rc.", "--", "1."]
NAMES = (
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=7)
    .map("".join)
    .filter(lambda name: is_ref_name(name) and not name.startswith("-"))
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty bare repository."""
    path = tmp_path_factory.mktemp("tags")
    git(path, "init", "--quiet", "--bare")
    return path


def git(path: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "--git-dir", str(path), *arguments], capture_output=True, check=True, text=True
    )
    return done.stdout


def sorted_by_git(path: Path, names: Sequence[str]) -> list[str]:
    """The names as `git tag` sorts them, the lowest first."""
    tree = git(path, "hash-object", "-t", "tree", "-w", "/dev/null").strip()
    # Not as files, because git cannot have a tag v1 and a tag v1/x as files.
    lines = "".join(f"{tree} refs/tags/{name}\n" for name in sorted(names))
    (path / "packed-refs").write_text(f"# pack-refs with: peeled fully-peeled sorted \n{lines}")
    order = ["-c", "versionsort.suffix=-", "tag", "--sort=version:refname"]
    return git(path, *order).splitlines()


class TestOrder:
    @given(names=st.sets(NAMES, min_size=2, max_size=60))
    def test_order_is_that_of_git(self, repository: Path, names: set[str]) -> None:
        assert highest_first(names)[::-1] == sorted_by_git(repository, sorted(names))

    def test_order_of_usual_names_is_that_of_git(self, repository: Path) -> None:
        ordered = [
            "release-1.9",
            "release-1.10-rc.1",
            "release-1.10",
            "v0-rc1",
            "v00",
            "v01",
            "v0",
            "v1.0-alpha",
            "v1.0-beta",
            "v1.0-rc.2",
            "v1.0-rc.10",
            "v1.02",  # to git, digits behind a leading zero are a fraction
            "v1.0",
            "v1.0+build",
            "v1.0.1",
            "v1.1-rc.1",
            "v1.1",
            "v1.9",
            "v1.10-rc.1",
            "v1.10",
            "v1.10rc1",  # only a dash makes a pre-release
            "v2--a",
            "v2",
        ]
        assert sorted_by_git(repository, ordered) == ordered
        assert highest_first(reversed(ordered)) == ordered[::-1]

    def test_numbers_of_any_length_are_compared(self) -> None:
        long, longer = "v" + "9" * 100, "v1" + "0" * 100
        assert highest_first([long, longer]) == [longer, long]


class TestNewerTags:
    TAGGED = (TaggedCommit("v1.2", A), TaggedCommit("v1.1", B), TaggedCommit("v1.0", A))

    def test_without_a_known_tag_all_are_newer(self) -> None:
        assert newer_tags(self.TAGGED, None) == self.TAGGED

    def test_only_higher_ones_are_newer(self) -> None:
        assert newer_tags(self.TAGGED, TaggedCommit("v1.1", B)) == [*self.TAGGED[:1]]
        assert newer_tags(self.TAGGED, TaggedCommit("v1.2", A)) == []

    def test_moved_tag_is_newer_than_itself(self) -> None:
        assert newer_tags(self.TAGGED, TaggedCommit("v1.1", A)) == [*self.TAGGED[:2]]

    def test_nothing_is_newer_than_a_deleted_tag_that_was_higher(self) -> None:
        assert newer_tags(self.TAGGED, TaggedCommit("v1.3", B)) == []

    def test_release_is_newer_than_its_pre_release_at_the_same_commit(self) -> None:
        assert newer_tags(self.TAGGED, TaggedCommit("v1.2-rc.1", A)) == [*self.TAGGED[:1]]


class TestTagGlob:
    @pytest.mark.parametrize(
        "text", ["v*", "*", "v1.?", "release/*", "v1.2.3", "site-v*", "?*", "v*-rc.*"]
    )
    def test_pattern_is_read(self, text: str) -> None:
        assert str(TagGlob.parse(text)) == text

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "-v*",
            "v[0-9]*",
            "v *",
            "refs/tags/v*",
            "v*.lock",
            "v..*",
            "*/",
            "a//*",
            "v*.",
            "HEAD",
            "v{1,2}",
            "v*\n",
            "!v*",
            "v" * 201,
        ],
    )
    def test_other_text_is_refused(self, text: str) -> None:
        with pytest.raises(RefError, match="must be a tag's name or a pattern, like v"):
            TagGlob.parse(text)

    @pytest.mark.parametrize(
        ("pattern", "fitting", "others"),
        [
            ("v*", ["v", "v1", "v1.0-rc.1", "v1/x"], ["V1", "1.0", "xv1", "refs/v1"]),
            ("*", ["1.0", "v1", "main"], ["-x", "refs/x", "HEAD", "a b", "a$b"]),
            ("v1.?", ["v1.0", "v1.x"], ["v1.", "v1.10"]),
            ("v1.2", ["v1.2"], ["v1.20", "v1x2"]),
            ("site/v*", ["site/v1"], ["v1", "site-v1"]),
        ],
    )
    def test_names_fit(self, pattern: str, fitting: list[str], others: list[str]) -> None:
        glob = TagGlob.parse(pattern)
        assert [name for name in [*fitting, *others] if glob.fits(name)] == fitting

    def test_only_refs_of_tags_are_followed(self) -> None:
        glob = TagGlob.parse("v*")
        refs = ["refs/tags/v1", "refs/heads/v1", "v1", "refs/tags/x", "refs/remotes/origin/v1"]
        assert [ref for ref in refs if glob.follows(ref)] == ["refs/tags/v1"]

    @pytest.mark.parametrize(
        ("pattern", "prefix"),
        [("v*", "v"), ("v1.?.*", "v1."), ("*", ""), ("v1", "v1"), ("a/b?", "a/b")],
    )
    def test_prefix_is_what_all_names_begin_with(self, pattern: str, prefix: str) -> None:
        assert TagGlob.parse(pattern).prefix == prefix

    @given(pattern=st.text("v1.*?/", min_size=1, max_size=8), name=NAMES)
    def test_each_name_that_fits_begins_with_the_prefix(self, pattern: str, name: str) -> None:
        try:
            glob = TagGlob.parse(pattern)
        except RefError:
            return
        assert not glob.fits(name) or name.startswith(glob.prefix)
