"""AWS's limits: each call that Pulley makes in the ordinary tests, and the longest commands."""

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from chalicelib.core.commands import DocumentPin, build_send_request
from chalicelib.core.fields import ProblemsError
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import parse_target
from chalicelib.edges.run_command import RunCommand
from tests.contract.conftest import recorded
from tests.contract.limits import compiled, model_of, problems_of_call
from tests.edges.clients import new_ssm
from tests.fakes import COMMIT, GUID, Wire, target_json

# What the functions and the commands of an operator call, so that no record of one is missing.
SERVICES = {"autoscaling", "ec2", "events", "iam", "lambda", "sns", "ssm", "sts"}
OPERATIONS = {
    ("autoscaling", "CompleteLifecycleAction"),
    ("autoscaling", "PutLifecycleHook"),
    ("ec2", "DescribeInstances"),
    ("lambda", "Invoke"),
    ("sns", "Publish"),
    ("ssm", "CancelCommand"),
    ("ssm", "CreateDocument"),
    ("ssm", "DescribeParameters"),
    ("ssm", "GetParameters"),
    ("ssm", "GetParametersByPath"),
    ("ssm", "ListCommandInvocations"),
    ("ssm", "ListCommands"),
    ("ssm", "PutParameter"),
    ("ssm", "SendCommand"),
    ("ssm", "UpdateDocument"),
}
AMOUNT = st.from_regex("[0-9]{1,4}%?", fullmatch=True)
KEYS = st.from_regex(r"[\w .:/=@-]{1,128}", fullmatch=True)


def test_each_call_keeps_to_the_limits_of_aws() -> None:
    problems, made = set(), set()
    for one in recorded("aws"):
        if one["caller"].startswith("pulley/sandbox/"):
            continue  # it makes the account, and only moto hears it
        service, operation = one["service"], one["operation"]
        made.add((service, operation))
        told = problems_of_call(service, operation, one["arguments"])
        problems |= {f"{service} {operation}{problem} ({one['caller']})" for problem in told}
    assert not problems, "\n".join(sorted(problems))
    assert {service for service, _ in made} >= SERVICES
    assert made >= OPERATIONS


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_each_pattern_of_a_service_is_understood(service: str) -> None:
    model = model_of(service)
    for name in model.shape_names:
        compiled(model.shape_for(name).metadata.get("pattern", ""))


@given(
    name=st.from_regex("[a-z0-9][a-z0-9-]{0,49}", fullmatch=True),
    key=KEYS,
    value=st.text(min_size=1, max_size=256),
    concurrency=AMOUNT,
    errors=AMOUNT,
    log_group=st.from_regex("[A-Za-z0-9_./#-]{1,20}", fullmatch=True),
)
@example("n" * 50, "k" * 128, "v" * 256, "100%", "0", "g" * 512)
def test_any_valid_target_gives_a_command_that_aws_takes(
    name: str,
    key: str,
    value: str,
    concurrency: str,
    errors: str,
    log_group: str,
) -> None:
    stored = target_json(
        name,
        instances={"tags": {key: value, "role": [str(number) for number in range(50)]}},
        max_concurrency=concurrency,
        max_errors=errors,
        log_group=log_group,
    )
    try:
        target = parse_target("targets.it", stored)
    except ProblemsError:
        assume(False)  # noqa: FBT003 - Hypothesis's
    wire = Wire((200, {"Command": {"CommandId": "0831e1a8-a1ac-4257-a1fd-c831b48c4107"}}))
    client = new_ssm()
    wire.attach(client.meta.events)
    request = build_send_request(
        target,
        stage="s" * 24,
        commit=CommitSha(COMMIT),
        issued=1_896_091_200_000,
        cause="reconcile",
        delivery=GUID,
        document_pin=DocumentPin("9" * 10, "a" * 64),
    )
    RunCommand(client).send([request])
    (arguments,) = wire.arguments_of("SendCommand")
    problems = list(problems_of_call("ssm", "SendCommand", arguments))
    assert not problems, "\n".join(problems)
