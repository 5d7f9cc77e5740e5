from pulley.operator.setup.diff import MAX_LINES, difference


class TestDifference:
    def test_equal_texts_have_no_diff(self) -> None:
        assert difference(["a"], ["a"], "script") == ()

    def test_long_diff_is_cut_with_the_number_of_omitted_lines(self) -> None:
        lines = difference([], [str(number) for number in range(100)], "script")
        assert len(lines) == MAX_LINES + 1
        assert lines[-1] == f"... {100 + 3 - MAX_LINES} more lines of this diff"
