"""Documents on moto, and on botocore's Stubber for what moto always does at once."""

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
    def test_document_that_is_not_there_is_none(self, documents: Documents) -> None:
        assert documents.read() is None

    def test_version_that_is_not_there_is_none(self, documents: Documents) -> None:
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
    def test_it_is_the_latest_and_not_yet_the_default(self, documents: Documents) -> None:
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

    def test_content_that_ssm_never_takes_ends(self, ssm: "SSMClient") -> None:
        with Stubber(ssm) as stub:
            for _ in range(8):
                stub.add_client_error("update_document", "DuplicateDocumentContent")
            with pytest.raises(RefusedError, match="takes it no more"):
                Documents(ssm, NAME).update(ONE)
            stub.assert_no_pending_responses()


class TestDeleteOlder:
    def test_all_below_are_deleted_down_to_a_gap(
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

    def test_nothing_is_below_the_first(self, documents: Documents) -> None:
        documents.create(ONE)
        assert documents.delete_older("1") == ()

    def test_refusal_is_told(self, documents: Documents) -> None:
        documents.create(ONE)
        documents.update(TWO)  # the first is the default still
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

    def test_document_that_is_being_made_is_waited_for(self, ssm: "SSMClient") -> None:
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

    def test_document_that_is_never_ready_is_told(self, ssm: "SSMClient") -> None:
        with Stubber(ssm) as stub:
            for _ in range(61):
                stub.add_response("describe_document", self.described("Creating"))
            with pytest.raises(UnavailableError, match="still Creating"):
                Documents(ssm, NAME, lambda _: None).read()

    def test_version_that_failed_is_told_where_it_was_made(self, ssm: "SSMClient") -> None:
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
    def test_errors_of_aws_are_told_in_words(
        self, ssm: "SSMClient", code: str, kind: type[Exception]
    ) -> None:
        with Stubber(ssm) as stub:
            stub.add_client_error("describe_document", code)
            with pytest.raises(kind, match=f"describing {NAME}"):
                Documents(ssm, NAME).read()
