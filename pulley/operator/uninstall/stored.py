"""Find a stage's document and parameters in Systems Manager, and delete them.

The tokens and the secrets go last: with them, a later run can still look at GitHub.
"""

import re
from collections.abc import Sequence
from functools import partial

from chalicelib.core.stored import ParameterNames
from pulley.operator.aws.document import Documents
from pulley.operator.stage.stage import Stage
from pulley.operator.uninstall.found import Found, Left, Removal

PARAMETERS, SECRETS, DOCUMENT = "parameters", "secrets and tokens", "document"
# What a parameter of a stage may be called below its prefix. A test compares this with
# ParameterNames: what else somebody keeps there is not Pulley's, and stays.
_SECRET = re.compile(
    r"webhook-secret|github-token|page-key|repositories/[^/]+/[^/]+/(?:webhook-secret|github-token)"
)
_OTHER = re.compile(
    r"repositories/[^/]+/[^/]+/targets|pins/[^/]+|page-url|page-links/[^/]+|document|reconcile"
)


def find_parameters(stage: Stage, names: Sequence[str]) -> Found:
    """The parameters with these names, in the order in which they go."""
    prefix = prefix_of(stage.names)
    secrets = [one for one in names if _SECRET.fullmatch(one.removeprefix(prefix))]
    others = [one for one in names if _OTHER.fullmatch(one.removeprefix(prefix))]
    foreign = [one for one in names if one not in {*secrets, *others}]
    removals = [
        Removal(what, f"{len(group)} below {prefix}", why, tuple(group), remove=remove)
        for what, why, group in (
            (PARAMETERS, "targets, pins and notes, with their history", others),
            (SECRETS, "for good: Parameter Store does not keep them", secrets),
        )
        if group
        for remove in [partial(stage.parameters.delete, group)]
    ]
    left = [
        Left("parameter", one, "Pulley has not made it", f"aws ssm delete-parameter --name {one}")
        for one in foreign
    ]
    return Found(tuple(removals), tuple(left))


def find_document(stage: Stage) -> Found:
    """The document, with all its versions. Raises RefusedError and UnavailableError."""
    documents = Documents(stage.ssm, stage.document)
    kind = documents.kind()
    if not kind:
        return Found()
    if kind != "Command":
        how = f"aws ssm delete-document --name {stage.document}"
        why = f"it is of the type {kind}, and so not Pulley's"
        return Found(left=(Left(DOCUMENT, stage.document, why, how),))
    why = "with all its versions: nothing can be deployed any more"
    return Found((Removal(DOCUMENT, stage.document, why, remove=documents.delete),))


def names_of(stage: Stage) -> list[str]:
    """The names of all parameters of the stage. Raises RefusedError and UnavailableError."""
    prefix = prefix_of(stage.names)
    found = stage.parameters.names_below(prefix.rstrip("/"))
    return sorted(one for one in found if one.startswith(prefix))


def prefix_of(names: ParameterNames) -> str:
    """The prefix of the stage's parameters, which no other stage's have."""
    return f"/pulley/{names.stage}/"
