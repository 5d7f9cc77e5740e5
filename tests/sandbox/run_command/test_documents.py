"""A document as the agent reads it: how it checks the parameters and puts them into the script."""

import json

import pytest

from pulley.sandbox.run_command.documents import Document, ParameterError, parse_document


def document_of(parameters: dict[str, dict[str, object]], script: object = "true") -> Document:
    step = {"action": "aws:runShellScript", "name": "step", "inputs": {"runCommand": script}}
    content = {"schemaVersion": "2.2", "parameters": parameters, "mainSteps": [step]}
    return parse_document(json.dumps(content), name="test", version="1")


def script_of(script: object, **given: str) -> str:
    document = document_of({name: {"type": "String"} for name in given}, script)
    values = {name: (value,) for name, value in given.items()}
    return document.steps[0].script(document.texts(document.receive(values)))


class TestReceive:
    def test_missing_parameter_with_a_pattern_and_no_default_is_refused(self) -> None:
        document = document_of({"Word": {"type": "String", "allowedPattern": "^[a-z]*$"}})
        with pytest.raises(ParameterError, match="Word is missing"):
            document.receive({})

    def test_missing_parameter_without_a_pattern_is_null(self) -> None:
        assert document_of({"Word": {"type": "String"}}).receive({}) == {"Word": ("null",)}

    def test_default_replaces_a_missing_value_and_must_match_the_pattern(self) -> None:
        word: dict[str, object] = {"type": "String", "allowedPattern": "^[a-z]+$", "default": "a"}
        assert document_of({"Word": word}).receive({}) == {"Word": ("a",)}
        with pytest.raises(ParameterError, match="Word does not match"):
            document_of({"Word": word | {"default": "A"}}).receive({})

    def test_agent_checks_only_the_pattern(self) -> None:
        word: dict[str, object] = {"type": "String", "allowedValues": ["a"]}
        document = document_of({"Word": word})
        assert document.receive({"Word": ("b",), "More": ("c",)}) == {"Word": ("b",)}
        with pytest.raises(ParameterError, match="not one of its allowed values"):
            document.check({"Word": ("b",)})


class TestScript:
    @pytest.mark.parametrize(
        ("value", "filled_in"),
        [
            ("a$$b", "echo a$b"),
            ("$HOME/x", "echo /x"),
            ("${HOME}x", "echo x"),
            ("$(id)", "echo $(id)"),
            ("5$", "echo 5$"),
            (r"\\1", r"echo \\1"),
        ],
    )
    def test_dollar_in_a_value_is_expanded_as_by_go(self, value: str, filled_in: str) -> None:
        assert script_of("echo {{ Word }}", Word=value) == f"{filled_in}\n"

    def test_value_that_is_a_whole_line_is_unchanged(self) -> None:
        assert script_of(["{{ Word }}", "echo"], Word="echo $$") == "echo $$\necho\n"

    @pytest.mark.parametrize("script", ["a\nb {{ Word }}", ["a", "b {{ Word }}"]])
    def test_script_as_lines_equals_the_script_as_one_string(self, script: object) -> None:
        assert script_of(script, Word="c") == "a\nb c\n"
