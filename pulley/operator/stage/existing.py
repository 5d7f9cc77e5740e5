"""Which stages there are in an account: those of which anything is stored."""

from chalicelib.core.errors import UnavailableError
from pulley.operator.aws.parameters import Parameters
from pulley.operator.near import did_you_mean
from pulley.operator.suggest import suggest


class NoStageError(UnavailableError):
    """Nothing is stored of a stage: it is not set up yet, or was meant to be another one."""


def check_is_there(stage: str, parameters: Parameters) -> None:
    """Raises NoStageError, with the stages that there are; RefusedError and UnavailableError."""
    stages = sorted({name.split("/")[2] for name in parameters.names_below("/pulley")})
    if stage in stages:
        return
    there = f"there is {', '.join(stages)}" if stages else "nor any other"
    raise NoStageError(
        f"there is no stage {stage} in this account and region{did_you_mean(stage, stages)}; "
        f"{there}. {suggest('setup')} makes it"
    )
