"""Find the stages of an account: those that have a parameter."""

from chalicelib.core.errors import UnavailableError
from pulley.operator.aws.parameters import Parameters
from pulley.operator.near import did_you_mean
from pulley.operator.suggest import suggest


class NoStageError(UnavailableError):
    """A stage has no parameters: it is not set up yet, or its name is wrong."""


def check_is_there(stage: str, parameters: Parameters) -> None:
    """Raise NoStageError, with the existing stages, if the stage has no parameters.

    Raises RefusedError and UnavailableError, too.
    """
    stages = sorted({name.split("/")[2] for name in parameters.names_below("/pulley")})
    if stage in stages:
        return
    there = f"there is {', '.join(stages)}" if stages else "nor any other"
    raise NoStageError(
        f"there is no stage {stage} in this account and region{did_you_mean(stage, stages)}; "
        f"{there}. {suggest('setup')} makes it"
    )
