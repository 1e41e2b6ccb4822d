"""What users decide at the agent's interface: defaults, rules, contacts. User sessions only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiohttp import web

from discovery.model import Service
from discovery.number import NumberRanges
from discovery.spin.agent_store import AgentStore
from discovery.spin.rules import Contact, MalformedRules, Rule, Use, parse_contact, parse_rules
from gateway.agent_credentials import Kind
from gateway.http.agent_handlers import HandlerRoutes
from gateway.http.agent_requests import (
    MAX_LISTS,
    json_response,
    own_number,
    principal_of,
    read_object,
    text_member,
)
from gateway.http.problem import Problem

MAX_CONTACTS: Final = 5000
_HANDLER: Final = frozenset({"handler"})
_NUMBER: Final = frozenset({"number"})


class ChoiceRoutes:
    """`/defaults`, `/rules` and `/contacts`; `changed` is told of the number."""

    def __init__(
        self,
        store: AgentStore,
        numbers: NumberRanges,
        handlers: HandlerRoutes,
        changed: Callable[[str], None],
    ) -> None:
        self._store = store
        self._numbers = numbers
        self._handlers = handlers
        self._changed = changed

    def add_to(self, route: web.UrlDispatcher, prefix: str) -> None:
        """Add the routes under a prefix."""
        route.add_get(f"{prefix}/defaults", self._defaults)
        route.add_put(f"{prefix}/defaults/{{svc}}", self._set_default)
        route.add_get(f"{prefix}/rules", self._rules)
        route.add_put(f"{prefix}/rules", self._set_rules)
        route.add_get(f"{prefix}/contacts", self._contacts)
        route.add_put(f"{prefix}/contacts", self._set_contacts)

    async def _defaults(self, request: web.Request) -> web.Response:
        number = principal_of(request, Kind.USER).number
        chosen: dict[str, object] = {
            str(service): await self._store.default(number, service) for service in Service
        }
        return json_response({"defaults": chosen})

    async def _set_default(self, request: web.Request) -> web.Response:
        principal = principal_of(request, Kind.USER)
        if request.match_info["svc"] not in set(Service):
            raise Problem(404, "no such service")
        service = Service(request.match_info["svc"])
        body = await read_object(request, _HANDLER, _NUMBER)
        number = own_number(body, "number", principal, self._numbers)
        if body["handler"] is None:
            await self._store.remove_default(number, service)
            await self._handlers.record("default removed", number, None)
        else:
            handler = await self._handlers.handler_for(text_member(body, "handler"), principal)
            if not handler.serves(number, service):
                raise Problem(422, "handler does not serve this number and service")
            # Whoever chooses a handler has agreed to it.
            await self._handlers.activate(handler, principal)
            await self._store.set_default(number, service, handler.handler_id)
            await self._handlers.record("default set", number, handler)
        self._changed(number)
        return web.Response(status=204)

    async def _rules(self, request: web.Request) -> web.Response:
        number = principal_of(request, Kind.USER).number
        rules = await self._store.rules(number)
        return json_response({"rules": [rule.document() for rule in rules]})

    async def _set_rules(self, request: web.Request) -> web.Response:
        number = principal_of(request, Kind.USER).number
        body = await read_object(request, frozenset({"rules"}), max_body=MAX_LISTS)
        try:
            rules = parse_rules(body["rules"])
        except MalformedRules as error:
            raise Problem(422, str(error)) from None
        await self._check_used(number, rules)
        await self._store.set_rules(number, rules)
        await self._handlers.record("rules set", number, None)
        self._changed(number)
        return web.Response(status=204)

    async def _check_used(self, number: str, rules: tuple[Rule, ...]) -> None:
        handlers = await self._store.handlers_for(number, None)
        known = {name for handler in handlers for name in (handler.handler_id, handler.app_id)}
        for place, rule in enumerate(rules, start=1):
            if not isinstance(rule.use, Use) and not known.issuperset(rule.use):
                raise Problem(422, f"rule {place}: use names no handler of this number")

    async def _contacts(self, request: web.Request) -> web.Response:
        number = principal_of(request, Kind.USER).number
        contacts = await self._store.contacts(number, limit=MAX_CONTACTS)
        return json_response({"contacts": [_contact_document(contact) for contact in contacts]})

    async def _set_contacts(self, request: web.Request) -> web.Response:
        number = principal_of(request, Kind.USER).number
        body = await read_object(request, frozenset({"contacts"}), max_body=MAX_LISTS)
        value = body["contacts"]
        if not isinstance(value, list) or len(value) > MAX_CONTACTS:
            raise Problem(422, f"contacts is not a list of at most {MAX_CONTACTS}")
        try:
            contacts = [parse_contact(item) for item in value]
        except MalformedRules as error:
            raise Problem(422, str(error)) from None
        if len({contact.number for contact in contacts}) != len(contacts):
            raise Problem(422, "a number is given twice")
        await self._store.set_contacts(number, contacts)
        await self._handlers.record("contacts set", number, None)
        self._changed(number)
        return web.Response(status=204)


def _contact_document(contact: Contact) -> dict[str, object]:
    return {
        "number": f"+{contact.number}",
        "groups": list(contact.groups),
        "tags": list(contact.tags),
    }
