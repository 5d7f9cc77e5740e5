"""Gates: what an operator may write, in words, and which targets may wait for which."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.gates import (
    EVERY_CHECK,
    MANUAL,
    MAX_CIRCLES,
    PUSH,
    Gates,
    problems_of_chain,
    problems_of_gates,
)
from chalicelib.core.targets import (
    NO_GATES,
    Target,
    TargetsError,
    parse_stored_targets,
    parse_target,
    problems_among,
)
from chalicelib.core.windows import Window
from tests.fakes import SITE, target_json

OFFICE = "Mon-Fri 09:00-17:00 Europe/Berlin"
NIGHT = "Sat 02:00-04:00 UTC"
A_WINDOW = Window.parse(OFFICE)


def gates_of(**keys: object) -> Gates:
    """The gates of a target with these keys."""
    return parse_target("targets.web", target_json(**keys)).gates


def problems_of(**keys: object) -> tuple[str, ...]:
    """The problems of a target with these keys."""
    with pytest.raises(TargetsError) as raised:
        gates_of(**keys)
    return raised.value.problems


def stored(*entries: dict[str, object]) -> tuple[Target, ...]:
    return parse_stored_targets(json.dumps(entries), SITE)


def stored_problems(*entries: dict[str, object]) -> tuple[str, ...]:
    with pytest.raises(TargetsError) as raised:
        stored(*entries)
    return raised.value.problems


class TestGates:
    def test_target_without_a_key_of_gates_has_no_gate(self) -> None:
        gates = gates_of()
        assert gates == NO_GATES
        assert not gates
        assert not parse_target("", target_json()).needs_github
        assert str(gates) == ""

    @pytest.mark.parametrize(
        ("gates", "needs_github"),
        [
            (Gates(checks=("test",)), True),
            (Gates(after=("staging",)), True),
            (Gates(windows=(A_WINDOW,)), True),
            (Gates(trigger=MANUAL), False),
        ],
    )
    def test_each_gate_counts_and_only_manual_asks_github_nothing(
        self, gates: Gates, *, needs_github: bool
    ) -> None:
        assert gates
        target = replace(parse_target("", target_json()), gates=gates)
        assert target.needs_github == needs_github

    @pytest.mark.parametrize(
        ("soak", "length"),
        [("", timedelta()), ("90m", timedelta(minutes=90)), ("20d", timedelta(days=20))],
    )
    def test_soak_time_is_the_length_of_time(self, soak: str, length: timedelta) -> None:
        assert Gates(after=("staging",), soak=soak).soak_time == length

    @pytest.mark.parametrize(
        ("keys", "words"),
        [
            ({"trigger": "manual"}, "pulley deploy (trigger is manual)"),
            ({"trigger": "push"}, ""),
            ({"checks": True}, "every check"),
            ({"checks": ["test", "lint"]}, "test and lint"),
            ({"after": ["staging", "canary"]}, "staging and canary"),
            ({"after": ["staging"], "soak": "10m"}, "staging to be well for 10m"),
            ({"window": OFFICE}, OFFICE),
            ({"window": [OFFICE, NIGHT]}, f"{OFFICE} or {NIGHT}"),
            (
                {"checks": ["test"], "after": ["staging"], "window": NIGHT},
                f"test, staging, {NIGHT}",
            ),
        ],
    )
    def test_words_name_all_that_the_target_waits_for(
        self, keys: dict[str, object], words: str
    ) -> None:
        assert str(gates_of(**keys)) == words


class TestReaders:
    @pytest.mark.parametrize(
        ("keys", "expected"),
        [
            ({"checks": True}, Gates(checks=EVERY_CHECK)),
            (
                {"checks": ["test / unit (3.11)", "läuft"]},
                Gates(checks=("test / unit (3.11)", "läuft")),
            ),
            ({"checks": ["test", "lint", "test"]}, Gates(checks=("test", "lint"))),
            ({"checks": ["a" * 100] * 20}, Gates(checks=("a" * 100,))),
            ({"after": ["staging", "staging"]}, Gates(after=("staging",))),
            ({"after": ["staging"], "soak": "1m"}, Gates(after=("staging",), soak="1m")),
            ({"after": ["staging"], "soak": "20d"}, Gates(after=("staging",), soak="20d")),
            ({"trigger": "push"}, Gates(trigger=PUSH)),
            ({"trigger": "manual"}, Gates(trigger=MANUAL)),
            ({"window": OFFICE}, Gates(windows=(A_WINDOW,))),
            ({"window": [OFFICE]}, Gates(windows=(A_WINDOW,))),
            ({"window": [OFFICE] * 10}, Gates(windows=(A_WINDOW,) * 10)),
        ],
    )
    def test_valid_keys_are_read(self, keys: dict[str, object], expected: Gates) -> None:
        assert gates_of(**keys) == expected

    @pytest.mark.parametrize(
        "checks",
        [
            *(False, None, 1, "test", {}, [], [""], [1], [True], ["*"], ["a\nb"], ["a" * 101]),
            [f"test-{number}" for number in range(21)],
            ["test", ["lint"]],
        ],
    )
    def test_checks_must_be_true_or_names(self, checks: object) -> None:
        (problem,) = problems_of(checks=checks)
        assert problem.startswith(
            'targets.web.checks: must be true or the names of 1 to 20 checks, like ["test"], not '
        )

    @pytest.mark.parametrize(
        "after",
        [
            *(True, None, "staging", {}, [], [""], [1], ["Staging"], ["a" * 51], ["staging\n"]),
            ["octo/other:staging"],
            [f"target-{number}" for number in range(21)],
        ],
    )
    def test_after_must_be_names_of_targets(self, after: object) -> None:
        (problem,) = problems_of(after=after)
        assert problem.startswith(
            'targets.web.after: must be the names of 1 to 20 targets, like ["staging"], not '
        )

    @pytest.mark.parametrize(
        "soak", [0, 10, None, "", "10", "0m", "59s", "21d", "1w", "-1m", "1.5h"]
    )
    def test_soak_must_be_a_length_of_time(self, soak: object) -> None:
        (problem,) = problems_of(after=["staging"], soak=soak)
        assert problem.startswith(
            'targets.web.soak: must be a length of time like "6h", 1m to 20d, not '
        )

    @pytest.mark.parametrize("trigger", [None, True, "", "Push", "Deployment", ["push"]])
    def test_trigger_must_be_push_manual_or_deployment(self, trigger: object) -> None:
        (problem,) = problems_of(trigger=trigger)
        assert problem.startswith("targets.web.trigger: must be push, manual or deployment, not ")

    @pytest.mark.parametrize(
        "window", [None, True, 9, {}, [], [OFFICE] * 11, [OFFICE, 9], [[OFFICE]]]
    )
    def test_window_must_be_texts(self, window: object) -> None:
        (problem,) = problems_of(window=window)
        assert problem.startswith("targets.web.window: must be a window or 1 to 10 of them, not ")

    @pytest.mark.parametrize(
        ("window", "problem"),
        [
            ("9 to 5", 'must be like "Mon-Fri 09:00-17:00 Europe/Berlin"'),
            (
                "Mon 09:00-17:00 Mars/Base",
                "must name a time zone of the tz database, like Europe/Berlin or UTC",
            ),
            (
                "Mon 09:00-09:00 UTC",
                "must end at another time than it begins, or it never opens",
            ),
        ],
    )
    def test_problem_of_a_window_has_its_text(self, window: str, problem: str) -> None:
        whole = f"targets.web.window: {problem}, not '{window}'"
        assert problems_of(window=window) == problems_of(window=[OFFICE, window]) == (whole,)

    def test_all_keys_are_reported_at_once_with_their_paths(self) -> None:
        found = problems_of(
            checks=[], after="staging", soak="soon", trigger="tag", window="always", timeout=1
        )
        paths = [problem.partition(": ")[0].removeprefix("targets.web.") for problem in found]
        assert paths == ["checks", "after", "soak", "trigger", "window", "timeout"]


class TestProblemsOfGates:
    def test_soak_needs_after(self) -> None:
        assert problems_of(soak="10m", checks=["test"]) == (
            "targets.web.soak: needs after, the targets that must be well for so long",
        )

    def test_target_may_not_wait_for_itself(self) -> None:
        assert problems_of(after=["staging", "web"]) == (
            "targets.web.after: must not have the target itself",
        )

    @pytest.mark.parametrize(
        ("keys", "others"),
        [
            ({"checks": True}, "checks"),
            ({"after": ["staging"]}, "after"),
            ({"window": OFFICE}, "window"),
            (
                {"window": OFFICE, "checks": ["test"], "after": ["staging"]},
                "checks, after, window",
            ),
        ],
    )
    def test_manual_target_may_have_no_other_gate(
        self, keys: dict[str, object], others: str
    ) -> None:
        assert problems_of(trigger="manual", **keys) == (
            f"targets.web.trigger: manual goes out by pulley deploy alone, so leave out {others}",
        )

    def test_all_problems_are_reported_at_once(self) -> None:
        gates = Gates(checks=("test",), soak="1h", trigger=MANUAL)
        found = problems_of_gates("targets.web", "web", gates)
        assert [one.partition(": ")[0] for one in found] == [
            "targets.web.soak",
            "targets.web.trigger",
        ]
        both = replace(gates, after=("web",))
        assert len(problems_of_gates("targets.web", "web", both)) == 2

    def test_gates_that_fit_together_have_no_problem(self) -> None:
        gates = Gates(("test",), ("staging",), "10m", PUSH, (A_WINDOW,))
        assert problems_of_gates("targets.web", "web", gates) == []


def chain(text: str) -> dict[str, tuple[str, ...]]:
    """Parse `a<b,c b<d`: a waits for b and c, b waits for d."""
    waits = dict(part.partition("<")[::2] for part in text.split())
    return {name: tuple(others.split(",")) if others else () for name, others in waits.items()}


class TestProblemsOfChain:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "a",
            "a<b b",
            "a<b b<c c",
            "c b<c a<b",
            "a<b,c b<d c<d d",  # a diamond
            "d c<d b<d a<b,c",
            "a<b,c,d b<c,d c<d d",
            "a<b b c<d d",  # two chains
        ],
    )
    def test_chain_that_ends_has_no_problem(self, text: str) -> None:
        assert problems_of_chain(chain(text)) == []

    @pytest.mark.parametrize(
        ("text", "problems"),
        [
            ("a<b b<a", ["targets.a.after: a waits for b waits for a"]),
            ("a<b b<c c<a", ["targets.a.after: a waits for b waits for c waits for a"]),
            ("a<b b<c c<b", ["targets.b.after: b waits for c waits for b"]),  # a leads to it
            ("a<b,c b<d c<d d<a", ["targets.a.after: a waits for b waits for d waits for a"]),
            (
                "a<b b<a c<d d<c",
                [
                    "targets.a.after: a waits for b waits for a",
                    "targets.c.after: c waits for d waits for c",
                ],
            ),
            (
                "a<b,c b<a c<a",
                [
                    "targets.a.after: a waits for b waits for a",
                    "targets.a.after: a waits for c waits for a",
                ],
            ),
            ("a<a,b b<a", ["targets.a.after: a waits for b waits for a"]),
        ],
    )
    def test_each_circle_is_a_problem_with_all_its_names(
        self, text: str, problems: list[str]
    ) -> None:
        assert problems_of_chain(chain(text)) == problems

    def test_self_wait_is_left_to_the_target_s_own_problems(self) -> None:
        assert problems_of_chain(chain("a<a")) == []

    def test_each_unknown_name_is_a_problem(self) -> None:
        assert problems_of_chain(chain("a<x,b b<y")) == [
            "targets.a.after: the repository has no target 'x'",
            "targets.b.after: the repository has no target 'y'",
        ]

    def test_unknown_names_and_circles_are_reported_at_once(self) -> None:
        assert len(problems_of_chain(chain("a<b,x b<a"))) == 2

    def test_chain_of_thousands_is_followed_to_its_end(self) -> None:
        names = [f"t{number}" for number in range(5000)]
        after: dict[str, tuple[str, ...]] = {name: (other,) for name, other in pairwise(names)}
        assert problems_of_chain(after | {names[-1]: ()}) == []
        (problem,) = problems_of_chain(after | {names[-1]: (names[0],)})
        assert problem.startswith("targets.t0.after: t0 waits for t1 waits for t2 ")
        assert problem.endswith(" waits for t4999 waits for t0")

    def test_file_that_is_full_of_circles_gets_a_short_answer(self) -> None:
        # Each target leads to the next one and back to ten: thousands of circles, a thousand long.
        after = {
            f"t{place}": [f"t{place + 1}", *(f"t{other}" for other in range(min(place, 10)))]
            for place in range(1000)
        } | {"t1000": ["t0"]}
        problems = problems_of_chain(after)
        assert len(problems) == MAX_CIRCLES
        assert max(len(one) for one in problems) < 300

    def test_ladder_of_diamonds_is_no_circle(self) -> None:
        after: dict[str, tuple[str, ...]] = {"a0": (), "b0": ()}
        for number in range(1, 500):
            before = (f"a{number - 1}", f"b{number - 1}")
            after |= {f"a{number}": before, f"b{number}": before}
        assert problems_of_chain(dict(reversed(after.items()))) == []

    @given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"))))
    def test_circle_is_reported_exactly_if_names_cannot_be_put_in_order(
        self, after: dict[str, list[str]]
    ) -> None:
        known = {
            name: {other for other in others if other in after and other != name}
            for name, others in after.items()
        }
        left = dict(known)
        while free := [name for name, others in left.items() if not others & left.keys()]:
            for name in free:
                del left[name]
        circles = [one for one in problems_of_chain(after) if "waits for" in one]
        assert bool(circles) == bool(left)
        for circle in circles:
            names = circle.partition(": ")[2].split(" waits for ")
            assert names[0] == names[-1]
            assert all(other in known[name] for name, other in pairwise(names))


class TestProblemsAmong:
    STAGING = target_json("staging", checks=["test"])
    PRODUCTION = target_json("production", after=["staging"])

    def test_chain_of_one_repository_is_valid(self) -> None:
        staging, production = stored(self.STAGING, self.PRODUCTION)
        assert production.gates.after == (staging.name,)
        assert problems_among([staging, production]) == []

    def test_order_of_the_list_does_not_matter(self) -> None:
        assert len(stored(self.PRODUCTION, self.STAGING)) == 2

    def test_unknown_name_is_a_problem(self) -> None:
        assert stored_problems(self.PRODUCTION) == (
            "targets.production.after: the repository has no target 'staging'",
        )

    def test_name_of_a_target_that_is_not_valid_is_known(self) -> None:
        """Or the operator would look for two mistakes where there is one."""
        wrong = self.STAGING | {"checkout": "srv"}
        (problem,) = stored_problems(wrong, self.PRODUCTION)
        assert problem.startswith("targets.staging.checkout: ")

    def test_circle_of_valid_targets_is_a_problem(self) -> None:
        other = target_json("staging", after=["production"])
        assert stored_problems(other, self.PRODUCTION) == (
            "targets.staging.after: staging waits for production waits for staging",
        )

    def test_environments_and_chains_are_reported_at_once(self) -> None:
        entry = self.PRODUCTION | {"after": ["canary"], "environment": "staging"}
        found = stored_problems(self.STAGING, entry)
        assert [one.partition(": ")[0] for one in found] == [
            "targets.production.environment",
            "targets.production.after",
        ]

    @given(st.lists(st.lists(st.sampled_from("abc"), max_size=3), max_size=3))
    def test_any_chain_gives_targets_or_problems_with_paths(self, afters: list[list[str]]) -> None:
        entries = [
            target_json(name, after=after) for name, after in zip("abc", afters, strict=False)
        ]
        problems: tuple[str, ...] = ()
        try:
            targets = stored(*entries)
        except TargetsError as error:
            targets, problems = (), error.problems
        assert len(targets) == len(entries) or problems
        assert all(re.match(r"targets\.[abc]\.after: ", one) for one in problems)


class TestSentUpdate:
    @pytest.mark.parametrize("update", ["rebase", "reset"])
    def test_target_without_gates_follows_the_branch(self, update: str) -> None:
        assert parse_target("", target_json(update=update)).sent_update == update

    @pytest.mark.parametrize("keys", [{"checks": True}, {"trigger": "manual"}, {"window": NIGHT}])
    @pytest.mark.parametrize("update", ["rebase", "reset"])
    def test_target_with_gates_stops_at_the_commit(
        self, update: str, keys: dict[str, object]
    ) -> None:
        target = parse_target("", target_json(update=update, **keys))
        assert target.sent_update == f"{update}-to"
        assert target.update == update
