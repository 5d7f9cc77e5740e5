"""Find what `chalice deploy` made of the app in an account, and delete it.

Everything is found by its whole name, or by what it calls: never by the beginning of a name, which
another stage's may share. What carries one of our names but is not ours is left alone, and named.
Nothing here needs the clone that the app was deployed from, or Chalice's record of it.

Source: the AWS API References of Lambda, EventBridge, API Gateway, IAM and CloudWatch Logs.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from chalicelib.edges.aws import calling
from pulley.operator.stage.settings import FUNCTIONS, REPORT, WEBHOOK, function_name
from pulley.operator.uninstall.clients import Clients, remove, unless
from pulley.operator.uninstall.found import Found, Left, Removal, joined

APP = "pulley"
RULE, API, FUNCTION, LOG_GROUP = "rule", "API", "function", "log group"
_NOT_FOUND = "ResourceNotFoundException"


def function_names(stage: str) -> tuple[str, ...]:
    """The names of a stage's functions, the webhook's first."""
    return tuple(function_name(APP, stage, one) for one in FUNCTIONS)


def foreign_functions(clients: Clients, stage: str) -> dict[str, str]:
    """The functions with the stage's names that are another stage's, and why, in words.

    Chalice names them after its own stage, and PULLEY_STAGE may be another one. Raises RefusedError
    and UnavailableError.
    """
    foreign = {}
    for name in function_names(stage):
        ask = partial(clients.functions.get_function_configuration, FunctionName=name)
        with calling(f"reading the function {name}"):
            configuration = unless({_NOT_FOUND}, ask)
        if configuration is not None:
            told = configuration.get("Environment", {}).get("Variables", {}).get("PULLEY_STAGE", "")
            if told != stage:
                foreign[name] = f"its PULLEY_STAGE is {told or 'not set'}, so it is another stage's"
    return foreign


@dataclass(frozen=True)
class App:
    """A stage's app. Every method raises RefusedError and UnavailableError.

    `arn_prefix` is what the functions' ARNs begin with. `elsewhere` has the ids of what a
    CloudFormation stack has: the stack takes these away. `foreign` has the functions that are
    another stage's: they stay, with what belongs to them.
    """

    clients: Clients
    stage: str
    arn_prefix: str
    elsewhere: Collection[str] = ()
    foreign: Mapping[str, str] = field(default_factory=dict)

    def api_ids(self) -> list[str]:
        """The APIs that call the webhook's function. Chalice gives those of all stages one name."""
        webhook = function_name(APP, self.stage, WEBHOOK)
        called = f":function:{webhook}/invocations"
        if webhook in self.foreign:
            return []
        with calling("reading the APIs"):
            pages = self.clients.apis.get_paginator("get_rest_apis").paginate()
            named = [api["id"] for page in pages for api in page["items"] if api["name"] == APP]
            return [
                one for one in named if any(uri.endswith(called) for uri in self._calls_of(one))
            ]

    def others_at(self, api_id: str) -> list[str]:
        """What an API calls beside the webhook's function: then it is not the stage's alone."""
        called = f":function:{function_name(APP, self.stage, WEBHOOK)}/invocations"
        with calling(f"reading the API {api_id}"):
            return [one for one in self._calls_of(api_id) if not one.endswith(called)]

    def find(self, api_ids: Collection[str]) -> Found:
        """What there is, in the order in which it goes: what starts a deployment goes first."""
        return joined(
            [
                *(self._rules_of(one) for one in FUNCTIONS if one != WEBHOOK),
                *(self._api(one) for one in api_ids if one not in self.elsewhere),
                *(self._function(one) for one in function_names(self.stage)),
            ]
        )

    def find_logs(self) -> Found:
        """The functions' log groups. They go after the functions, which would make them again."""
        names = [one for one in function_names(self.stage) if one not in self.foreign]
        return joined(self._log_group(f"/aws/lambda/{one}") for one in names)

    def _calls_of(self, api_id: str) -> list[str]:
        """Every address that an API calls."""
        pages = self.clients.apis.get_paginator("get_resources").paginate(
            restApiId=api_id, embed=["methods"]
        )
        methods: list[Any] = [
            method
            for page in pages
            for resource in page["items"]
            for method in resource.get("resourceMethods", {}).values()
        ]
        found = [one.get("methodIntegration", {}).get("uri", "") for one in methods]
        return [one for one in dict.fromkeys(found) if one]  # a mock has none

    def _rules_of(self, function: str) -> Found:
        """The rules that call a function: the one that Chalice named, and others, as Terraform's.

        That of the reports goes later than the others, with the functions. Until then, commands
        that are under way are still reported.
        """
        name = function_name(APP, self.stage, function)
        if name in self.foreign:
            return Found()
        with calling(f"reading the rules that call {name}"):
            found = self.clients.rules.list_rule_names_by_target(TargetArn=self.arn_prefix + name)
            names = dict.fromkeys([f"{name}-event", *found["RuleNames"]])
        return joined(self._rule(one, function) for one in names if one not in self.elsewhere)

    def _rule(self, name: str, function: str) -> Found:
        rules = self.clients.rules
        with calling(f"reading the rule {name}"):
            if unless({_NOT_FOUND}, lambda: rules.describe_rule(Name=name)) is None:
                return Found()
            answer = unless({_NOT_FOUND}, lambda: rules.list_targets_by_rule(Rule=name))
            targets = answer["Targets"] if answer else []
        ours = self.arn_prefix + function_name(APP, self.stage, function)
        others = [one["Arn"] for one in targets if one["Arn"] != ours]
        if others:
            why = f"it also calls {', '.join(others)}"
            return Found(left=(Left(RULE, name, why, f"aws events delete-rule --name {name}"),))
        ids = [one["Id"] for one in targets]
        return Found(
            (
                Removal(
                    RULE,
                    name,
                    f"calls {function}",
                    stops_deploys=function != REPORT,
                    remove=partial(self._delete_rule, name, ids),
                ),
            )
        )

    def _delete_rule(self, name: str, targets: list[str]) -> None:
        rules, what = self.clients.rules, f"the rule {name}"
        if targets:
            remove(what, _NOT_FOUND, lambda: rules.remove_targets(Rule=name, Ids=targets))
        remove(what, _NOT_FOUND, lambda: rules.delete_rule(Name=name))

    def _api(self, api_id: str) -> Found:
        others = self.others_at(api_id)
        if others:
            why = f"it also calls {', '.join(others)}"
            how = f"aws apigateway delete-rest-api --rest-api-id {api_id}"
            return Found(left=(Left(API, api_id, why, how),))
        return Found(
            (Removal(API, api_id, "GitHub's deliveries", remove=partial(self._delete_api, api_id)),)
        )

    def _delete_api(self, api_id: str) -> None:
        call = partial(self.clients.apis.delete_rest_api, restApiId=api_id)
        remove(f"the API {api_id}", "NotFoundException", call)

    def _function(self, name: str) -> Found:
        if name in self.elsewhere:
            return Found()
        if name in self.foreign:
            why = f"{self.foreign[name]}, with its rules, role, logs and API"
            how = f"aws lambda delete-function --function-name {name}"
            return Found(left=(Left(FUNCTION, name, why, how),))
        ask = partial(self.clients.functions.get_function_configuration, FunctionName=name)
        with calling(f"reading the function {name}"):
            if unless({_NOT_FOUND}, ask) is None:
                return Found()
        return Found((Removal(FUNCTION, name, remove=partial(self._delete_function, name)),))

    def _delete_function(self, name: str) -> None:
        call = partial(self.clients.functions.delete_function, FunctionName=name)
        remove(f"the function {name}", _NOT_FOUND, call)

    def _log_group(self, name: str) -> Found:
        if name in self.elsewhere:
            return Found()
        with calling(f"reading the log group {name}"):
            pages = self.clients.logs.get_paginator("describe_log_groups").paginate(
                logGroupNamePrefix=name
            )
            names = [one["logGroupName"] for page in pages for one in page["logGroups"]]
        if name not in names:
            return Found()
        why = "with all its logs"
        return Found((Removal(LOG_GROUP, name, why, remove=partial(self._delete_logs, name)),))

    def _delete_logs(self, name: str) -> None:
        call = partial(self.clients.logs.delete_log_group, logGroupName=name)
        remove(f"the log group {name}", _NOT_FOUND, call)
