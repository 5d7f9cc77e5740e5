"""Parameter Store as operators write it: two operators at once lose no value."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from botocore.stub import Stubber
from moto import mock_aws

from chalicelib.core.errors import RefusedError, UnavailableError
from pulley.operator.aws.parameters import ADVANCED, STANDARD, MadeMeanwhileError, Parameters
from tests.edges.clients import new_ssm

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

NAME = "/pulley/dev/pins/web"


@pytest.fixture
def client() -> "Iterator[SSMClient]":
    with mock_aws():
        yield new_ssm()


@pytest.fixture
def parameters(client: "SSMClient") -> Parameters:
    return Parameters(client)


class TestRead:
    def test_stored_value_is_read_decrypted_with_its_version(self, parameters: Parameters) -> None:
        parameters.write(NAME, "one", read=None, is_secret=True)
        found = parameters.read(NAME, "/pulley/dev/other")
        assert list(found) == [NAME]
        assert (found[NAME].value, found[NAME].version) == ("one", 1)

    def test_more_than_ten_parameters_are_read(self, parameters: Parameters) -> None:
        names = [f"/pulley/dev/pins/t{number}" for number in range(23)]
        for name in names:
            parameters.write(name, name, read=None)
        assert {name: one.value for name, one in parameters.read(*names).items()} == {
            name: name for name in names
        }

    def test_missing_parameter_is_none_and_has_no_versions(self, parameters: Parameters) -> None:
        assert parameters.read_one(NAME) is None
        assert parameters.versions(NAME) == []

    def test_answer_that_leaves_a_parameter_out_is_refused(
        self, client: "SSMClient", parameters: Parameters
    ) -> None:
        with Stubber(client) as aws:
            aws.add_response("get_parameters", {"Parameters": [], "InvalidParameters": ["/other"]})
            with pytest.raises(UnavailableError):
                parameters.read_one(NAME)

    def test_value_is_not_in_the_repr(self, parameters: Parameters) -> None:
        parameters.write(NAME, "s3cret", read=None, is_secret=True)
        assert "s3cret" not in repr(parameters.read(NAME))


class TestSecretsBelow:
    def test_names_of_secrets_below_the_path_are_found(self, parameters: Parameters) -> None:
        secrets = [f"/pulley/dev/repositories/octo/{one}/webhook-secret" for one in range(60)]
        secrets.append("/pulley/dev/github-token")
        for name in [*secrets, "/pulley/development/github-token", "/pulley/prod/github-token"]:
            parameters.write(name, "secret", read=None, is_secret=True)
        parameters.write("/pulley/dev/repositories/octo/0/targets", "[]", read=None)
        assert sorted(parameters.secrets_below("/pulley/dev")) == sorted(secrets)


class TestWrite:
    def test_write_over_the_version_that_was_read_overwrites_no_other_value(
        self, parameters: Parameters
    ) -> None:
        parameters.write(NAME, "one", read=None)
        written = parameters.write(NAME, "two", read=parameters.read_one(NAME))
        assert (written.version, written.overwritten) == (2, None)

    def test_write_over_a_newer_version_returns_the_overwritten_value(
        self, parameters: Parameters
    ) -> None:
        parameters.write(NAME, "one", read=None)
        read = parameters.read_one(NAME)
        parameters.write(NAME, "theirs", read=read)
        written = parameters.write(NAME, "mine", read=read)
        assert written.overwritten is not None
        assert (written.overwritten.value, written.overwritten.version) == ("theirs", 2)
        assert written.overwritten.by != ""
        assert parameters.read(NAME)[NAME].value == "mine"

    def test_parameter_that_somebody_else_made_first_is_not_overwritten(
        self, parameters: Parameters
    ) -> None:
        parameters.write(NAME, "theirs", read=None)
        with pytest.raises(MadeMeanwhileError, match="somebody else"):
            parameters.write(NAME, "mine", read=None)
        assert parameters.read(NAME)[NAME].value == "theirs"

    def test_secret_is_stored_as_a_secure_string(
        self, parameters: Parameters, client: "SSMClient"
    ) -> None:
        parameters.write(NAME, "one", read=None, is_secret=True)
        assert client.get_parameter(Name=NAME)["Parameter"]["Type"] == "SecureString"
        parameters.write("/pulley/dev/document", "{}", read=None)
        stored = client.get_parameter(Name="/pulley/dev/document")
        assert stored["Parameter"]["Type"] == "String"

    def test_secret_keeps_its_own_kms_key(
        self, parameters: Parameters, client: "SSMClient"
    ) -> None:
        client.put_parameter(Name=NAME, Value="one", Type="SecureString", KeyId="alias/mine")
        parameters.write(NAME, "two", read=parameters.read_one(NAME), is_secret=True)
        (described,) = client.describe_parameters()["Parameters"]
        assert described["KeyId"] == "alias/mine"

    def test_parameter_is_stored_in_the_given_tier(self, parameters: Parameters) -> None:
        assert parameters.tier(NAME) == STANDARD
        parameters.write(NAME, "one", read=None, tier=ADVANCED)
        assert parameters.tier(NAME) == ADVANCED

    def test_refused_write_is_an_error_without_the_value(self, parameters: Parameters) -> None:
        with pytest.raises(RefusedError) as caught:
            parameters.write("/aws/pulley", "s3cret", read=None)
        assert "s3cret" not in caught.value.in_full


class TestVersions:
    def test_every_version_is_listed_newest_first(self, parameters: Parameters) -> None:
        for value in ("one", "two", "three"):
            parameters.write(NAME, value, read=parameters.read_one(NAME))
        assert [one.value for one in parameters.versions(NAME)] == ["three", "two", "one"]
        assert all(one.by and one.at for one in parameters.versions(NAME))
