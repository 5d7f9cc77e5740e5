"""GitHub's API for a repository's webhooks and their deliveries.

From GitHub's pages "REST API endpoints for repository webhooks" and "... for repository webhook
configuration". GitHub's pages of deliveries have a cursor; here they have numbers.
"""

from werkzeug.wrappers import Response

from pulley.sandbox.github.call import Call, Route, respond, respond_page
from pulley.sandbox.github.hooks import STARS, HookConfig, HookDelivery, HostedHook
from pulley.sandbox.github.shapes import show_time

_ZEN = "Keep it logically awesome."
_WRITE = "webhooks=write"
_READ = "webhooks=read"


def list_hooks(call: Call) -> Response:
    """The webhooks, oldest first."""
    return respond_page(call, [_show(call, hook) for hook in call.hooks.all()])


def create_hook(call: Call) -> Response:
    """Create a webhook, and ping it. 201 with the webhook."""
    hook = call.hooks.create(call.body())
    response = respond(_show(call, hook), 201)
    _ping(call, hook)
    return response


def get_hook(call: Call, hook_id: int) -> Response:
    """One webhook."""
    return respond(_show(call, call.hooks.find(hook_id)))


def update_hook(call: Call, hook_id: int) -> Response:
    """The webhook as it is now."""
    return respond(_show(call, call.hooks.update(hook_id, call.body())))


def delete_hook(call: Call, hook_id: int) -> Response:
    """Delete the webhook. 204."""
    call.hooks.delete(hook_id)
    return Response(status=204)


def get_config(call: Call, hook_id: int) -> Response:
    """The webhook's config."""
    return respond(_show_config(call.hooks.find(hook_id).config))


def update_config(call: Call, hook_id: int) -> Response:
    """The config as it is now."""
    return respond(_show_config(call.hooks.update_config(hook_id, call.body()).config))


def ping_hook(call: Call, hook_id: int) -> Response:
    """Ping the webhook. 204, before the ping."""
    _ping(call, call.hooks.find(hook_id))
    return Response(status=204)


def list_deliveries(call: Call, hook_id: int) -> Response:
    """The deliveries, newest first."""
    numbered = call.hooks.find(hook_id).numbered()
    return respond_page(call, [_show_delivery(call, id_, one) for id_, one in numbered])


def get_delivery(call: Call, hook_id: int, delivery_id: int) -> Response:
    """One delivery, with the request and the answer."""
    one = call.hooks.find(hook_id).find(delivery_id)
    return respond(
        _show_delivery(call, delivery_id, one)
        | {
            "url": one.url,
            "request": {"headers": dict(one.request_headers), "payload": one.payload},
            "response": {"headers": dict(one.response_headers), "payload": one.response},
        }
    )


def redeliver(call: Call, hook_id: int, delivery_id: int) -> Response:
    """Deliver again, with the same GUID and the current secret. 202, before the delivery."""
    hook = call.hooks.find(hook_id)
    one = hook.find(delivery_id)
    call.hookshot.post_later(hook, one.event, one.payload, guid=one.guid, redelivery=True)
    return respond({}, 202)


_HOOK = "/hooks/<int:hook_id>"
_DELIVERY = f"{_HOOK}/deliveries/<int:delivery_id>"
ROUTES = (
    Route("GET", "/hooks", _READ, list_hooks),
    Route("POST", "/hooks", _WRITE, create_hook),
    Route("GET", _HOOK, _READ, get_hook),
    Route("PATCH", _HOOK, _WRITE, update_hook),
    Route("DELETE", _HOOK, _WRITE, delete_hook),
    Route("GET", f"{_HOOK}/config", _READ, get_config),
    Route("PATCH", f"{_HOOK}/config", _WRITE, update_config),
    Route("POST", f"{_HOOK}/pings", _READ, ping_hook),
    Route("GET", f"{_HOOK}/deliveries", _READ, list_deliveries),
    Route("GET", _DELIVERY, _READ, get_delivery),
    Route("POST", f"{_DELIVERY}/attempts", _WRITE, redeliver),
)


def _ping(call: Call, hook: HostedHook) -> None:
    """Send a ping to an active webhook, even if it did not subscribe to pings."""
    if hook.active:
        owner, _, name = call.repository.full_name.partition("/")
        repository = {"name": name, "full_name": call.repository.full_name}
        payload: dict[str, object] = {
            "zen": _ZEN,
            "hook_id": hook.id,
            "hook": _show(call, hook),
            "repository": {**repository, "private": True, "owner": {"login": owner}},
            "sender": {"login": "someone"},
        }
        call.hookshot.post_later(hook, "ping", payload)


def _show(call: Call, hook: HostedHook) -> dict[str, object]:
    url = f"{call.url}/hooks/{hook.id}"
    return {
        "type": "Repository",
        "id": hook.id,
        "name": "web",
        "active": hook.active,
        "events": list(hook.events),
        "config": _show_config(hook.config),
        "created_at": show_time(hook.created_at),
        "updated_at": show_time(hook.updated_at),
        "url": url,
        "test_url": f"{url}/test",
        "ping_url": f"{url}/pings",
        "deliveries_url": f"{url}/deliveries",
        "last_response": _last_response(hook),
    }


def _show_config(config: HookConfig) -> dict[str, str]:
    """The config as shown: a secret, if there is one, is shown as stars."""
    shown = vars(config) | {"secret": STARS}
    return {name: value for name, value in shown.items() if name != "secret" or config.secret}


def _last_response(hook: HostedHook) -> dict[str, object]:
    """The newest delivery's response. GitHub's pages only document `active` and `unused`."""
    if not hook.deliveries:
        return {"code": None, "status": "unused", "message": None}
    newest = hook.deliveries[-1]
    word = "active" if newest.status_code // 100 == 2 else "failed"
    return {"code": newest.status_code, "status": word, "message": newest.status}


def _show_delivery(call: Call, delivery_id: int, one: HookDelivery) -> dict[str, object]:
    return {
        "id": delivery_id,
        "guid": one.guid,
        "delivered_at": show_time(one.delivered_at),
        "redelivery": one.redelivery,
        "duration": one.duration,
        "status": one.status,
        "status_code": one.status_code,
        "event": one.event,
        "action": None,
        "installation_id": None,
        "repository_id": call.repository.id,
        "throttled_at": None,
    }
