"""Pathspecs: what an operator may write in `paths`, and what a host gets of it."""

import re

import pytest

from chalicelib.core.pathspecs import MAX_PATHS_LENGTH, PATHS_PATTERN, read_paths
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
