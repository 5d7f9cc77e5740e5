"""Parameter Store for a round: every repository, and the state that the last round stored."""

from collections.abc import Mapping

from chalicelib.core.holds import RoundState, parse_round_state, write_round_state
from chalicelib.core.refs import RefError, Repository
from chalicelib.core.stored import StoredReportSettings
from chalicelib.edges.aws import calling
from chalicelib.edges.parameters import ParameterStore, first_of, list_repositories


class RoundParameters(ParameterStore):
    """One stage's parameters. Every method raises RefusedError and UnavailableError."""

    def every_repository(self) -> Mapping[Repository, StoredReportSettings]:
        """The settings of each repository that has targets, sorted.

        Read by name: reading by path would need the permission to read the webhook secrets.
        """
        with calling("listing the parameters"):
            describe = self._client.get_paginator("describe_parameters")
            names = frozenset(list_repositories(describe, self._names))
        stored: dict[Repository, str] = {}
        for name in names:
            repository = _repository_in(name.removeprefix(self._names.repositories))
            # Ignore a wrong name (in capitals, for example): no delivery finds it either.
            if repository and name == self._names.targets(repository):
                stored[repository] = name
        own_tokens = {one: self._names.repository_github_token(one) for one in stored}
        wanted = [*stored.values(), *(name for name in own_tokens.values() if name in names)]
        values = self.get([self._names.github_token, *wanted]) if stored else {}
        return {
            repository: StoredReportSettings(
                token=first_of(self.token_names(repository), values), targets=values[name]
            )
            for repository, name in sorted(stored.items())
            if "".join(values.get(name, "[]").split()) != "[]"  # deleted meanwhile, or all pruned
        }

    def state(self) -> RoundState:
        """The state that the last round stored."""
        name = self._names.reconcile
        return parse_round_state(self.get([name]).get(name, ""))

    def store_state(self, state: RoundState) -> None:
        """Store the state for the next round, over the last one."""
        with calling("storing what the next round needs"):
            answer = self._client.put_parameter(
                Name=self._names.reconcile,
                Value=write_round_state(state),
                Type="String",
                Overwrite=True,
            )
            _ = answer["Version"]  # a proxy's page has no version, and raises here


def _repository_in(name: str) -> Repository | None:
    try:
        return Repository.parse(name.rpartition("/")[0])
    except RefError:
        return None
