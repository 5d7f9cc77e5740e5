"""Attackers with the role of a Lambda function, and a document that has lost its patterns."""

import os
import shutil
import subprocess
from itertools import cycle, product

import pytest
from botocore.exceptions import ClientError

from pulley.sandbox.run_command.commands import EmulatedCommand
from pulley.sandbox.run_command.documents import ParameterError, parse_document
from pulley.sandbox.sandbox import STAGE, Sandbox
from tests.host.script import written_script
from tests.injection.hostile import DANGEROUS, HARMLESS, HOSTILE, some_of
from tests.injection.house import DOCUMENT, count_commands, parameters_of

SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]

# The host never reads these.
IGNORED = {"Delivery", "Deployment", "Attempt", "By", "PushedAt", "Saved"}


@pytest.mark.usefixtures("unreported")
class TestPastTheApp:
    """Attackers with the role of a Lambda function, and a document that has lost its patterns."""

    def test_document_and_run_command_refuse_hostile_values_of_each_parameter(
        self, sandbox: Sandbox, clean: EmulatedCommand
    ) -> None:
        before = count_commands(sandbox)
        stored = sandbox.account.ssm.get_document(Name=DOCUMENT, DocumentFormat="JSON")["Content"]
        document = parse_document(stored, name=DOCUMENT, version="1")
        good = clean.request.parameters
        document.check(good)
        for name, hostile in product(good, [*DANGEROUS.values(), HOSTILE["long"]]):
            for text in (hostile, good[name][0] + hostile):
                with pytest.raises(ParameterError, match=name):
                    document.check({**good, name: (text,)})
        for name, hostile in zip(good, cycle(DANGEROUS.values()), strict=False):
            values = {key: list(value) for key, value in good.items()}
            with pytest.raises(ClientError, match="InvalidParameters"):
                sandbox.account.ssm.send_command(
                    DocumentName=DOCUMENT,
                    Targets=[{"Key": "tag:pulley", "Values": [STAGE]}],
                    Parameters={**values, name: [good[name][0] + hostile]},
                )
        assert count_commands(sandbox) == before

    def test_script_refuses_hostile_values_without_the_document_s_patterns(
        self, sandbox: Sandbox, clean: EmulatedCommand
    ) -> None:
        machine = sandbox.machines[0]
        head = machine.head()
        good = parameters_of(clean) | {"Checkout": str(machine.checkout)}
        read = [name for name in good if name not in IGNORED]
        for name, hostile, is_alone, shell in some_of(
            product(read, HOSTILE.values(), (False, True), SHELLS), times=10
        ):
            text = hostile if is_alone else good[name] + hostile
            # A variable cannot hold NUL, `{` stands for a missing value, and a URL may have a path.
            if (
                "\0" in text
                or text.startswith("{")
                or text == good["HealthCheck"] + HOSTILE["path"]
            ):
                continue
            environ = {f"SSM_{key}": value for key, value in {**good, name: text}.items()}
            done = subprocess.run(
                [shell, str(written_script())],
                cwd=machine.host.root,
                env={**environ, "PATH": f"{machine.host.root}/bin:{os.environ['PATH']}"},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 64, (name, text, done.stdout, done.stderr)
            assert HARMLESS.fullmatch(done.stdout.removesuffix("\n")), (name, text)
        assert machine.head() == head
