"""Which clone of Pulley a command uses: its own, else that of the current folder."""

import json
from pathlib import Path

import pytest

from chalicelib.core.errors import UnavailableError
from pulley import project
from tests.app.policies import PROJECT


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A command that was installed elsewhere; returns the folder that it is called in."""
    (place := tmp_path / "site-packages").mkdir()
    monkeypatch.setattr(project, "_HERE", place)
    (folder := tmp_path / "clone/below").mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def make_app(folder: Path, settings: object) -> None:
    (folder / ".chalice").mkdir()
    (folder / ".chalice/config.json").write_text(json.dumps(settings))
    (folder / "app.py").write_text("")


class TestIsOtherRelease:
    def test_checkout_with_another_script_is_another_release(self, installed: Path) -> None:
        own, checkout = project._HERE, installed.parent
        for folder in (own, checkout):
            (folder / "pulley/host").mkdir(parents=True)
            (folder / "pulley/host/main.sh").write_text("main\n")
        assert not project.is_other_release(checkout)
        (checkout / "pulley/host/more.sh").write_text("more\n")
        assert project.is_other_release(checkout)

    def test_command_s_own_checkout_is_no_other_release(self) -> None:
        assert not project.is_other_release(project._HERE)


class TestFindProject:
    def test_command_in_a_clone_uses_that_clone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert project.find_project() == PROJECT

    def test_installed_command_uses_the_clone_of_the_current_folder(self, installed: Path) -> None:
        make_app(installed.parent, {"app_name": "pulley"})
        assert project.project() == installed.parent

    @pytest.mark.parametrize("settings", [{"app_name": "shop"}, [], {}])
    def test_another_chalice_app_is_not_used(self, installed: Path, settings: object) -> None:
        make_app(installed.parent, settings)
        assert project.find_project() is None
        with pytest.raises(UnavailableError, match="needs a clone of Pulley"):
            project.project()
