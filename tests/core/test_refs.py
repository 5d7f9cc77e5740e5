"""Names of git and GitHub: what is accepted, what is refused, and what an error may show."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.refs import Branch, CommitSha, RefError, Repository, shown

SHA = "4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b1c2d3e"


class TestRepositoryParse:
    @pytest.mark.parametrize(
        ("text", "owner", "name"),
        [
            ("octo/site", "octo", "site"),
            ("Octo-Org/Site.js", "octo-org", "site.js"),
            ("mona_corp/.github", "mona_corp", ".github"),
            ("o/_", "o", "_"),
            (f"{'o' * 64}/{'r' * 100}", "o" * 64, "r" * 100),
        ],
    )
    def test_valid_name_is_accepted_in_lower_case(self, text: str, owner: str, name: str) -> None:
        assert Repository.parse(text) == Repository(owner, name)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "site",
            "octo/",
            "/site",
            "octo/site/more",
            "octo/.",
            "octo/..",
            "../site",
            "-octo/site",
            "octo/si te",
            "octo/site\n",
            "octo/sité",
            "octo/si'te",
            "octo/{{ssm:x}}",
            f"{'o' * 65}/r",
            f"o/{'r' * 101}",
        ],
    )
    def test_name_that_github_does_not_allow_is_refused(self, text: str) -> None:
        with pytest.raises(RefError, match=r"^must be owner/repository as on GitHub, not "):
            Repository.parse(text)

    def test_text_is_the_full_name(self) -> None:
        assert str(Repository.parse("Octo/Site")) == "octo/site"


class TestBranchParse:
    @pytest.mark.parametrize(
        "name",
        ["main", "release/1.2", "feature/#12", "a", "_x", "v1@2", "1%", "a+b=c,d", "m" * 200],
    )
    def test_short_name_is_accepted(self, name: str) -> None:
        assert Branch.parse(name).name == name

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "-main",
            "--upload-pack=x",
            "refs/heads/main",
            "HEAD",
            "main.",
            "a..b",
            "a//b",
            "/main",
            "main/",
            ".main",
            "a/.b",
            "main.lock",
            "a.lock/b",
            "a@{b",
            "a b",
            "a\nb",
            "main\n",
            "a'b",
            'a"b',
            "a$b",
            "a`b",
            "a;b",
            "a\\b",
            "a{b}",
            "ä",
            "m" * 201,
        ],
    )
    def test_anything_else_is_refused(self, name: str) -> None:
        with pytest.raises(RefError, match=r"^must be a branch's short name, like main"):
            Branch.parse(name)

    def test_text_is_the_short_name(self) -> None:
        assert str(Branch.parse("main")) == "main"


class TestBranchRef:
    def test_branch_has_the_ref_that_a_push_names(self) -> None:
        assert Branch.parse("release/1.2").ref == "refs/heads/release/1.2"


class TestCommitShaParse:
    def test_forty_hex_digits_are_accepted(self) -> None:
        assert CommitSha.parse(SHA).sha == SHA

    @pytest.mark.parametrize(
        "text",
        ["", SHA[:39], SHA + "0", SHA + "\n", SHA.upper(), "g" * 40, "0" * 40, "main", "٤" * 40],
    )
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(RefError, match=r"^must be a commit of 40 hex digits, not '"):
            CommitSha.parse(text)

    def test_text_is_the_full_commit_and_short_has_seven_digits(self) -> None:
        assert (str(CommitSha.parse(SHA)), CommitSha.parse(SHA).short) == (SHA, "4d5e6f7")


class TestShown:
    @given(st.text() | st.binary() | st.lists(st.text()) | st.integers())
    def test_anything_is_shown_as_one_short_line_of_ascii(self, value: object) -> None:
        text = shown(value)
        assert len(text) <= 80
        assert text.isascii()
        assert text.isprintable()

    def test_long_text_ends_in_dots(self) -> None:
        assert shown("x" * 79) == "'" + "x" * 76 + "..."

    def test_text_at_the_limit_is_not_cut(self) -> None:
        assert shown("x" * 78) == "'" + "x" * 78 + "'"

    def test_value_nested_too_deeply_is_described_by_its_type(self) -> None:
        nested: object = []
        for _ in range(10_000):
            nested = [nested]
        assert shown(nested) == "something too large to show (list)"

    def test_number_with_too_many_digits_is_described_by_its_type(self) -> None:
        assert shown(1 << 100_000) == "something too large to show (int)"

    def test_half_of_a_surrogate_pair_is_shown_escaped(self) -> None:
        assert shown(json.loads('"\\ud800"')) == r"'\ud800'"
