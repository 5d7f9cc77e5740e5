"""The SSM document: its parameters, which accept only plain text, and its step."""

import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulley.host.build import build
from pulley.host.document import PARAMETERS, build_document, document_text
from tests.fakes import COMMIT, GUID

SCRIPT = build()
MAX_DOCUMENT_BYTES = 64 * 1024
NASTY = "'\"$\\{}` \n\r\t\x00"
# Only the reporter and the command line read these.
NOT_OF_THE_SCRIPT = {"Delivery", "Deployment", "Attempt", "By", "PushedAt", "Saved"}
# A valid value of each parameter.
GOOD = {
    "Target": "web",
    "Repository": "octo/site",
    "Checkout": "/srv/site",
    "Branch": "release/1.2",
    "Commit": COMMIT,
    "Update": "rebase",
    "AfterPull": "deploy/after-pull",
    "Restart": "site.service,worker@1.service",
    "HealthCheck": "http://127.0.0.1:8000/health?a=b",
    "Paths": "app/**,:!**/*.md,?.txt",
    "Clone": "ssh://git@git.example.com:2222/octo/site.git",
    "Owner": "deploy",
    "Timeout": "600",
    "Issued": "1896091200000",
    "Cause": "push",
    "Delivery": GUID,
    "Deployment": "1234567",
    "Attempt": "3",
    "By": "mona",
    "PushedAt": "2030-01-01T08:00:07Z",
    "Saved": "fail",
    "Drain": (
        "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web/0123456789abcdef"
    ),
    "BeforeRestart": "deploy/before",
    "AfterHealthy": "deploy/after",
    "Releases": "5,uploads/,.env",
}


def matches_as_the_agent_does(pattern: str, value: str) -> bool:
    """Match as RE2, unanchored: its `$` is only the end of the text, not of the last line."""
    assert pattern.endswith("$")
    return re.search(pattern[:-1] + r"\Z", value) is not None


class TestParameters:
    def test_parameters_have_the_expected_names_in_order(self) -> None:
        assert list(PARAMETERS) == list(GOOD)

    @pytest.mark.parametrize("name", PARAMETERS)
    def test_name_is_valid_in_ssm_and_pattern_is_anchored_and_valid_in_re2(self, name: str) -> None:
        assert re.fullmatch("[a-zA-Z0-9]+", name)
        pattern = PARAMETERS[name]
        assert pattern.startswith("^")
        assert pattern.endswith("$")
        assert "\\" not in pattern, "no escapes, and so no back-references"
        assert "(?" not in pattern, "no look-around"
        without_groups, groups = pattern, 1
        while groups:
            without_groups, groups = re.subn(r"\([^()]*\)", "", without_groups)
        assert "|" not in without_groups, "an alternative at the top would not be anchored"
        repeats = [int(most) for most in re.findall(r"\{\d+,(\d+)\}", pattern)]
        assert all(most <= 1000 for most in repeats), "RE2 counts to a thousand"

    @pytest.mark.parametrize(("name", "value"), GOOD.items())
    def test_good_value_is_accepted_but_not_with_a_special_character_in_it(
        self, name: str, value: str
    ) -> None:
        pattern = PARAMETERS[name]
        assert matches_as_the_agent_does(pattern, value)
        for character in NASTY:
            for place in range(len(value) + 1):
                nasty = value[:place] + character + value[place:]
                assert not matches_as_the_agent_does(pattern, nasty), nasty
            assert not matches_as_the_agent_does(pattern, character)

    @pytest.mark.parametrize("name", PARAMETERS)
    def test_reference_that_the_agent_would_resolve_is_rejected(self, name: str) -> None:
        for value in ("{{ssm:/name}}", "{{ Target }}"):
            assert not matches_as_the_agent_does(PARAMETERS[name], value)

    def test_units_of_a_site_are_accepted_and_targets_mounts_and_slices_are_rejected(self) -> None:
        pattern = PARAMETERS["Restart"]
        for units in ("site", "a.service,worker@a.b.service", "a.socket,b.timer,c.path", "_a:b-c"):
            assert matches_as_the_agent_does(pattern, units), units
        for units in (
            *("poweroff.target", "poweroff.target,debug-shell.service", "a.service.target"),
            *("debug-shell.service,poweroff.target", "srv.mount", "-.slice"),
            *("site.", "a,,b", "a,", "a,-x"),
        ):
            assert not matches_as_the_agent_does(pattern, units), units

    # The host ignores Delivery: no program ever gets it.
    @pytest.mark.parametrize("name", sorted(set(PARAMETERS) - {"Delivery"}))
    def test_value_that_begins_with_a_dash_is_rejected(self, name: str) -> None:
        for value in ("-x", "--upload-pack=x"):
            assert not matches_as_the_agent_does(PARAMETERS[name], value)

    @given(st.sampled_from(list(PARAMETERS)), st.text(), st.data())
    def test_accepted_value_is_always_plain_text(
        self, name: str, text: str, data: st.DataObject
    ) -> None:
        pattern = PARAMETERS[name]
        good = data.draw(st.from_regex(pattern, fullmatch=True))
        for value in (good, text, good + text, text + good):
            if matches_as_the_agent_does(pattern, value):
                assert re.fullmatch(pattern, value)
                assert not set(value) & set(NASTY)
                assert value.isascii()
                assert value.isprintable()


