"""Tables that fit, and none that a program cannot read."""

import pytest
from rich.text import Text

from pulley.cli.table import laid_out, say_rows

HEAD = ("host", "", "said")
ROWS = [[Text("web-1"), Text("online"), Text("short")], [Text("web-20"), Text(""), Text("x" * 40)]]


def lines(width: int | None, long: int = 1) -> list[str]:
    return [one.plain for one in laid_out(HEAD, ROWS, long, width)]


class TestLaidOut:
    def test_where_it_fits_each_row_is_a_line_without_spaces_at_its_end(self) -> None:
        table = ["host            said", "web-1   online  short", f"web-20          {'x' * 40}"]
        assert lines(56) == lines(None) == table

    def test_where_it_does_not_the_long_cells_are_on_lines_of_their_own(self) -> None:
        assert lines(55) == [
            "host",
            "web-1   online",
            "    short",
            "web-20",
            f"    {'x' * 40}",
        ]

    def test_long_cells_that_are_empty_get_no_line(self) -> None:
        assert lines(10, long=2) == [
            "host",
            "web-1",
            "    online",
            "    short",
            "web-20",
            f"    {'x' * 40}",
        ]


class TestSayRows:
    @pytest.mark.parametrize(("columns", "count"), [("", 2), ("80", 3), ("400", 2), ("wide", 2)])
    def test_lines_are_as_long_as_need_be_unless_columns_says_how_long(
        self,
        columns: str,
        count: int,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("COLUMNS", columns)
        said = "word " * 60 + "end"
        say_rows(("host", "said"), [("[red]", (said, "red"))])
        told = capsys.readouterr().out.splitlines()
        assert len(told) == count
        assert "[red]" in told[1]
        assert told[-1].endswith(said)
