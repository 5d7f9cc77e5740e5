"""What an uninstall would cut in the middle, and which pins it would forget."""

from collections.abc import Sequence
from datetime import datetime

from chalicelib.core.history import Command
from chalicelib.core.pins import PinError, parse_pin
from pulley.operator.stage.stage import Stage
from pulley.operator.status.history import commands_of


def deployments_under_way(stage: Stage, *, now: datetime) -> tuple[str, ...]:
    """Each command that may still run on a host, in words. `now` is aware.

    Raises RefusedError and UnavailableError.
    """
    return tuple(
        f"{one.roll_out.commit.short} is being deployed to {one.roll_out.target}, command {one.id}"
        for one in commands_of(stage, now=now)
        if isinstance(one, Command) and not one.is_over and now <= one.expires
    )


def pins_in_force(stage: Stage, names: Sequence[str], *, now: datetime) -> tuple[str, ...]:
    """Each pin or freeze that is in force, or cannot be read, in words. `now` is aware.

    Raises RefusedError and UnavailableError.
    """
    prefix = stage.names.pin("")
    words = []
    for name, stored in stage.parameters.read(*(one for one in names if prefix in one)).items():
        target = name.removeprefix(prefix)
        try:
            pin = parse_pin(stored.value)
        except PinError as error:
            words.append(f"{target} has a pin that cannot be read: {error}")
            continue
        if pin.holds(now):
            words.append(f"{target} is {pin}")
    return tuple(words)
