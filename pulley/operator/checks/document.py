"""The document: there, the same as this checkout's, and pinned."""

from collections.abc import Iterator

from chalicelib.core.commands import (
    DocumentPin,
    DocumentPinError,
    build_document,
    parse_document_pin,
)
from pulley.host.build import build
from pulley.operator.checks.row import FAIL, WARN, Row, passed
from pulley.operator.document import Documents, DocumentVersion
from pulley.operator.parameters import Parameters

_SETUP = "pulley setup"


def check_document(documents: Documents, parameters: Parameters, pin_name: str) -> Iterator[Row]:
    """The document and its pin. Raises RefusedError and UnavailableError."""
    latest = documents.read()
    if latest is None:
        yield Row("document", FAIL, f"{documents.name} is not there", _SETUP, fix="setup")
        return
    stored = parameters.read_one(pin_name)
    if stored is None:
        words = f"{pin_name} is not stored: a document that was edited by hand would run"
        yield Row("document's pin", WARN, words, _SETUP, fix="setup")
        yield _check_content(documents, latest)
        return
    try:
        pin = parse_document_pin(stored.value)
    except DocumentPinError as error:
        words = f"{pin_name} cannot be read, so nothing is sent: {error}"
        yield Row("document's pin", FAIL, words, _SETUP, fix="setup")
        return
    yield from _check_pinned(documents, pin, latest)


def _check_pinned(documents: Documents, pin: DocumentPin, latest: DocumentVersion) -> Iterator[Row]:
    pinned = latest if latest.version == pin.version else documents.read(pin.version)
    if pinned is None or pinned.pin != pin:
        words = f"it asks for version {pin.version}, which is not there or has another hash"
        yield Row("document's pin", FAIL, words, _SETUP, fix="setup")
        return
    yield passed("document's pin", f"version {pin.version}, by its hash")
    yield _check_content(documents, pinned)
    if latest.version != pin.version:
        words = f"somebody stored version {latest.version} since; the pinned {pin.version} runs"
        yield Row(
            "document", WARN, words, "pulley setup: it stores this checkout's again", fix="setup"
        )


def _check_content(documents: Documents, used: DocumentVersion) -> Row:
    if used.content == build_document(build()):
        return passed("document", f"{documents.name} is the same as this command's")
    words = f"version {used.version} of {documents.name} is not what this checkout has"
    return Row("document", FAIL, words, _SETUP, fix="setup")
