"""The programs that the sandbox needs on its machine."""

from pathlib import Path

import pytest

from pulley.sandbox.hosts import users


class TestMissingPrograms:
    @pytest.mark.parametrize("as_root", [True, False])
    def test_missing_setpriv_is_reported_for_every_user(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, as_root: bool
    ) -> None:
        monkeypatch.setattr(users, "AS_ROOT", as_root)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert "setpriv" in users.missing_programs()

    def test_machine_with_all_programs_lacks_none(self) -> None:
        assert users.missing_programs() == []
