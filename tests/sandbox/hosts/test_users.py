"""What the sandbox needs of the machine it runs on."""

from pathlib import Path

import pytest

from pulley.sandbox.hosts import users


class TestMissingPrograms:
    @pytest.mark.parametrize("as_root", [True, False])
    def test_setpriv_is_needed_by_everyone_because_the_app_runs_under_it(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, as_root: bool
    ) -> None:
        monkeypatch.setattr(users, "AS_ROOT", as_root)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert "setpriv" in users.missing_programs()

    def test_machine_that_has_all_lacks_nothing(self) -> None:
        assert users.missing_programs() == []
