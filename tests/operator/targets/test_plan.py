import json
from collections.abc import Mapping

import pytest

from chalicelib.core.refs import Repository
from chalicelib.core.targets import TargetsError
from pulley.operator.aws.parameters import ADVANCED, StoredValue
from pulley.operator.targets.file import FileTarget, parse_targets_file, write_targets_file
from pulley.operator.targets.plan import (
    KeyChange,
    ListChange,
    StoredList,
    leavers,
    parse_stored_list,
    plan_targets,
)

SITE, OTHER = Repository("octo", "site"), Repository("octo", "other")


def entry(name: str, repository: Repository = SITE, **keys: object) -> dict[str, object]:
    return {
        "name": name,
        "repository": str(repository),
        "branch": "main",
        "instances": {"tags": {"role": name}},
        "checkout": "/srv/site",
        **keys,
    }


def file_of(*entries: Mapping[str, object]) -> tuple[FileTarget, ...]:
    return parse_targets_file(write_targets_file({SITE: entries}))


def stored_of(text: str, repository: Repository = SITE, **facts: str) -> StoredList:
    return parse_stored_list(repository, StoredValue("name", text, 3), **facts)


def stored(*entries: Mapping[str, object], repository: Repository = SITE) -> StoredList:
    return stored_of(json.dumps(entries), repository)


def plan(
    read: tuple[FileTarget, ...],
    *lists: StoredList,
    others: tuple[StoredList, ...] = (),
    prune: bool = False,
    advanced: bool = False,
) -> tuple[ListChange, ...]:
    return plan_targets(read, lists, others, prune=prune, advanced=advanced)


def problems_of(*arguments: object, **options: object) -> tuple[str, ...]:
    with pytest.raises(TargetsError) as caught:
        plan(*arguments, **options)  # type: ignore[arg-type]
    return caught.value.problems


class TestPlanTargets:
    def test_first_targets_are_added_sorted_and_compact(self) -> None:
        (change,) = plan(file_of(entry("web"), entry("api")), StoredList(SITE))
        assert [(one.name, one.action) for one in change.changes] == [
            ("api", "added"),
            ("web", "added"),
        ]
        assert change.text == json.dumps([entry("api"), entry("web")], separators=(",", ":"))
        assert change.bytes == len(change.text)

    def test_same_targets_in_another_order_need_no_change(self) -> None:
        turned = dict(reversed(entry("web").items()))
        (change,) = plan(file_of(entry("web"), entry("api")), stored(turned, entry("api")))
        assert not change.is_needed

    def test_changed_target_is_shown_key_by_key(self) -> None:
        new = entry("web", branch="release", timeout=60)
        old = entry("web", update="reset")
        (change,) = plan(file_of(new), stored(old))
        assert change.changes[0].keys == (
            KeyChange("branch", "main", "release"),
            KeyChange("timeout", None, 60),
            KeyChange("update", "reset", None),
        )

    def test_target_missing_in_the_file_is_kept_and_named(self) -> None:
        (change,) = plan(file_of(entry("web")), stored(entry("web"), entry("api")))
        assert change.kept == ("api",)
        assert not change.is_needed
        assert json.loads(change.text) == [entry("api"), entry("web")]

    def test_target_missing_in_the_file_is_removed_by_prune(self) -> None:
        (change,) = plan(file_of(entry("web")), stored(entry("web"), entry("api")), prune=True)
        assert [(one.name, one.action) for one in change.changes] == [("api", "removed")]
        assert json.loads(change.text) == [entry("web")]

    def test_repository_that_is_emptied_keeps_an_empty_list(self) -> None:
        (change,) = plan((), stored(entry("web")), prune=True)
        assert change.text == "[]"
        assert change.is_needed

    def test_kept_target_with_the_environment_of_a_file_s_target_is_a_problem(self) -> None:
        new = entry("api", environment="production")
        old = entry("web", environment="production")
        problems = problems_of(file_of(new), stored(old))
        assert "is the target api's already" in problems[0]
        assert "--prune" in problems[1]
        assert plan(file_of(new), stored(old), prune=True)

    def test_name_of_another_repository_s_target_is_a_problem(self) -> None:
        other = stored(entry("web", OTHER), repository=OTHER)
        (problem,) = problems_of(file_of(entry("web")), StoredList(SITE), others=(other,))
        assert problem.startswith("targets.web: octo/other has a target of this name; ")
        assert "--repository octo/other --prune" in problem

    def test_target_that_moves_to_another_repository_needs_prune(self) -> None:
        old = stored(entry("web", OTHER), repository=OTHER)
        (problem,) = problems_of(file_of(entry("web")), old, StoredList(SITE))
        assert "--prune" in problem
        changes = plan(file_of(entry("web")), old, StoredList(SITE), prune=True)
        assert leavers(changes) == {"web": "goes from octo/other to octo/site"}

    def test_removed_target_is_listed_as_leaving(self) -> None:
        changes = plan((), stored(entry("web")), prune=True)
        assert leavers(changes) == {"web": "is removed"}

    @pytest.mark.parametrize("text", ["{", "{}", "null", '[{"name": 3}]'])
    def test_unreadable_list_is_replaced_and_marked(self, text: str) -> None:
        (change,) = plan(file_of(entry("web")), stored_of(text))
        assert change.replaced
        assert change.is_needed
        assert json.loads(change.text) == [entry("web")]

    def test_invalid_kept_target_is_a_problem(self) -> None:
        problems = problems_of(file_of(entry("web")), stored(entry("api", branch="no good")))
        assert problems[0].startswith("octo/site: targets.api.branch: ")
        assert "api would be kept" in problems[1]

    def test_invalid_list_is_replaced_even_if_no_target_changes(self) -> None:
        (change,) = plan(file_of(entry("web")), stored(entry("web"), entry("web")))
        assert change.changes == ()
        assert change.is_needed


class TestSize:
    def many(self, count: int) -> tuple[FileTarget, ...]:
        return file_of(*(entry(f"web-{number}") for number in range(count)))

    def test_list_over_the_standard_tier_is_a_problem_that_suggests_advanced(self) -> None:
        (problem,) = problems_of(self.many(40), StoredList(SITE))
        assert "bytes of 4,096; --advanced stores up to 8,192 bytes" in problem
        (change,) = plan(self.many(40), StoredList(SITE), advanced=True)
        assert change.tier == ADVANCED

    def test_list_over_the_advanced_tier_is_always_a_problem(self) -> None:
        (problem,) = problems_of(self.many(80), StoredList(SITE))
        assert "--advanced" not in problem
        (problem,) = problems_of(self.many(80), StoredList(SITE), advanced=True)
        assert "bytes of 8,192; more than a parameter holds" in problem

    def test_short_list_stays_in_the_standard_tier(self) -> None:
        (change,) = plan(self.many(2), StoredList(SITE), advanced=True)
        assert change.tier == "Standard"

    def test_list_in_the_advanced_tier_stays_in_it(self) -> None:
        (change,) = plan(self.many(2), stored_of("[]", tier=ADVANCED))
        assert change.tier == ADVANCED
