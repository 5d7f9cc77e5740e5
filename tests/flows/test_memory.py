"""What a process remembers: the newest so many."""

from dataclasses import replace

from chalicelib.core.history import RollOut
from chalicelib.core.refs import CommitSha
from chalicelib.core.settling import Known
from chalicelib.flows.memory import Memory
from tests.flows.runs import command_of


def roll_out(letter: str, target: str = "web") -> RollOut:
    known = command_of(target=target).roll_out
    assert known
    return replace(known, commit=CommitSha(letter * 40))


class TestMemory:
    def test_nothing_is_known_of_what_was_never_kept(self) -> None:
        assert Memory().of(roll_out("a")) == Known()

    def test_each_target_and_commit_is_known_for_itself(self) -> None:
        memory = Memory()
        memory.keep(roll_out("a"), Known("success"))
        memory.keep(roll_out("a", "api"), Known("failure"))
        memory.keep(roll_out("b"), Known("error"))
        told = [memory.of(roll_out("a")), memory.of(roll_out("a", "api")), memory.of(roll_out("b"))]
        assert [one.told for one in told] == ["success", "failure", "error"]

    def test_oldest_is_forgotten_where_it_is_too_much(self) -> None:
        memory = Memory(most=2)
        for letter in "abac":  # what is kept again is the newest again
            memory.keep(roll_out(letter), Known("success"))
        assert len(memory) == 2
        assert [memory.of(roll_out(letter)).told for letter in "abc"] == ["success", "", "success"]
