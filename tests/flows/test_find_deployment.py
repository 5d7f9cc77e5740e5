"""A commit and a target have one deployment: it is found, made, or the first of two."""

import pytest

from chalicelib.core.deployments import Deployment, DeploymentRequest, DeploymentStatus
from chalicelib.core.errors import UnavailableError
from chalicelib.flows.find_deployment import find_or_create
from tests.fakes import COMMIT, STAGE, FakeDeployments
from tests.flows.runs import command_of

OTHER = "a" * 40


class Forgetful(FakeDeployments):
    """GitHub with lagging replicas: it does not find the deployment that was just made."""

    def find(self, request: DeploymentRequest) -> Deployment | None:
        return None

    def deployment(self, deployment_id: int) -> Deployment | None:
        return None


def found(github: FakeDeployments, known_id: int | None) -> Deployment:
    """The deployment of a command that was sent with this id."""
    sent = command_of(deployment=known_id).roll_out
    return find_or_create(github, sent, "web", stage=STAGE)


class TestFindOrCreate:
    def test_first_of_two_deployments_is_used_and_the_second_is_ended(self) -> None:
        github = FakeDeployments()
        first, second = github.add(COMMIT), github.add(COMMIT)
        assert found(github, second.id) == first
        assert github.log[second.id] == [DeploymentStatus("inactive", f"the same as {first.id}")]
        assert github.log[first.id] == []

    def test_ended_second_deployment_is_not_ended_again(self) -> None:
        github = FakeDeployments()
        _, second = github.add(COMMIT), github.add(COMMIT)
        found(github, second.id)
        found(github, second.id)
        assert len(github.log[second.id]) == 1

    def test_id_of_another_commit_is_not_used_and_not_changed(self) -> None:
        github = FakeDeployments()
        mine, other = github.add(COMMIT), github.add(OTHER)
        assert found(github, other.id) == mine
        assert github.log[other.id] == []

    def test_deployment_in_a_renamed_environment_is_found_by_its_id(self) -> None:
        github = FakeDeployments()
        renamed = github.add(COMMIT, environment="before")
        assert found(github, renamed.id) == renamed
        assert "create" not in github.calls

    def test_made_deployment_that_github_does_not_find_raises_unavailable(self) -> None:
        with pytest.raises(UnavailableError) as caught:
            found(Forgetful(), None)
        assert caught.value.retry_seconds
