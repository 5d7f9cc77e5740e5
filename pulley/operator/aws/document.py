"""Store the stage's SSM document, and read its versions.

The version in use is the one that the pin names; without a pin, the default version. An upgrade
stores the content as the latest version and makes that the default. The caller then writes the pin,
which is a parameter.

Source: AWS Systems Manager API Reference, "UpdateDocument", "DescribeDocument", "DeleteDocument".
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from chalicelib.core.commands import DocumentPin
from chalicelib.core.errors import RefusedError, UnavailableError
from chalicelib.edges.aws import calling
from pulley.host.document import document_text
from pulley.operator.suggest import suggest

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_ssm.type_defs import DocumentDescriptionTypeDef

LATEST: Final = "$LATEST"
DEFAULT: Final = "$DEFAULT"
_UNDER_WAY = ("Creating", "Updating")
_ATTEMPTS = 60  # one a second; usually SSM needs a few
_SPELLINGS = 8


@dataclass(frozen=True)
class DocumentVersion:
    """A version of the document. `content` is {} if it is not a JSON object.

    `latest` and `default` are the numbers of the document's latest and default version.
    """

    pin: DocumentPin
    kind: str
    status: str
    latest: str
    default: str
    content: Mapping[str, object] = field(repr=False)

    @property
    def version(self) -> str:
        """Its number."""
        return self.pin.version


class Documents:
    """The versions of one document. Every method raises RefusedError or UnavailableError."""

    def __init__(
        self, client: "SSMClient", name: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """`sleep` is in seconds."""
        self._client = client
        self.name = name
        self._sleep = sleep
        errors = client.exceptions
        self._missing = (errors.InvalidDocument, errors.InvalidDocumentVersion)

    def read(self, version: str = LATEST) -> DocumentVersion | None:
        """Wait until SSM has stored a version, and read it. None if there is no such version."""
        described = self._describe(version)
        attempts = _ATTEMPTS
        while described is not None and described["Status"] in _UNDER_WAY:
            if not attempts:
                raise UnavailableError(
                    f"{self.name} is still {described['Status']}: try again in a minute"
                )
            attempts -= 1
            self._sleep(1)
            described = self._describe(version)
        if described is None:
            return None
        number = described["DocumentVersion"]
        with calling(f"reading {self.name}"):
            answer = self._client.get_document(
                Name=self.name, DocumentVersion=number, DocumentFormat="JSON"
            )
        return DocumentVersion(
            pin=DocumentPin(number, described.get("Hash", "")),
            kind=described.get("DocumentType", ""),
            status=described["Status"],
            latest=described["LatestVersion"],
            default=described["DefaultVersion"],
            content=_object(answer.get("Content", "")),
        )

    def kind(self) -> str:
        """The document's type, whatever state it is in; "" if there is none."""
        described = self._describe(LATEST)
        return described.get("DocumentType", "") if described else ""

    def delete(self) -> None:
        """Delete the document with all its versions, if it is there."""
        with calling(f"deleting the document {self.name}"):
            try:
                self._client.delete_document(Name=self.name)
            except self._missing:
                return

    def refusal_of(self, pin: DocumentPin | None) -> RefusedError | None:
        """The error with which AWS would refuse to send this version; None if AWS would send it.

        Without a pin the default version is sent.
        """
        described = self._describe(pin.version if pin else DEFAULT)
        if described is None:
            why = f"has no version {pin.version}" if pin else "is not there"
        elif pin and described.get("Hash") != pin.hash:
            why = f"has another hash in version {pin.version}"
        else:
            return None
        pinned = ", as it is pinned" if pin else ""
        return RefusedError(
            f"AWS would refuse the document {self.name}{pinned}: it {why}",
            detail=f"{suggest('setup')} stores it, and pins what it stored",
        )

    def create(self, content: Mapping[str, object]) -> DocumentVersion:
        """Create the document."""
        with calling(f"creating {self.name}"):
            self._client.create_document(
                Name=self.name,
                Content=document_text(content),
                DocumentType="Command",
                DocumentFormat="JSON",
            )
        return self._active(LATEST)

    def update(self, content: Mapping[str, object]) -> DocumentVersion:
        """Store the content as the latest version. The default version does not change."""
        for spaces in range(_SPELLINGS):
            # SSM refuses content that any of its versions has, so spaces make it differ.
            text = document_text(content) + " " * spaces
            with calling(f"updating {self.name}"):
                try:
                    answer = self._client.update_document(
                        Name=self.name, Content=text, DocumentVersion=LATEST, DocumentFormat="JSON"
                    )
                except self._client.exceptions.DuplicateDocumentContent:
                    continue
                version = answer["DocumentDescription"]["DocumentVersion"]
            return self._active(version)
        raise RefusedError(
            f"{self.name} has this content in {_SPELLINGS} versions and takes it no more: delete "
            "those that are neither the default nor pinned"
        )

    def make_default(self, version: str) -> None:
        """Make a version the default: it runs if a command names no version."""
        with calling(f"making version {version} of {self.name} the default"):
            self._client.update_document_default_version(Name=self.name, DocumentVersion=version)

    def delete_older(self, than: str) -> tuple[str, ...]:
        """Delete the older versions, downwards to the first missing one. Returns their numbers."""
        deleted = []
        for number in range(int(than) - 1, 0, -1):
            with calling(f"deleting version {number} of {self.name}"):
                try:
                    self._client.delete_document(Name=self.name, DocumentVersion=str(number))
                except self._missing:
                    break
            deleted.append(str(number))
        return tuple(deleted)

    def _active(self, version: str) -> DocumentVersion:
        stored = self.read(version)
        if stored is None:
            raise UnavailableError(f"{self.name} was deleted by somebody else just now")
        if stored.status != "Active":
            raise RefusedError(f"{self.name}: version {stored.version} is {stored.status}")
        return stored

    def _describe(self, version: str) -> "DocumentDescriptionTypeDef | None":
        with calling(f"describing {self.name}"):
            try:
                answer = self._client.describe_document(Name=self.name, DocumentVersion=version)
            except self._missing:
                return None
            return answer["Document"]


def _object(text: str) -> Mapping[str, object]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