class TestBuildDocument:
    DOCUMENT = build_document(SCRIPT)
    PARAMETERS: Mapping[str, Mapping[str, str]] = DOCUMENT["parameters"]  # type: ignore[assignment]

    def step(self) -> dict[str, object]:
        steps = self.DOCUMENT["mainSteps"]
        assert isinstance(steps, list)
        (step,) = steps
        assert isinstance(step, dict)
        return step

    def test_schema_is_2_2(self) -> None:
        assert self.DOCUMENT["schemaVersion"] == "2.2"
        assert set(self.DOCUMENT) == {"schemaVersion", "description", "parameters", "mainSteps"}

    def test_one_step_runs_the_script_on_linux_within_the_timeout(self) -> None:
        step = self.step()
        assert {key: step[key] for key in ("action", "name", "precondition")} == {
            "action": "aws:runShellScript",
            "name": "pull",
            "precondition": {"StringEquals": ["platformType", "Linux"]},
        }
        assert step["inputs"] == {"timeoutSeconds": "{{ Timeout }}", "runCommand": [SCRIPT]}

    def test_every_parameter_has_its_pattern(self) -> None:
        for name, pattern in PARAMETERS.items():
            described = self.PARAMETERS[name]
            assert described["type"] == "String"
            assert described["allowedPattern"] == pattern

    def test_script_reads_each_parameter_except_timeout_from_an_environment_variable(self) -> None:
        by_text = {
            name
            for name, described in self.PARAMETERS.items()
            if described.get("interpolationType") != "ENV_VAR"
        }
        in_script = {name for name in self.PARAMETERS if re.search(rf"{{{{ *{name} *}}}}", SCRIPT)}
        assert by_text == {"Timeout"} | (set(self.PARAMETERS) - in_script)
        assert set(self.PARAMETERS) - in_script == NOT_OF_THE_SCRIPT

    def test_only_target_repository_checkout_and_branch_have_no_default(self) -> None:
        without = {
            name for name, described in self.PARAMETERS.items() if "default" not in described
        }
        assert without == {"Target", "Repository", "Checkout", "Branch"}

    def test_every_default_matches_its_pattern(self) -> None:
        for described in self.PARAMETERS.values():
            default = described.get("default")
            if default is not None:
                assert matches_as_the_agent_does(described["allowedPattern"], default)

    def test_document_fits_into_the_size_limit_of_ssm(self) -> None:
        assert len(document_text(self.DOCUMENT).encode()) <= MAX_DOCUMENT_BYTES

    def test_script_has_well_formed_double_braces_only_around_parameter_names(self) -> None:
        found = set(re.findall(r"\{\{\s*([\w:./-]+)\s*\}\}", SCRIPT))
        assert found <= set(PARAMETERS)

    def test_script_uses_substituted_text_only_if_the_variable_is_unset(self) -> None:
        listed, given = r"'(\w+)=\{\{ \1 \}\}'", r'eval "$name=\${SSM_$name-\$'
        safely = re.findall(listed, SCRIPT[: SCRIPT.index(given)])
        assert len(safely) == SCRIPT.count("{{") == SCRIPT.count("}}")
        assert set(safely) == set(PARAMETERS) - NOT_OF_THE_SCRIPT
