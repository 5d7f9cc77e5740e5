from pulley.operator.setup.diff import MAX_LINES, difference


class TestDifference:
    def test_the_same_has_no_line(self) -> None:
        assert difference(["a"], ["a"], "script") == ()

    def test_long_one_is_cut_and_says_how_much_is_left_out(self) -> None:
        lines = difference([], [str(number) for number in range(100)], "script")
        assert len(lines) == MAX_LINES + 1
        assert lines[-1] == f"... {100 + 3 - MAX_LINES} more lines of this diff"
