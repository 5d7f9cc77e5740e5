"""GitHub's OpenAPI description: each request of Pulley's, each answer of the sandbox's GitHub."""

from functools import cache

import pytest

from pulley.sandbox.github.server import _ROUTES
from tests.contract.conftest import published, recorded
from tests.contract.openapi import Description, Operation, split_target

GITHUB = "api.github.com"
ENTERPRISE = ("ghes-3.17", "ghes-3.18", "ghes-3.19")
OURS = "pulley"  # in the User-Agent
# What only a CI server, a person or a test asks the sandbox's GitHub.
FOR_OTHERS = {
    "DELETE /repos/{owner}/{repo}/hooks/{hook_id}",
    "GET /repos/{owner}/{repo}/hooks/{hook_id}",
    "GET /repos/{owner}/{repo}/hooks/{hook_id}/config",
    "PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}",
    "PATCH /repos/{owner}/{repo}/releases/{release_id}",
    "POST /repos/{owner}/{repo}/check-runs",
    "POST /repos/{owner}/{repo}/hooks/{hook_id}/deliveries/{delivery_id}/attempts",
    "POST /repos/{owner}/{repo}/releases",
    "POST /repos/{owner}/{repo}/statuses/{sha}",
}


@cache
def description(version: str) -> Description:
    return Description(published(f"openapi/generated/{version}.json"))


def found(version: str, record: dict[str, str]) -> tuple[Operation | None, str]:
    path, query = split_target(record["target"])
    return description(version).find(record["method"], path), query


@pytest.mark.parametrize("version", [GITHUB, *ENTERPRISE])
def test_each_request_is_one_that_github_describes(version: str) -> None:
    problems: set[str] = set()
    for one in recorded("github"):
        if one["agent"] != OURS:
            continue
        operation, query = found(version, one)
        if operation is None:
            problems.add(f"{one['method']} {one['target']} is not documented")
            continue
        told = description(version).problems_of_request(operation, query, one["body"])
        problems |= {f"{operation.name}: {problem}" for problem in told}
    assert not problems, "\n".join(sorted(problems))


def test_each_answer_of_the_sandbox_is_one_that_github_describes() -> None:
    problems: set[str] = set()
    for one in recorded("github"):
        operation, _ = found(GITHUB, one)
        if operation is None:
            # Some test asks for what is not there, or has a plain slash in a branch.
            if one["status"] >= 400 or one["agent"] != OURS:
                continue
            problems.add(f"{one['method']} {one['target']} is answered and not documented")
            continue
        told = description(GITHUB).problems_of_answer(operation, one["status"], one["content"])
        problems |= {f"{operation.name}: {problem}" for problem in told}
    assert not problems, "\n".join(sorted(problems))


def test_no_operation_was_left_out() -> None:
    """Each route of the sandbox was answered well, and each that is for Pulley was asked by it."""
    answered, asked = set(), set()
    for one in recorded("github"):
        operation, _ = found(GITHUB, one)
        if operation is not None and one["status"] < 300:
            answered.add(operation.name)
            if one["agent"] == OURS:
                asked.add(operation.name)
    assert len(answered) == len(list(_ROUTES.iter_rules()))
    assert asked | FOR_OTHERS == answered
