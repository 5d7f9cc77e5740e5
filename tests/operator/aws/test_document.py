"""Documents on moto, and on botocore's Stubber for states that moto never shows."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from chalicelib.core.errors import RefusedError, UnavailableError
from pulley.operator.aws.document import Documents

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

NAME = "pulley-dev-pull"


def content_of(script: str) -> dict[str, object]:
    step = {"action": "aws:runShellScript", "name": "pull", "inputs": {"runCommand": [script]}}
    return {"schemaVersion": "2.2", "mainSteps": [step]}


ONE, TWO = content_of("one"), content_of("two")


@pytest.fixture
def ssm(monkeypatch: pytest.MonkeyPatch) -> Iterator["SSMClient"]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.client("ssm", region_name="eu-west-1")
        yield client
        client.close()


@pytest.fixture
def documents(ssm: "SSMClient") -> Documents:
    return Documents(ssm, NAME)


class TestRead:
    def test_missing_document_is_none(self, documents: Documents) -> None:
        assert documents.read() is None

    def test_missing_version_is_none(self, documents: Documents) -> None:
        documents.create(ONE)
        assert documents.read("2") is None

    def test_version_has_its_content_and_ssm_s_hash(
        self, documents: Documents, ssm: "SSMClient"
    ) -> None:
        made = documents.create(ONE)
        assert made == documents.read("1")
        assert made.content == ONE
        assert made.pin.hash == ssm.describe_document(Name=NAME)["Document"]["Hash"]
        assert made.kind == "Command"


class TestUpdate:
    def test_new_version_is_the_latest_and_not_yet_the_default(self, documents: Documents) -> None:
        documents.create(ONE)
        made = documents.update(TWO)
        assert (made.version, made.latest, made.default) == ("2", "2", "1")
        documents.make_default("2")
        read = documents.read()
        assert read is not None
        assert (read.version, read.default, read.content) == ("2", "2", TWO)

    def test_content_of_an_older_version_is_stored_again(self, documents: Documents) -> None:
        documents.create(ONE)
        documents.update(TWO)
        made = documents.update(ONE)
        assert (made.version, made.content) == ("3", ONE)

    def test_content_that_ssm_always_refuses_is_an_error_after_eight_tries(
        self, ssm: "SSMClient"
    ) -> None:
        with Stubber(ssm) as stub:
            for _ in range(8):
                stub.add_client_error("update_document", "DuplicateDocumentContent")
            with pytest.raises(RefusedError, match="takes it no more"):
                Documents(ssm, NAME).update(ONE)
            stub.assert_no_pending_responses()


class TestDeleteOlder:
    def test_older_versions_are_deleted_down_to_a_gap(
        self, documents: Documents, ssm: "SSMClient"
    ) -> None:
        documents.create(ONE)
        for number in range(2, 7):
            documents.update(content_of(str(number)))
        documents.make_default("6")
        ssm.delete_document(Name=NAME, DocumentVersion="2")
        assert documents.delete_older("5") == ("4", "3")
        assert [documents.read(one) is not None for one in "123456"] == [
            True,
            False,
            False,
            False,
            True,
            True,
        ]

    def test_first_version_has_no_older_versions(self, documents: Documents) -> None:
        documents.create(ONE)
        assert documents.delete_older("1") == ()

    def test_refused_deletion_is_an_error(self, documents: Documents) -> None:
        documents.create(ONE)
        documents.update(TWO)  # version 1 is still the default
        with pytest.raises(RefusedError, match="deleting version 1"):
            documents.delete_older("2")


class TestWaiting:
    """moto's documents are Active at once."""

    def described(self, status: str) -> dict[str, Any]:
        return {
            "Document": {
                "Name": NAME,
                "Hash": "a" * 64,
                "Status": status,
                "DocumentVersion": "1",
                "LatestVersion": "1",
                "DefaultVersion": "1",
                "DocumentType": "Command",
            }
        }

    def test_read_waits_until_the_document_is_active(self, ssm: "SSMClient") -> None:
        pauses: list[float] = []
        with Stubber(ssm) as stub:
            for status in ("Creating", "Updating", "Active"):
                stub.add_response("describe_document", self.described(status))
            stub.add_response("get_document", {"Content": json.dumps(ONE)})
            read = Documents(ssm, NAME, pauses.append).read()
            stub.assert_no_pending_responses()
        assert read is not None
        assert read.status == "Active"
        assert pauses == [1, 1]

    def test_document_that_stays_in_creation_is_an_error(self, ssm: "SSMClient") -> None:
        with Stubber(ssm) as stub:
            for _ in range(61):
                stub.add_response("describe_document", self.described("Creating"))
            with pytest.raises(UnavailableError, match="still Creating"):
                Documents(ssm, NAME, lambda _: None).read()

    def test_version_with_the_status_failed_is_an_error_of_create(self, ssm: "SSMClient") -> None:
        with Stubber(ssm) as stub:
            stub.add_response("create_document", {})
            stub.add_response("describe_document", self.described("Failed"))
            stub.add_response("get_document", {"Content": "no JSON"})
            with pytest.raises(RefusedError, match="version 1 is Failed"):
                Documents(ssm, NAME).create(ONE)

    @pytest.mark.parametrize(
        ("code", "kind"),
        [("ThrottlingException", UnavailableError), ("AccessDeniedException", RefusedError)],
    )
    def test_aws_error_is_raised_with_the_operation(
        self, ssm: "SSMClient", code: str, kind: type[Exception]
    ) -> None:
        with Stubber(ssm) as stub:
            stub.add_client_error("describe_document", code)
            with pytest.raises(kind, match=f"describing {NAME}"):
                Documents(ssm, NAME).read()
