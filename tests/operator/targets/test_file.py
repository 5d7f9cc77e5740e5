import json
import re
from pathlib import Path

import pytest

from chalicelib.core.refs import Repository
from chalicelib.core.targets import TargetsError
from pulley.operator.targets.file import parse_targets_file, write_targets_file
from pulley.operator.text_file import UnreadableError, read_text
from tests.app.policies import PROJECT

REFERENCE = PROJECT / "docs/targets.md"
WEB = """
[targets.web]
repository = "octo/site"
branch = "main"
instances = { tags = { role = "web" } }
checkout = "/srv/site"
"""
SITE = Repository("octo", "site")


def problems_of(text: str) -> tuple[str, ...]:
    with pytest.raises(TargetsError) as caught:
        parse_targets_file(text)
    return caught.value.problems


class TestParseTargetsFile:
    def test_a_table_becomes_a_target_of_its_name_with_keys_as_written(self) -> None:
        (one,) = parse_targets_file(WEB + "max_errors = 1\n")
        assert one.target.name == "web"
        assert one.target.environment == "web"
        assert one.entry == {
            "name": "web",
            "repository": "octo/site",
            "branch": "main",
            "instances": {"tags": {"role": "web"}},
            "checkout": "/srv/site",
            "max_errors": 1,
        }

    def test_targets_are_sorted_by_name(self) -> None:
        api = WEB.replace("targets.web", "targets.api").replace("/srv/site", "/srv/api")
        both = parse_targets_file(WEB + api)
        assert [one.target.name for one in both] == ["api", "web"]

    def test_all_problems_are_reported_with_their_paths(self) -> None:
        text = WEB.replace('"/srv/site"', '"srv/site"') + 'timeout = 1\ncolour = "red"\n'
        text += '[targets.api]\nname = "api"\n[targets."No Good"]\n[other]\n'
        problems = problems_of(text)
        assert [problem.partition(": ")[0] for problem in problems[:5]] == [
            "pulley.toml",
            "targets.web.checkout",
            "targets.web.timeout",
            "targets.web",
            "targets.api.name",
        ]
        assert "targets.web.checkout: must be an absolute path, not 'srv/site'" in problems
        words = "targets.'No Good': the table's name must be"
        assert any(problem.startswith(words) for problem in problems)

    def test_unknown_key_is_reported_with_the_keys_of_a_file(self) -> None:
        (problem,) = problems_of(WEB + 'colour = "red"\n')
        assert "unknown key 'colour'; the keys are after, after_healthy, after_pull, " in problem
        assert " name," not in problem

    def test_misspelled_key_is_reported_with_the_nearest_known_one(self) -> None:
        (problem,) = problems_of(WEB.replace("checkout", "chekout"))[-1:]
        assert "targets.web: unknown key 'chekout' (did you mean checkout?); the keys" in problem
        (problem,) = problems_of(WEB.replace("[targets.", "[target."))
        assert problem.startswith("pulley.toml: unknown key 'target' (did you mean targets?);")

    def test_two_targets_of_one_repository_may_not_share_an_environment(self) -> None:
        other = WEB.replace("targets.web", "targets.api").replace("/srv/site", "/srv/api")
        other += 'environment = "Web"\n'
        assert problems_of(WEB + other) == ("targets.api.environment: is the target web's already",)

    def test_targets_of_two_repositories_may_share_an_environment(self) -> None:
        other = WEB.replace("targets.web", "targets.api").replace("octo/site", "octo/api")
        other = other.replace("/srv/site", "/srv/api")
        assert len(parse_targets_file(WEB + other + 'environment = "web"\n')) == 2

    def test_target_may_wait_for_another_one_of_its_repository_only(self) -> None:
        other = WEB.replace("targets.web", "targets.api").replace("/srv/site", "/srv/api")
        other += 'after = ["web"]\n'
        assert len(parse_targets_file(WEB + other)) == 2
        assert problems_of(WEB.replace("octo/site", "octo/shop") + other) == (
            "targets.api.after: the repository has no target 'web'",
        )

    def test_target_may_wait_for_a_target_that_has_a_problem_of_its_own(self) -> None:
        other = WEB.replace("targets.web", "targets.api").replace("/srv/site", "/srv/api")
        (problem,) = problems_of(WEB + "timeout = 1\n" + other + 'after = ["web"]\n')
        assert problem.startswith("targets.web.timeout: ")

    def test_two_targets_with_one_checkout_on_the_same_hosts_are_a_problem(self) -> None:
        other = WEB.replace("targets.web", "targets.api").replace("/srv/site", "/srv/./site/")
        (problem,) = problems_of(WEB + other.replace("octo/site", "octo/api"))
        assert problem.startswith(
            "targets.web.checkout: /srv/site is the checkout of api of octo/api too, and they have "
            "the same instances: "
        )

    def test_wrong_syntax_has_its_line_and_column(self) -> None:
        assert problems_of(WEB + "branch =\n") == (
            "pulley.toml: not TOML: Invalid value (at line 7, column 9)",
        )

    def test_name_twice_is_wrong_syntax(self) -> None:
        assert problems_of(WEB + WEB)[0].startswith("pulley.toml: not TOML: ")

    @pytest.mark.parametrize("text", ["targets = 1", "[[targets]]\nbranch = 'main'"])
    def test_targets_that_are_no_tables_are_a_problem(self, text: str) -> None:
        assert problems_of(text) == ("targets: must be tables like [targets.web]",)

    def test_target_that_is_no_table_is_a_problem(self) -> None:
        assert problems_of("[targets]\nweb = 3") == (
            "targets.web: must be a table, like [targets.web]",
        )

    def test_date_and_nan_are_problems(self) -> None:
        text = WEB + "timeout = 1979-05-27\nmax_errors = nan\n"
        assert len(problems_of(text)) == 2

    def test_too_deep_nesting_is_wrong_syntax(self) -> None:
        assert problems_of("a = " + "[" * 10_000)[0].startswith("pulley.toml: not TOML: ")

    def test_empty_file_has_no_targets_and_no_problem(self) -> None:
        assert parse_targets_file("") == ()


