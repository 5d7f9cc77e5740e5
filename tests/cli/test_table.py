"""Tables fit the terminal, and a program can read them."""

import pytest
from rich.text import Text

from pulley.cli.table import laid_out, say_rows

HEAD = ("host", "", "said")
ROWS = [[Text("web-1"), Text("online"), Text("short")], [Text("web-20"), Text(""), Text("x" * 40)]]


def lines(width: int | None, long: int = 1) -> list[str]:
    return [one.plain for one in laid_out(HEAD, ROWS, long, width)]


class TestLaidOut:
    def test_table_that_fits_has_one_line_a_row_without_trailing_spaces(self) -> None:
        table = ["host            said", "web-1   online  short", f"web-20          {'x' * 40}"]
        assert lines(56) == lines(None) == table

    def test_table_that_does_not_fit_has_its_long_cells_on_separate_lines(self) -> None:
        assert lines(55) == [
            "host",
            "web-1   online",
            "    short",
            "web-20",
            f"    {'x' * 40}",
        ]

    def test_empty_long_cell_gets_no_line(self) -> None:
        assert lines(10, long=2) == [
            "host",
            "web-1",
            "    online",
            "    short",
            "web-20",
            f"    {'x' * 40}",
        ]

    def test_narrow_table_leaves_out_columns_in_their_order_then_uses_further_lines(self) -> None:
        head, row = ("host", "", "when", "said"), ["web-1", "online", "2026-11-21", "well"]
        cells = [[Text(one) for one in row]]

        def shown(width: int) -> list[str]:
            return [one.plain for one in laid_out(head, cells, 1, width, ("when", ""))]

        assert shown(25) == ["host           when", "web-1  online  2026-11-21", "    well"]
        assert shown(24) == ["host", "web-1  online", "    well"]
        assert shown(12) == ["host", "web-1", "    well"]

    def test_cells_that_may_not_be_left_out_go_to_the_next_line_whole(self) -> None:
        cells = [[Text(one) for one in ("web-1", "online", "2026-11-21", "all is well")]]
        narrow = laid_out(("host", "", "when", "said"), cells, 1, 13)
        assert [one.plain for one in narrow] == [
            "host  when",
            "web-1  online",
            "    2026-11-21",
            "    all is",
            "      well",
        ]


class TestSayRows:
    @pytest.mark.parametrize(("columns", "count"), [("", 2), ("80", 7), ("400", 2), ("wide", 2)])
    def test_lines_are_unlimited_unless_columns_sets_a_width(
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
        assert " ".join(" ".join(told).split()).endswith(said)
        assert all(len(one) <= 80 for one in told) == (columns == "80")
