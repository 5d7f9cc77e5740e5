"""Compares the releases of the command, the stage's document and the current checkout."""

import tomllib
from pathlib import Path

import pytest

from pulley import project
from pulley.host.build import PARTS, build
from pulley.host.document import RELEASE, build_document
from pulley.operator.doctor.release import UPDATE, check_content, is_newer, release_of
from pulley.operator.doctor.row import FAIL, PASS, WARN, Row
from tests.app.policies import PROJECT

OWN = build_document(build())


def of_release(release: str) -> dict[str, object]:
    return OWN | {"description": f"Pulley/{release} brings more."}


def rows_of(content: dict[str, object], checkout: Path | None = None) -> list[Row]:
    return check_content("pulley-dev-pull", content, checkout, version="3")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Another checkout of Pulley, with a different script."""
    (host := tmp_path / "clone/pulley/host").mkdir(parents=True)
    for name in PARTS:
        part = (PROJECT / f"pulley/host/{name}.sh").read_text()
        (host / f"{name}.sh").write_text(part + "true\n")
    return tmp_path / "clone"


class TestRelease:
    def test_document_and_package_have_the_same_release(self) -> None:
        package = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
        assert release_of(OWN) == RELEASE == package["version"]

    @pytest.mark.parametrize("content", [{}, {"description": "edited by hand"}, {"description": 1}])
    def test_document_without_a_release_in_its_description_has_no_release(
        self, content: dict[str, object]
    ) -> None:
        assert release_of(content) == ""

    @pytest.mark.parametrize(
        ("release", "expected"),
        [
            *[("0.2.1", True), ("0.10.0", True), ("1.0", True), (RELEASE, False), ("0.0.9", False)],
            *[("", False), ("0.x", False), ("9" * 5000, False)],
        ],
    )
    def test_releases_are_compared_by_their_numbers(self, release: str, *, expected: bool) -> None:
        assert is_newer(of_release(release)) == expected


class TestCheckContent:
    def test_equal_document_passes(self) -> None:
        (row,) = rows_of(OWN, PROJECT)
        assert (row.what, row.outcome) == ("document", PASS)

    def test_older_command_must_be_updated_and_offers_no_fix(self) -> None:
        (row,) = rows_of(of_release("9.2.0"))
        assert (row.outcome, row.mend, row.fix) == (FAIL, UPDATE, "")
        assert row.words == (
            f"pulley-dev-pull is of release 9.2.0; this command is of {RELEASE}, which is older"
        )

    def test_newer_command_offers_setup_as_fix(self) -> None:
        (row,) = rows_of(of_release("0.0.1"))
        assert (row.outcome, row.fix) == (FAIL, "setup")
        assert row.mend == "pulley setup, then chalice deploy"
        assert row.words.endswith(f"this command is of {RELEASE}, which is newer")

    def test_command_that_differs_from_stage_and_checkout_must_be_reinstalled(
        self, checkout: Path
    ) -> None:
        content = build_document(build(folder=checkout / "pulley/host"))
        (row,) = rows_of(content, checkout)
        assert (row.outcome, row.fix) == (FAIL, "")
        assert row.words.startswith(f"pulley-dev-pull has the script of {checkout}; this command")
        assert row.mend == f"pipx install --force {checkout}"

    def test_checkout_that_differs_from_stage_and_command_is_a_warning(
        self, checkout: Path
    ) -> None:
        document, command = rows_of(OWN, checkout)
        assert document.outcome == PASS
        assert (command.what, command.outcome) == ("this command", WARN)
        assert str(checkout) in command.words

    @pytest.mark.parametrize("content", [{}, OWN | {"mainSteps": []}, OWN | {"mainSteps": 1}])
    def test_other_document_content_fails_with_setup_as_fix(
        self, content: dict[str, object], checkout: Path
    ) -> None:
        (checkout / "pulley/host/main.sh").unlink()
        for around in (None, project.find_project(), checkout):
            (row,) = rows_of(content, around)
            assert (row.outcome, row.fix) == (FAIL, "setup")
            assert row.words == "version 3 of pulley-dev-pull is not what this command has"
            assert row.mend.startswith("pulley setup")
