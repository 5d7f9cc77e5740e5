"""What is done next for a deployment, by what its hosts say, what GitHub has, and who was told."""

import itertools

import pytest

from chalicelib.core.deployments import DeploymentStatus
from chalicelib.core.sync_steps import (
    Known,
    Seen,
    Step,
    after,
    end_of,
    next_step,
)

# GitHub: "REST API endpoints for deployment statuses".
STATES = ["error", "failure", "inactive", "in_progress", "queued", "pending", "success"]
BEGUN = ["error", "failure", "in_progress", "success"]
PROGRESS = DeploymentStatus("in_progress", "deploying 4d5e6f7 to 2 hosts")
SUCCESS = DeploymentStatus("success", "1 of 2 hosts at 4d5e6f7; 1 offline, will catch up")
WHOLE = DeploymentStatus("success", "2 of 2 hosts at 4d5e6f7")
FAILURE = DeploymentStatus("failure", "0 of 2 hosts at 4d5e6f7")
REPLACED = DeploymentStatus("inactive", "replaced by bbbbbbb")
OVERTAKEN = DeploymentStatus("inactive", "overtaken by bbbbbbb before it ran")
HELD = DeploymentStatus("inactive", "not deployed: frozen: a holiday")
UNSENT = DeploymentStatus("error", "not sent to any host: Systems Manager is throttled")


class TestEndOf:
    """Of statuses that are newest first."""

    def test_nothing_said_is_no_end(self) -> None:
        assert end_of([]) is None

    @pytest.mark.parametrize("state", STATES)
    def test_one_status_is_an_end_where_it_was_under_way_or_failed(self, state: str) -> None:
        only = DeploymentStatus(state, "x")
        ended = state in {"success", "failure", "error"}
        assert end_of([only]) == (only if ended else None)

    @pytest.mark.parametrize(
        "said",
        [
            [HELD],
            [OVERTAKEN],
            [HELD, HELD],
            [DeploymentStatus("inactive", "")],
            [DeploymentStatus("inactive", "of what was held, in whatever words")],
        ],
    )
    def test_what_was_only_ever_inactive_may_yet_begin(self, said: list[DeploymentStatus]) -> None:
        assert end_of(said) is None
        assert end_of([PROGRESS, *said]) is None

    @pytest.mark.parametrize("state", BEGUN)
    @pytest.mark.parametrize("words", ["replaced by bbbbbbb", HELD.description])
    def test_what_was_under_way_has_ended_with_inactive_in_whatever_words(
        self, state: str, words: str
    ) -> None:
        inactive = DeploymentStatus("inactive", words)
        assert end_of([inactive, DeploymentStatus(state, "x")]) == inactive
        assert end_of([inactive, HELD, DeploymentStatus(state, "x")]) == inactive

    @pytest.mark.parametrize("state", ["queued", "pending", "", "unheard-of"])
    def test_what_was_only_waiting_has_not(self, state: str) -> None:
        assert end_of([REPLACED, DeploymentStatus(state, "x")]) is None

    def test_newest_end_counts(self) -> None:
        assert end_of([SUCCESS, FAILURE]) == SUCCESS
        assert end_of([PROGRESS, SUCCESS, PROGRESS, FAILURE]) == SUCCESS
        assert end_of([REPLACED, SUCCESS]) == REPLACED

    def test_what_was_held_and_is_under_way_ends_by_what_comes_then(self) -> None:
        assert end_of([FAILURE, PROGRESS, HELD]) == FAILURE
        assert end_of([PROGRESS, FAILURE, PROGRESS, HELD]) == FAILURE


def seen(
    status: DeploymentStatus,
    *said: DeploymentStatus,
    told: str = "",
    owed: DeploymentStatus | None = None,
    others: bool = False,
) -> Seen:
    return Seen(status, said, Known(told, owed), has_ended_others=others)


