"""Check the stage's parameters: secrets, targets, pins, tokens. No value is shown."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.pins import PinError, parse_pin
from chalicelib.core.refs import Repository
from chalicelib.core.stored import ParameterNames, read_secrets
from chalicelib.core.targets import Target
from pulley.operator.aws.parameters import Parameters
from pulley.operator.doctor.row import FAIL, WARN, Row, passed
from pulley.operator.stage.stage import StoredTargets
from pulley.operator.suggest import suggest
from pulley.operator.targets.overlaps import HINT, Overlap, overlaps_by_selectors

SHORTEST_SECRET = 20  # characters; what `pulley setup` makes has 64


@dataclass(frozen=True)
class Stored:
    """The stage's parameters. Raises RefusedError and UnavailableError if they cannot be read."""

    parameters: Parameters
    names: ParameterNames
    targets: StoredTargets

    def check_secrets(self) -> Iterator[Row]:
        """Check that a secret opens every repository: its own, or the stage's."""
        repositories = list(self.targets.settings)
        own = {one: self.names.repository_webhook_secret(one) for one in repositories}
        values = self.parameters.read(self.names.webhook_secret, *own.values())
        is_needed = not repositories or any(name not in values for name in own.values())
        if is_needed or self.names.webhook_secret in values:
            stored = values.get(self.names.webhook_secret)
            text = stored.value if stored else None
            yield _check_secret(self.names.webhook_secret, text)
        for repository, name in own.items():
            if name in values:
                yield _check_secret(name, values[name].value, repository)

    def check_targets(self) -> Iterator[Row]:
        """Check that the targets parse, and that no two share a name or a checkout."""
        for problem in self.targets.problems:
            yield Row("targets", FAIL, problem, str(suggest("targets apply")))
        by_name: dict[str, list[Target]] = {}
        for target in self.targets.targets:
            by_name.setdefault(target.name, []).append(target)
        for name, found in by_name.items():
            if len(found) > 1:
                words = " and ".join(str(one.repository) for one in found)
                hint = "give one of them another name: a pin is stored by its target's name"
                yield Row(f"target {name}", FAIL, f"{words} both have a target of this name", hint)
            target = found[0]
            yield passed(f"target {name}", f"{target.repository}, {target.line}")
        yield from overlap_rows(overlaps_by_selectors(self.targets.targets))
        if not self.targets.targets and not self.targets.problems:
            words, hint = "none is stored", f"write pulley.toml, then {suggest('targets apply')}"
            yield Row("targets", FAIL, words, hint)

    def check_pins(self, *, now: datetime) -> Iterator[Row]:
        """Check that the pins parse. An unreadable pin may be a freeze, so nothing is sent."""
        names = {self.names.pin(target.name): target.name for target in self.targets.targets}
        for name, stored in self.parameters.read(*names).items():
            what, unpin = f"pin of {names[name]}", suggest("unpin", names[name])
            try:
                pin = parse_pin(stored.value)
            except PinError as error:
                words = f"{name} cannot be read, so nothing is sent: {error}"
                yield Row(what, FAIL, words, str(unpin))
                continue
            if pin.holds(now):
                words = f"it is {pin}: pushes do not reach it"
                yield Row(what, WARN, words, f"{unpin}, to let deploys go on")

    def check_tokens(self) -> Iterator[Row]:
        """Check that every repository has a token. TokenCheck asks GitHub whether it is valid."""
        without = [str(one) for one, token in self.targets.tokens.items() if not token]
        if without:
            words = f"none for {', '.join(without)}: commits do not say where they run"
            hint = suggest("setup", "--github-token-file", "-")
            yield Row("GitHub token", WARN, words, str(hint))
            for target in self.targets.targets:
                if target.needs_github and str(target.repository) in without:
                    words = "nothing is sent: a round must ask GitHub which commit may go out, "
                    words += "and has no token"
                    yield Row(f"target {target.name}", FAIL, words, str(hint))


def overlap_rows(overlaps: Iterable[Overlap]) -> Iterator[Row]:
    """The rows for two targets in one checkout: each would undo the other's deploys."""
    for one in overlaps:
        hint = f"{HINT}, in pulley.toml, then {suggest('targets apply')}"
        yield Row(f"checkout of {one.one.name}", FAIL, one.words, hint)


def _check_secret(name: str, text: str | None, repository: Repository | None = None) -> Row:
    """Check the stage's secret, or a repository's own, which `pulley setup` does not store."""
    of = f" of {repository}" if repository else ""
    what, setup = f"webhook secret{of}", str(suggest("setup"))
    rotate = suggest("secret rotate", *(["--repository", repository] if repository else []))
    if text is None:
        return Row(what, FAIL, f"{name} is not stored", setup, fix="setup")
    secrets = read_secrets(text)
    if not secrets:
        words = f"{name} is blank: no delivery is accepted"
        if repository:
            hint = f"aws ssm delete-parameter --name {name}, so that the stage's secret counts"
            return Row(what, FAIL, words, hint)
        return Row(what, FAIL, words, setup, fix="setup")
    if any(len(secret) < SHORTEST_SECRET for secret in secrets):
        words = f"a secret in {name} has less than {SHORTEST_SECRET} characters, and can be guessed"
        return Row(what, WARN, words, str(rotate))
    if len(secrets) > 1:
        words = f"{len(secrets)} are valid: a rotation is not finished"
        return Row(what, WARN, words, f"{rotate}: it goes on with the new one")
    return passed(what, f"{name} is there, and readable")