class TestReadText:
    def test_byte_order_mark_is_removed(self, tmp_path: Path) -> None:
        (path := tmp_path / "pulley.toml").write_bytes(b"\xef\xbb\xbf[targets]\r\n")
        assert read_text(str(path)) == "[targets]\r\n"

    def test_missing_file_folder_and_other_encoding_are_unreadable(self, tmp_path: Path) -> None:
        (tmp_path / "bytes").write_bytes(b"ok\xff")
        for name, words in [
            ("none", "No such file"),
            (".", "directory"),
            ("bytes", "is not UTF-8, at byte 3"),
        ]:
            with pytest.raises(UnreadableError, match=words):
                read_text(str(tmp_path / name))


class TestWriteTargetsFile:
    def test_written_file_is_parsed_as_the_same_targets(self) -> None:
        entry = {
            "name": "web",
            "repository": "octo/site",
            "branch": "main",
            "instances": {"tags": {"a b": 'quo"te\\', "é@x": ["x", "]\n"]}},
            "checkout": "/srv/site",
            "restart": ["a.service", "b.service"],
            "timeout": 60,
        }
        ids = {**entry, "name": "ids", "instances": {"ids": ["i-0123456789abcdef0"]}}
        text = write_targets_file({SITE: [entry, ids]})
        read = parse_targets_file(text)
        assert [json.dumps(one.entry) for one in read] == [json.dumps(ids), json.dumps(entry)]
        assert "# octo/site\n" in text
        assert 'instances = { ids = ["i-0123456789abcdef0"] }' in text


class TestDocuments:
    def test_examples_of_the_reference_are_valid(self) -> None:
        examples = re.findall(
            "^```toml\n(.*?)^```", REFERENCE.read_text(), re.MULTILINE | re.DOTALL
        )
        assert [len(parse_targets_file(one)) for one in examples] == [1, 1, 1, 1, 2, 1, 1, 2]


def test_too_long_number_is_wrong_syntax() -> None:
    with pytest.raises(TargetsError, match="not TOML"):
        parse_targets_file(f"a = {'1' * 5000}")