class TestNextStep:
    @pytest.mark.parametrize(
        ("what", "step"),
        [
            # Nothing was said.
            (seen(PROGRESS), (Step.POST, PROGRESS)),
            (seen(FAILURE), (Step.POST, FAILURE)),
            (seen(OVERTAKEN), (Step.POST, OVERTAKEN)),
            (seen(SUCCESS), (Step.END, SUCCESS)),
            (seen(SUCCESS, others=True), (Step.POST, SUCCESS)),
            # It was under way.
            (seen(PROGRESS, PROGRESS), (Step.DONE, PROGRESS)),
            (seen(FAILURE, PROGRESS), (Step.POST, FAILURE)),
            (seen(SUCCESS, PROGRESS), (Step.END, SUCCESS)),
            (seen(SUCCESS, PROGRESS, others=True), (Step.POST, SUCCESS)),
            # It had ended.
            (seen(SUCCESS, SUCCESS, PROGRESS), (Step.DONE, SUCCESS)),
            (seen(WHOLE, SUCCESS, PROGRESS), (Step.POST, WHOLE)),
            (seen(REPLACED, SUCCESS), (Step.POST, REPLACED)),
            (seen(SUCCESS, REPLACED, SUCCESS), (Step.END, SUCCESS)),
            (seen(SUCCESS, FAILURE), (Step.END, SUCCESS)),
            (seen(FAILURE, SUCCESS), (Step.POST, FAILURE)),
            (seen(REPLACED, OVERTAKEN), (Step.DONE, REPLACED)),
            (seen(REPLACED, OVERTAKEN, SUCCESS), (Step.DONE, REPLACED)),
            # It had ended, and a redelivery is under way, or a history lags.
            (seen(PROGRESS, SUCCESS), (Step.DONE, SUCCESS)),
            (seen(PROGRESS, FAILURE), (Step.DONE, FAILURE)),
            (seen(PROGRESS, UNSENT), (Step.DONE, UNSENT)),
            (seen(PROGRESS, REPLACED, SUCCESS), (Step.DONE, REPLACED)),
            # It had ended, and somebody slower said "in progress" then: the end is said again.
            (seen(PROGRESS, PROGRESS, SUCCESS), (Step.POST, SUCCESS)),
            (seen(PROGRESS, PROGRESS, REPLACED, SUCCESS), (Step.POST, REPLACED)),
            (seen(SUCCESS, PROGRESS, SUCCESS), (Step.END, SUCCESS)),
            (seen(WHOLE, PROGRESS, SUCCESS, others=True), (Step.POST, WHOLE)),
            # It was held, and is sent after all.
            (seen(PROGRESS, HELD), (Step.POST, PROGRESS)),
            (seen(PROGRESS, PROGRESS, HELD), (Step.DONE, PROGRESS)),
            (seen(SUCCESS, HELD), (Step.END, SUCCESS)),
            (seen(FAILURE, HELD), (Step.POST, FAILURE)),
            (seen(OVERTAKEN, HELD), (Step.DONE, OVERTAKEN)),
            (seen(OVERTAKEN, PROGRESS, HELD), (Step.POST, OVERTAKEN)),
            # Somebody is still to be told.
            (seen(SUCCESS, SUCCESS, owed=SUCCESS), (Step.NOTIFY, SUCCESS)),
            (seen(OVERTAKEN, OVERTAKEN, owed=OVERTAKEN), (Step.NOTIFY, OVERTAKEN)),
            (seen(PROGRESS, FAILURE, owed=FAILURE), (Step.NOTIFY, FAILURE)),
            (seen(FAILURE, FAILURE, told="success", owed=FAILURE), (Step.NOTIFY, FAILURE)),
            # What is said next is told in its place, and what GitHub has not is said again.
            (seen(FAILURE, SUCCESS, owed=SUCCESS), (Step.POST, FAILURE)),
            (seen(FAILURE, owed=FAILURE), (Step.POST, FAILURE)),
            (seen(SUCCESS, PROGRESS, owed=SUCCESS, others=True), (Step.POST, SUCCESS)),
            (seen(SUCCESS, SUCCESS, owed=FAILURE), (Step.DONE, SUCCESS)),
        ],
    )
    def test_step_by_what_is_seen(self, what: Seen, step: tuple[Step, DeploymentStatus]) -> None:
        assert next_step(what) == step


