"""What an operator may write in `paths` and in `shared`, and what a host gets of it."""

import re

import pytest

from chalicelib.core.paths import (
    MAX_PATHS_LENGTH,
    MAX_SHARED_LENGTH,
    PATHS_PATTERN,
    RELEASES_PATTERN,
    read_paths,
    read_shared,
)
from chalicelib.core.targets import parse_target
from tests.core.test_targets import problems_of
from tests.fakes import target_json

LONGEST = "a" * 100


class TestReadPaths:
    @pytest.mark.parametrize(
        "paths",
        [
            ["site/**"],
            [":!**/*.md"],
            ["site/**", ":!site/docs/**", "lib-1/?.py", "@scope/a+b=c"],
            [f"{number}/**" for number in range(10)],
            [LONGEST, LONGEST, LONGEST, "a" * 98],
        ],
    )
    def test_pathspecs_are_kept_in_order_and_fit_the_document(self, paths: list[str]) -> None:
        assert read_paths(paths) == tuple(paths)
        assert parse_target("web", target_json(paths=paths)).paths == tuple(paths)
        assert re.fullmatch(PATHS_PATTERN, ",".join(paths))

    @pytest.mark.parametrize(
        ("paths", "reason"),
        [
            ("site/**", "must be a list of git's pathspecs"),
            ([], "must be a list of git's pathspecs"),
            (["a b"], "must be a list of git's pathspecs"),
            (["a,b"], "must be a list of git's pathspecs"),
            (["-a"], "must be a list of git's pathspecs"),
            ([":(icase)a"], "must be a list of git's pathspecs"),
            ([":!"], "must be a list of git's pathspecs"),
            (["$(reboot)"], "must be a list of git's pathspecs"),
            (["a" * 101], "must be a list of git's pathspecs"),
            ([7], "must be a list of git's pathspecs"),
            (["/site"], "must be within the repository, and not begin with /: '/site'"),
            ([":!/site"], "must be within the repository, and not begin with /: ':!/site'"),
            (["a/../b"], "must be within the repository, and not begin with /: 'a/../b'"),
            ([".."], "must be within the repository, and not begin with /: '..'"),
            ([f"{number}" for number in range(11)], "must not have more than 10 pathspecs"),
            (
                [LONGEST, LONGEST, LONGEST, "a" * 99],
                f"must not have more than {MAX_PATHS_LENGTH} characters of pathspecs",
            ),
        ],
    )
    def test_other_values_are_refused_with_the_rule(self, paths: object, reason: str) -> None:
        (problem,) = problems_of(paths=paths)
        assert problem.startswith(f"targets.web.paths: {reason}")


class TestReadShared:
    @pytest.mark.parametrize(
        "paths",
        [
            ["uploads/", ".env"],
            ["var/log/", "var/run", "config/settings.json"],
            ["a", "ab", "a-b/", "a.b"],
            [f"{number}" for number in range(20)],
            [f"{number}{'a' * 97}" for number in range(4)],
        ],
    )
    def test_paths_are_kept_in_order_and_fit_the_document(self, paths: list[str]) -> None:
        assert read_shared(paths) == tuple(paths)
        assert re.fullmatch(RELEASES_PATTERN, ",".join(["99", *paths]))

    @pytest.mark.parametrize(
        ("paths", "reason"),
        [
            ("uploads", "must be a list of paths"),
            ([], "must be a list of paths"),
            (["a b"], "must be a list of paths"),
            (["a,b"], "must be a list of paths"),
            (["-a"], "must be a list of paths"),
            (["/etc"], "must be a list of paths"),
            (["a*"], "must be a list of paths"),
            ([7], "must be a list of paths"),
            (["a//b"], "must be paths within a release, not 'a//b/'"),
            (["../a"], "must be paths within a release, not '../a/'"),
            (["a/.."], "must be paths within a release, not 'a/../'"),
            (["."], "must be paths within a release, not './'"),
            ([".git/x"], "must be paths within a release, not '.git/x/'"),
            (["x.git"], "must be paths within a release, not 'x.git/'"),
            (["a..b"], "must be paths within a release, not 'a..b/'"),
            (["a", "a/"], "must not have 'a/' and what is in it"),
            (["a/b", "a-b", "a"], "must not have 'a/' and what is in it"),
            ([f"{number}" for number in range(21)], "must be at most 20 paths"),
            (
                [f"{number}{'a' * 99}" for number in range(4)],
                f"must be at most 20 paths, {MAX_SHARED_LENGTH} characters",
            ),
        ],
    )
    def test_other_values_are_refused_with_the_rule(self, paths: object, reason: str) -> None:
        (problem,) = problems_of(layout="releases", shared=paths)
        assert problem.startswith(f"targets.web.shared: {reason}")
