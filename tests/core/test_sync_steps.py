"""The next step for a deployment, from its hosts' verdict, GitHub's statuses and notifications."""

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
    """The statuses are in order, the newest first."""

    def test_no_status_is_no_end(self) -> None:
        assert end_of([]) is None

    @pytest.mark.parametrize("state", STATES)
    def test_single_status_is_an_end_only_for_success_failure_or_error(self, state: str) -> None:
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
            [DeploymentStatus("inactive", "a held deploy, in any words")],
        ],
    )
    def test_deployment_that_was_only_inactive_has_not_ended(
        self, said: list[DeploymentStatus]
    ) -> None:
        assert end_of(said) is None
        assert end_of([PROGRESS, *said]) is None

    @pytest.mark.parametrize("state", BEGUN)
    @pytest.mark.parametrize("words", ["replaced by bbbbbbb", HELD.description])
    def test_deployment_that_began_ends_with_inactive_with_any_description(
        self, state: str, words: str
    ) -> None:
        inactive = DeploymentStatus("inactive", words)
        assert end_of([inactive, DeploymentStatus(state, "x")]) == inactive
        assert end_of([inactive, HELD, DeploymentStatus(state, "x")]) == inactive

    @pytest.mark.parametrize("state", ["queued", "pending", "", "unheard-of"])
    def test_deployment_that_only_waited_has_not_ended(self, state: str) -> None:
        assert end_of([REPLACED, DeploymentStatus(state, "x")]) is None

    def test_newest_end_counts(self) -> None:
        assert end_of([SUCCESS, FAILURE]) == SUCCESS
        assert end_of([PROGRESS, SUCCESS, PROGRESS, FAILURE]) == SUCCESS
        assert end_of([REPLACED, SUCCESS]) == REPLACED

    def test_deployment_that_began_after_a_hold_ends_with_its_newest_end(self) -> None:
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
            # GitHub has no status.
            (seen(PROGRESS), (Step.POST, PROGRESS)),
            (seen(FAILURE), (Step.POST, FAILURE)),
            (seen(OVERTAKEN), (Step.POST, OVERTAKEN)),
            (seen(SUCCESS), (Step.END, SUCCESS)),
            (seen(SUCCESS, others=True), (Step.POST, SUCCESS)),
            # It was in progress.
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
            # It had ended, and a redelivery is in progress, or the history is stale.
            (seen(PROGRESS, SUCCESS), (Step.DONE, SUCCESS)),
            (seen(PROGRESS, FAILURE), (Step.DONE, FAILURE)),
            (seen(PROGRESS, UNSENT), (Step.DONE, UNSENT)),
            (seen(PROGRESS, REPLACED, SUCCESS), (Step.DONE, REPLACED)),
            # It had ended, and a slower process posted "in_progress": the end is posted again.
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
            # A notification is owed.
            (seen(SUCCESS, SUCCESS, owed=SUCCESS), (Step.NOTIFY, SUCCESS)),
            (seen(OVERTAKEN, OVERTAKEN, owed=OVERTAKEN), (Step.NOTIFY, OVERTAKEN)),
            (seen(PROGRESS, FAILURE, owed=FAILURE), (Step.NOTIFY, FAILURE)),
            (seen(FAILURE, FAILURE, told="success", owed=FAILURE), (Step.NOTIFY, FAILURE)),
            # A newer status replaces the owed one; a status that GitHub lacks is posted again.
            (seen(FAILURE, SUCCESS, owed=SUCCESS), (Step.POST, FAILURE)),
            (seen(FAILURE, owed=FAILURE), (Step.POST, FAILURE)),
            (seen(SUCCESS, PROGRESS, owed=SUCCESS, others=True), (Step.POST, SUCCESS)),
            (seen(SUCCESS, SUCCESS, owed=FAILURE), (Step.DONE, SUCCESS)),
        ],
    )
    def test_next_step_follows_from_what_was_seen(
        self, what: Seen, step: tuple[Step, DeploymentStatus]
    ) -> None:
        assert next_step(what) == step


class TestAfter:
    def test_others_are_marked_as_ended_after_the_step(self) -> None:
        assert after(seen(SUCCESS), Step.END, SUCCESS) == seen(SUCCESS, others=True)

    def test_posted_progress_owes_no_notification(self) -> None:
        assert after(seen(PROGRESS, HELD), Step.POST, PROGRESS) == seen(PROGRESS, PROGRESS, HELD)

    def test_sent_notification_is_no_longer_owed(self) -> None:
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
            # The same state with another text, and a replaced success, are not notified again.
            ("success", WHOLE, Known("success")),
            ("inactive", OVERTAKEN, Known("inactive")),
            ("success", REPLACED, Known("inactive")),
        ],
    )
    def test_posted_end_owes_a_notification_only_if_it_is_new(
        self, told: str, end: DeploymentStatus, known: Known
    ) -> None:
        assert after(seen(end, told=told), Step.POST, end).known == known

    def test_posted_progress_cancels_an_owed_notification(self) -> None:
        assert after(seen(PROGRESS, owed=SUCCESS), Step.POST, PROGRESS).known == Known()


class TestKnown:
    def test_end_posted_by_another_process_counts_as_notified(self) -> None:
        assert Known().having_read([PROGRESS, SUCCESS]) == Known("success")
        assert Known("failure").having_read([SUCCESS, FAILURE]) == Known("success")
        assert Known("failure", FAILURE).having_read([SUCCESS]) == Known("success")

    def test_own_end_whose_response_was_lost_is_still_owed(self) -> None:
        known = Known("failure", SUCCESS)
        assert known.having_read([SUCCESS, FAILURE]) == known
        assert known.having_read([PROGRESS, SUCCESS, FAILURE]) == known

    @pytest.mark.parametrize("said", [[], [PROGRESS], [PROGRESS, PROGRESS]])
    def test_statuses_without_an_end_change_nothing(self, said: list[DeploymentStatus]) -> None:
        assert Known("", FAILURE).having_read(said) == Known("", FAILURE)

    @pytest.mark.parametrize("said", [[OVERTAKEN], [HELD], [PROGRESS, OVERTAKEN]])
    def test_inactive_from_before_the_start_is_not_notified_again(
        self, said: list[DeploymentStatus]
    ) -> None:
        known = Known().having_read(said)
        assert known.having_said(REPLACED) == Known("inactive")
        assert known.having_said(SUCCESS) == Known("inactive", SUCCESS)

    def test_notification_step_without_an_owed_status_changes_nothing(self) -> None:
        assert Known("success").having_told() == Known("success")


WORDS = [PROGRESS, SUCCESS, WHOLE, FAILURE, REPLACED, HELD]


class TestEveryCombination:
    """Every combination of the hosts' verdict, GitHub's statuses and the sent notifications."""

    @pytest.mark.parametrize("status", [one for one in WORDS if one != HELD])
    def test_sync_ends_after_at_most_three_steps_each_taken_once(
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
            # The final status is the verdict, or an earlier end that "in_progress" does not undo.
            _, stands = step
            assert stands == (status if status.is_final else end_of(said) or status)
            newest = what.said[0]
            assert newest == stands or newest.state == stands.state == "inactive"
            # After the last step, a fresh read of the statuses needs no further step.
            assert next_step(Seen(status, what.said, what.known.having_read(what.said))) == step
