"""`pulley secret rotate`: replace the webhook's secret."""

import time

import click

from chalicelib.core.refs import RefError, Repository
from chalicelib.status.safe_text import one_line
from pulley.cli.group import INTERRUPTED, NOT_WELL, NamedGroup
from pulley.cli.options import SECONDS, json_option, stage_command, url_option, yes_option
from pulley.cli.output import confirm, note, note_whole, say, say_json, warn
from pulley.cli.wording import secret_command
from pulley.operator.stage.stage import Stage, read_targets, utc_now
from pulley.operator.suggest import suggest
from pulley.operator.webhook.connect import webhooks_of
from pulley.operator.webhook.rotate import (
    WAIT_SECONDS,
    Proof,
    Rotation,
    StoredSecret,
    repositories_of,
)


@click.group(cls=NamedGroup)
def secret() -> None:
    """Rotate the webhook's secret."""


@stage_command
@click.option("--repository", metavar="OWNER/REPO", help="Rotate this repository's own secret.")
@url_option
@click.option(
    "--finish",
    is_flag=True,
    help="Change no webhook: check that all have the newest secret, then drop the old secrets.",
)
@click.option(
    "--drop-unproven",
    is_flag=True,
    help="Drop the old secrets even if webhooks may use them, for example after a leak.",
)
@click.option(
    "--wait",
    default=WAIT_SECONDS,
    show_default=True,
    type=SECONDS,
    metavar="SECONDS",
    help="How long to wait before changing the webhooks, and before dropping the old secret.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@yes_option
@json_option
def rotate(  # noqa: PLR0913 - each is an option
    stage: Stage,
    repository: str | None,
    url: str | None,
    wait: float,
    *,
    finish: bool,
    drop_unproven: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Put a new secret in the old one's place; no delivery is refused.

    The new secret is stored beside the old one, and both are valid. Then the command sets the new
    secret in each repository's webhook by GitHub's API, and checks it by a ping. When all webhooks
    have the new secret, the old one is dropped. If a webhook cannot be reached, the old secret
    stays, and the command names the webhook: set its secret by hand, then run --finish. The next
    run continues an interrupted rotation.

    If no ping shows that the stored secret is valid at a webhook's address, the command does not
    change that webhook: it may belong to another stage. If it only has a wrong secret,
    `pulley connect --force` sets the right one.

    The command changes only the webhooks of repositories that have targets. It ignores an
    organization's webhooks.
    """
    found, name = _repositories(stage, repository)
    given = {"--repository": repository, "--url": url}
    same = [word for option, value in given.items() if value for word in (option, value)]
    address = url or stage.webhook_url
    if not address:
        raise click.UsageError("the webhook's address is not known here: give it with --url")
    rotation = Rotation(
        stage.parameters, name, address, lambda one: webhooks_of(stage, one), time.sleep
    )
    stored = rotation.read()
    if finish and not stored.is_rotating:
        say(f"Nothing to do: {name} has one secret.") if not as_json else say_json(
            _document(name, [], 0)
        )
        return
    _say_plan(stored, found, address, finish=finish, wait=wait, drop_unproven=drop_unproven)
    if dry_run:
        note("Nothing was changed.")
        if as_json:
            say_json(_document(name, [], 0))
        return
    confirm("Rotate the secret?", yes=yes)
    try:
        proofs, dropped = _rotate(
            rotation, found, wait=wait, finish=finish, drop_unproven=drop_unproven
        )
    except KeyboardInterrupt:
        again = suggest("secret rotate", *same)
        note(f"Interrupted. Every secret in {name} is still valid. To continue: {again}")
        raise click.exceptions.Exit(INTERRUPTED) from None
    if as_json:
        say_json(_document(name, proofs, dropped))
    elif dropped:
        say(f"Done: {name} has only the new secret.", style="green")
        say("In a minute at the latest, the old secret is not valid any more.")
    if not dropped:
        _say_how_to_finish(name, address, proofs, same)
        raise click.exceptions.Exit(NOT_WELL)


secret.add_command(rotate)


def _rotate(
    rotation: Rotation,
    repositories: list[Repository],
    *,
    wait: float,
    finish: bool,
    drop_unproven: bool,
) -> tuple[list[Proof], int]:
    """Run the rotation. Returns each repository's proof, and how many old secrets were dropped."""
    was_rotating = rotation.read().is_rotating
    stored = rotation.begin()
    if was_rotating:
        note(f"{stored.name} has a new secret already: going on with that one.")
    else:
        note(f"{stored.name}: the new secret is stored, as the first line; the old one is valid.")
    if not finish:
        seconds = stored.seconds_to_wait(wait, now=utc_now())
        _wait(seconds, "until every Lambda has read the new secret")
        rotation.check(stored)
    proofs = []
    for repository in repositories:
        proof = rotation.prove(repository, stored.secrets[0], set_it=not finish)
        proofs.append(proof)
        if proof.problem:
            warn(f"{repository}: {one_line(proof.problem)}")
        else:
            note(f"{repository}: its webhook signs with the new secret: the ping's answer says so.")
    if any(proof.problem for proof in proofs) and not drop_unproven:
        return proofs, 0
    _wait(wait, "until deliveries that the old secret signed have arrived")
    return proofs, rotation.end(stored)


def _repositories(stage: Stage, text: str | None) -> tuple[list[Repository], str]:
    """Return the repositories that the secret opens, and the secret's parameter."""
    if text is None:
        stored = read_targets(stage)
        for problem in stored.problems:
            warn(problem)
        own_name = stage.names.repository_webhook_secret
        found = repositories_of(stage.parameters, own_name, list(stored.settings))
        if not found:
            raise click.ClickException(
                f"no repository with targets uses {stage.names.webhook_secret}, so no ping can "
                f"show that the new one is in use: {suggest('targets apply')}, then "
                f"{suggest('connect')}"
            )
        return found, stage.names.webhook_secret
    try:
        repository = Repository.parse(text)
    except RefError as error:
        raise click.BadParameter(str(error), param_hint="--repository") from None
    name = stage.names.repository_webhook_secret(repository)
    if stage.parameters.read_one(name) is None:
        raise click.ClickException(
            f"{repository} has no secret of its own: the stage's secret counts, which "
            f"{suggest('secret rotate')} without --repository rotates"
        )
    return [repository], name


def _say_plan(  # noqa: PLR0913 - each is an option
    stored: StoredSecret,
    repositories: list[Repository],
    url: str,
    *,
    finish: bool,
    wait: float,
    drop_unproven: bool,
) -> None:
    names = ", ".join(str(repository) for repository in repositories)
    note(f"{stored.name} is the secret of {names}. Webhooks post to {url}.")
    if not stored.is_rotating:
        note("  a new secret is stored beside the old one")
    if not finish:
        seconds = stored.seconds_to_wait(wait, now=utc_now()) if stored.is_rotating else wait
        note(f"  {seconds:.0f} seconds later each webhook gets the new one, and a ping")
    else:
        note("  each webhook gets a ping")
    old = "old one is" if len(stored.secrets) <= 2 else "old ones are"
    when = "even without proof" if drop_unproven else "if pings show that all sign with the new one"
    note(f"  {when}, the {old} dropped {wait:.0f} seconds later")


def _say_how_to_finish(name: str, url: str, proofs: list[Proof], same: list[str]) -> None:
    """Print what is left to do. `same` are the options that name the secret."""
    by_hand = [str(proof.repository) for proof in proofs if proof.problem]
    note(f"The old secret stays valid: the new one is not proven for {', '.join(by_hand)}.")
    note(f"By hand: on GitHub, set in the webhook that posts to {url} the secret from:")
    note_whole(f"  {secret_command(name)}")
    note(
        f"Then: {suggest('secret rotate', *same, '--finish')}. Or fix the above and run "
        f"{suggest('secret rotate', *same)} again."
    )


def _wait(seconds: float, what: str) -> None:
    """Wait, and print the seconds that are left, every ten seconds."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        note(f"waiting {left:.0f} s more {what}")
        time.sleep(min(left, 10.0))


def _document(name: str, proofs: list[Proof], dropped: int) -> dict[str, object]:
    return {
        "parameter": name,
        "dropped": dropped,
        "repositories": [
            {
                "repository": str(proof.repository),
                "webhooks": proof.hooks,
                "proven": not proof.problem,
                "problem": proof.problem or None,
            }
            for proof in proofs
        ],
    }