class TestAfter:
    def test_others_are_ended_once(self) -> None:
        assert after(seen(SUCCESS), Step.END, SUCCESS) == seen(SUCCESS, others=True)

    def test_progress_was_said_and_nobody_is_to_be_told(self) -> None:
        assert after(seen(PROGRESS, HELD), Step.POST, PROGRESS) == seen(PROGRESS, PROGRESS, HELD)

    def test_what_was_told_is_owed_no_more(self) -> None:
        before = seen(SUCCESS, SUCCESS, told="failure", owed=SUCCESS)
        assert after(before, Step.NOTIFY, SUCCESS) == seen(SUCCESS, SUCCESS, told="success")

    @pytest.mark.parametrize(
        ("told", "end", "known"),
        [
            ("", SUCCESS, Known("", SUCCESS)),
            ("failure", SUCCESS, Known("failure", SUCCESS)),
            ("success", FAILURE, Known("success", FAILURE)),
            ("inactive", SUCCESS, Known("inactive", SUCCESS)),
            ("failure", OVERTAKEN, Known("failure", OVERTAKEN)),
            # The same end in other words, and a success that is replaced, are told once.
            ("success", WHOLE, Known("success")),
            ("inactive", OVERTAKEN, Known("inactive")),
            ("success", REPLACED, Known("inactive")),
        ],
    )
    def test_end_that_was_said_is_owed_where_it_is_news(
        self, told: str, end: DeploymentStatus, known: Known
    ) -> None:
        assert after(seen(end, told=told), Step.POST, end).known == known

    def test_end_that_github_never_had_is_owed_no_more_where_it_is_under_way(self) -> None:
        assert after(seen(PROGRESS, owed=SUCCESS), Step.POST, PROGRESS).known == Known()


class TestKnown:
    def test_somebody_else_s_end_was_told_by_that_one(self) -> None:
        assert Known().having_read([PROGRESS, SUCCESS]) == Known("success")
        assert Known("failure").having_read([SUCCESS, FAILURE]) == Known("success")
        assert Known("failure", FAILURE).having_read([SUCCESS]) == Known("success")

    def test_own_end_whose_answer_was_lost_is_still_owed(self) -> None:
        known = Known("failure", SUCCESS)
        assert known.having_read([SUCCESS, FAILURE]) == known
        assert known.having_read([PROGRESS, SUCCESS, FAILURE]) == known

    @pytest.mark.parametrize("said", [[], [PROGRESS], [PROGRESS, PROGRESS]])
    def test_without_an_end_nothing_is_learnt(self, said: list[DeploymentStatus]) -> None:
        assert Known("", FAILURE).having_read(said) == Known("", FAILURE)

    @pytest.mark.parametrize("said", [[OVERTAKEN], [HELD], [PROGRESS, OVERTAKEN]])
    def test_what_was_inactive_before_it_began_is_not_told_as_that_again(
        self, said: list[DeploymentStatus]
    ) -> None:
        known = Known().having_read(said)
        assert known.having_said(REPLACED) == Known("inactive")
        assert known.having_said(SUCCESS) == Known("inactive", SUCCESS)

    def test_nothing_owed_is_nothing_told(self) -> None:
        assert Known("success").having_told() == Known("success")


WORDS = [PROGRESS, SUCCESS, WHOLE, FAILURE, REPLACED, HELD]


class TestAllThatCanBeSeen:
    """Whatever the hosts say, GitHub has, and was told, in every combination."""

    @pytest.mark.parametrize("status", [one for one in WORDS if one != HELD])
    def test_few_steps_lead_to_the_end_and_each_is_taken_once(
        self, status: DeploymentStatus
    ) -> None:
        histories = (
            said for length in range(4) for said in itertools.product(WORDS, repeat=length)
        )
        knowing = [Known(told, owed) for told in ("", "success") for owed in (None, *WORDS[1:5])]
        for said, before in itertools.product(histories, knowing):
            what = Seen(status, said, before.having_read(said))
            steps: list[Step] = []
            while (step := next_step(what))[0] != Step.DONE:
                steps.append(step[0])
                what = after(what, *step)
                assert len(steps) <= 3
            assert steps == [one for one in (Step.END, Step.POST, Step.NOTIFY) if one in steps]
            # What stands is what the hosts say, or an end that no progress undoes.
            _, stands = step
            assert stands == (status if status.is_final else end_of(said) or status)
            newest = what.said[0]
            assert newest == stands or newest.state == stands.state == "inactive"
            # To look again at what is there by then leaves nothing to do.
            assert next_step(Seen(status, what.said, what.known.having_read(what.said))) == step
