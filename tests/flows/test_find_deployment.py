"""The one deployment of a commit and a target: found, made, or the first of two."""

import pytest

from chalicelib.core.deployments import Deployment, DeploymentRequest, DeploymentStatus
from chalicelib.core.errors import UnavailableError
from chalicelib.flows.find_deployment import find_or_create
from tests.fakes import COMMIT, STAGE, FakeDeployments
from tests.flows.runs import command_of

OTHER = "a" * 40


class Forgetful(FakeDeployments):
    """GitHub whose replicas lag so far that what was made is not there."""

    def find(self, request: DeploymentRequest) -> Deployment | None:
        return None

    def deployment(self, deployment_id: int) -> Deployment | None:
        return None


def found(github: FakeDeployments, known_id: int | None) -> Deployment:
    """The deployment of a command that was sent with this id."""
    sent = command_of(deployment=known_id).roll_out
    return find_or_create(github, sent, "web", stage=STAGE)


class TestFindOrCreate:
    def test_first_of_two_is_everyone_s_and_the_other_one_is_ended(self) -> None:
        github = FakeDeployments()
        first, second = github.add(COMMIT), github.add(COMMIT)
        assert found(github, second.id) == first
        assert github.log[second.id] == [DeploymentStatus("inactive", f"the same as {first.id}")]
        assert github.log[first.id] == []

    def test_other_one_that_was_ended_already_is_not_ended_again(self) -> None:
        github = FakeDeployments()
        _, second = github.add(COMMIT), github.add(COMMIT)
        found(github, second.id)
        found(github, second.id)
        assert len(github.log[second.id]) == 1

    def test_id_that_is_of_another_commit_is_left_alone(self) -> None:
        github = FakeDeployments()
        mine, other = github.add(COMMIT), github.add(OTHER)
        assert found(github, other.id) == mine
        assert github.log[other.id] == []

    def test_one_in_an_environment_of_another_name_is_taken_by_its_id(self) -> None:
        github = FakeDeployments()
        renamed = github.add(COMMIT, environment="before")
        assert found(github, renamed.id) == renamed
        assert "create" not in github.calls

    def test_one_that_is_made_and_not_to_be_found_is_asked_for_later(self) -> None:
        with pytest.raises(UnavailableError) as caught:
            found(Forgetful(), None)
        assert caught.value.retry_seconds
