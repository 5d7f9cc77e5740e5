"""The end of a failed run's output: short, harmless, and read once."""

from chalicelib.edges.command_output import Output
from chalicelib.status.outputs import LINES, LONGEST_LINE, MOST, Outputs


class Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.reads = 0

    def read(self, command_id: str, instance_id: str) -> Output:
        del command_id, instance_id
        self.reads += 1
        return Output("the result line", self.text)


def test_last_lines_are_kept_without_what_controls_a_terminal() -> None:
    reader = Reader("".join(f"line {number}\n" for number in range(50)) + "\x1b[31mred\x1b[0m\n")
    outputs = Outputs(reader)
    lines = outputs.end_of("c", "i").split("\n")
    assert (len(lines), lines[-1]) == (LINES, "red")
    assert outputs.end_of("c", "i").split("\n") == lines
    assert reader.reads == 1


def test_long_line_is_cut() -> None:
    assert len(Outputs(Reader("x" * 10_000)).end_of("c", "i")) == LONGEST_LINE


def test_run_that_wrote_nothing_has_none() -> None:
    assert Outputs(Reader("")).end_of("c", "i") == ""


def test_memory_is_bounded() -> None:
    outputs = Outputs(Reader("x"))
    for number in range(MOST + 20):
        outputs.end_of(str(number), "i")
    assert len(outputs._known) <= MOST
