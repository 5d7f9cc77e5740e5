"""The stage's SSM document as an operator stores it: its versions, and the pin that leads to one.

What is in use is what the pin says; without a pin, the default version. An upgrade stores the
content as the latest version, makes that one the default, and leaves the pin, which is a parameter,
to whoever called.
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
_ATTEMPTS = 60  # a second apart: it takes a moment, as a rule
_SPELLINGS = 8


@dataclass(frozen=True)
class DocumentVersion:
    """One version. `latest` and `default` are the document's. `content` is {} where unreadable."""

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
    """One document's versions. Every method raises RefusedError or UnavailableError."""

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
        """A version, once SSM is done with it; None where there is none of this number."""
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

    def refusal_of(self, pin: DocumentPin | None) -> RefusedError | None:
        """What AWS says to sending it so; None where it takes that. Without a pin, the default."""
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
        """Make the document."""
        with calling(f"creating {self.name}"):
            self._client.create_document(
                Name=self.name,
                Content=document_text(content),
                DocumentType="Command",
                DocumentFormat="JSON",
            )
        return self._active(LATEST)

    def update(self, content: Mapping[str, object]) -> DocumentVersion:
        """Store the content as the latest version. The default stays what it is."""
        for spaces in range(_SPELLINGS):
            # SSM takes no content twice, be it of a version that is not the latest any more.
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
        """What is run where nobody asks for a version."""
        with calling(f"making version {version} of {self.name} the default"):
            self._client.update_document_default_version(Name=self.name, DocumentVersion=version)

    def delete_older(self, than: str) -> tuple[str, ...]:
        """Delete versions, downwards to the first that is not there. Returns which they were."""
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
