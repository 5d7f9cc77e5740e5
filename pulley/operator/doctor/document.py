"""Check that the document exists, is the same as this command's, and is pinned."""

from collections.abc import Iterator
from pathlib import Path

from chalicelib.core.commands import (
    DocumentPin,
    DocumentPinError,
    parse_document_pin,
)
from pulley.operator.aws.document import Documents, DocumentVersion
from pulley.operator.aws.parameters import Parameters
from pulley.operator.doctor.release import check_content
from pulley.operator.doctor.row import FAIL, WARN, Row, passed
from pulley.operator.suggest import suggest


def check_document(
    documents: Documents, parameters: Parameters, pin_name: str, checkout: Path | None
) -> Iterator[Row]:
    """Check the document and its pin. Raises RefusedError and UnavailableError.

    `checkout` is Pulley's, if one was found.
    """
    latest, setup = documents.read(), str(suggest("setup"))
    if latest is None:
        yield Row("document", FAIL, f"{documents.name} is not there", setup, fix="setup")
        return
    stored = parameters.read_one(pin_name)
    if stored is None:
        words = f"{pin_name} is not stored: a document that was edited by hand would run"
        yield Row("document's pin", WARN, words, setup, fix="setup")
        yield from _check_content(documents, latest, checkout)
        return
    try:
        pin = parse_document_pin(stored.value)
    except DocumentPinError as error:
        words = f"{pin_name} cannot be read, so nothing is sent: {error}"
        yield Row("document's pin", FAIL, words, setup, fix="setup")
        yield from _check_content(documents, latest, checkout)
        return
    yield from _check_pinned(documents, pin, latest, checkout)


def _check_pinned(
    documents: Documents, pin: DocumentPin, latest: DocumentVersion, checkout: Path | None
) -> Iterator[Row]:
    pinned = latest if latest.version == pin.version else documents.read(pin.version)
    if pinned is None or pinned.pin != pin:
        words = f"it asks for version {pin.version}, which is not there or has another hash"
        yield Row("document's pin", FAIL, words, str(suggest("setup")), fix="setup")
        yield from _check_content(documents, latest, checkout)
        return
    yield passed("document's pin", f"version {pin.version}, by its hash")
    yield from _check_content(documents, pinned, checkout)
    if latest.version != pin.version:
        words = f"somebody stored version {latest.version} since; the pinned {pin.version} runs"
        hint = f"{suggest('setup')}: it stores the document of this command again"
        yield Row("document", WARN, words, hint, fix="setup")


def _check_content(documents: Documents, used: DocumentVersion, checkout: Path | None) -> list[Row]:
    return check_content(documents.name, used.content, checkout, version=used.version)
