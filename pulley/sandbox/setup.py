"""Stores what an operator stores before the first push with `pulley setup` and other commands.

The sandbox uses plain boto3, so that it starts at once and depends on no command.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from chalicelib.core.commands import document_name
from chalicelib.core.refs import Repository
from chalicelib.core.stored import ParameterNames
from pulley.host.build import build
from pulley.host.document import build_document, document_text

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


def store_document(ssm: "SSMClient", stage: str) -> None:
    """Store the document, and its pin."""
    described = ssm.create_document(
        Name=document_name(stage),
        Content=document_text(build_document(build())),
        DocumentType="Command",
        DocumentFormat="JSON",
    )["DocumentDescription"]
    pin = {"version": described["DocumentVersion"], "hash": described["Hash"]}
    name = ParameterNames(stage).document
    ssm.put_parameter(Name=name, Value=json.dumps(pin), Type="String")


def store_secrets(ssm: "SSMClient", stage: str, *, webhook_secret: str, github_token: str) -> None:
    """Store the webhook's secret and the token for GitHub."""
    names = ParameterNames(stage)
    ssm.put_parameter(Name=names.webhook_secret, Value=webhook_secret, Type="SecureString")
    ssm.put_parameter(Name=names.github_token, Value=github_token, Type="SecureString")


def store_targets(
    ssm: "SSMClient", stage: str, full_name: str, targets: Sequence[Mapping[str, object]]
) -> None:
    """Store a repository's targets, in place of those that are stored."""
    name = ParameterNames(stage).targets(Repository.parse(full_name))
    ssm.put_parameter(Name=name, Value=json.dumps(targets), Type="String", Overwrite=True)
