"""What enforcement points ask, read: OpenID AuthZEN Authorization API 1.0, sections 5 to 7.

Members nobody knows are ignored, as section 10.1.1 wants it; what is known has its one type.
Everything raises BadRequest, and no refusal repeats the input.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from proxy.errors import BadRequest
from proxy.ingress.canonical import Params, make_call, make_mcp_call
from proxy.model.call import TOOLS_CALL, Door, ToolCall
from proxy.model.session import Mode

MAX_EVALUATIONS = 100
AGENT = "agent"
TOOL = "tool"
METHOD = "method"

_NAME = re.compile(r"[!-.0-~]{1,128}")  # visible ASCII without a slash, as kills name agents
_LABEL = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_ENTITIES = {"subject": ("type", "id"), "action": ("name",), "resource": ("type", "id")}


class Semantic(StrEnum):
    """When a batch ends (section 7.1.2.1)."""

    EXECUTE_ALL = "execute_all"
    DENY_ON_FIRST_DENY = "deny_on_first_deny"
    PERMIT_ON_FIRST_PERMIT = "permit_on_first_permit"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One request: the four entities as they were sent, each of its shape."""

    subject: dict[str, Any]
    action: dict[str, Any]
    resource: dict[str, Any]
    context: dict[str, Any]

    def told(self, entity: str, name: str) -> Any:
        """Return a property of an entity, None when it is not given."""
        return getattr(self, entity).get("properties", {}).get(name)

    @property
    def is_call(self) -> bool:
        """Whether this is an agent's call of a tool, or of an MCP method, behind this gateway."""
        kind, name = self.resource["type"], self.action["name"]
        tool = self.resource["id"].partition("/")[2]
        is_named = name == TOOLS_CALL if kind == TOOL else kind == METHOD and name == tool
        return is_named and bool(self.subject["type"] == AGENT)


@dataclass(frozen=True, slots=True)
class Batch:
    """Several requests, each still as it was sent; top-level entities are their defaults."""

    items: tuple[Any, ...]
    defaults: Mapping[str, Any]
    semantic: Semantic


def evaluation_of(value: Any, defaults: Mapping[str, Any] | None = None) -> Evaluation:
    """Read one request; an entity it does not have is the default's, whole."""
    if not isinstance(value, dict):
        raise _invalid("An evaluation is a JSON object.")
    members = {**(defaults or {}), **value}
    entities = {name: _entity(members, name) for name in _ENTITIES}
    return Evaluation(**entities, context=_context(members))


def batch_of(value: dict[str, Any]) -> Batch | None:
    """Read a request of several; None when it is a single one after all (section 7.1)."""
    items = value.get("evaluations", [])
    if not isinstance(items, list) or len(items) > MAX_EVALUATIONS:
        raise _invalid(f"`evaluations` is a list of at most {MAX_EVALUATIONS}.")
    semantic = _semantic(value.get("options", {}))
    if not items:
        return None
    given = [name for name in _ENTITIES if name in value]
    defaults = {name: _entity(value, name) for name in given} | {"context": _context(value)}
    return Batch(tuple(items), defaults, semantic)


def call_of(asked: Evaluation) -> ToolCall:
    """Return the call a request is about: `context.arguments`, `action.properties.dry_run`."""
    server, _, tool = asked.resource["id"].partition("/")
    arguments, dry_run = asked.context.get("arguments", {}), asked.told("action", "dry_run")
    if asked.resource["type"] == METHOD:
        return make_mcp_call(server, tool, Params(arguments, dry_run=dry_run or False))
    return make_call(server, tool, arguments, Door.CALLS, dry_run=dry_run or False)


def tenant_of(asked: Evaluation, usual: str) -> str:
    """Return the tenant the subject is of: `subject.properties.tenant`, or the usual one."""
    tenant = asked.told("subject", "tenant")
    if tenant is None:
        return usual
    if not isinstance(tenant, str) or _NAME.fullmatch(tenant) is None:
        raise _invalid("`subject.properties.tenant` is a tenant's name.")
    return tenant


def name_of(asked: Evaluation) -> str:
    """Return the name of the agent a call is asked for."""
    name = asked.subject["id"]
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise _invalid("`subject.id` is an agent's name.")
    return name


def roles_of(asked: Evaluation) -> tuple[str, ...]:
    """Return `subject.properties.roles`."""
    return _texts(asked.told("subject", "roles"), "subject.properties.roles")


def session_of(asked: Evaluation) -> dict[str, Any]:
    """Return what is said of the session: `id`, `mode`, `labels`, each as Detent has it."""
    told = asked.context.get("session", {})
    if not isinstance(told, dict):
        raise _invalid("`context.session` is an object.")
    session_id, mode = told.get("id", ""), told.get("mode")
    if not isinstance(session_id, str):
        raise _invalid("`context.session.id` is the id of a session.")
    if mode is not None and mode not in tuple(Mode):
        raise _invalid(f"`context.session.mode` is one of {', '.join(Mode)}.")
    labels = _texts(told.get("labels"), "context.session.labels")
    return {"session_id": session_id, "mode": Mode(mode) if mode else None, "labels": labels}


def enforced_by(asked: Evaluation) -> frozenset[str]:
    """Return the obligations that whoever asks can meet: `context.enforces`."""
    return frozenset(_texts(asked.context.get("enforces"), "context.enforces"))


def _entity(members: Mapping[str, Any], name: str) -> dict[str, Any]:
    entity = members.get(name)
    if not isinstance(entity, dict):
        raise _invalid(f"`{name}` is an object with {' and '.join(_ENTITIES[name])}.")
    for key in _ENTITIES[name]:
        if not isinstance(entity.get(key), str):
            raise _invalid(f"`{name}.{key}` is a text.")
    if not isinstance(entity.get("properties", {}), dict):
        raise _invalid(f"`{name}.properties` is an object.")
    return entity


def _context(members: Mapping[str, Any]) -> dict[str, Any]:
    context = members.get("context", {})
    if not isinstance(context, dict):
        raise _invalid("`context` is an object.")
    return context


def _semantic(options: Any) -> Semantic:
    if not isinstance(options, dict):
        raise _invalid("`options` is an object.")
    named = options.get("evaluations_semantic", Semantic.EXECUTE_ALL)
    if named not in tuple(Semantic):
        raise _invalid(f"`options.evaluations_semantic` is one of {', '.join(Semantic)}.")
    return Semantic(named)


def _texts(value: Any, place: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(_is_label(one) for one in value):
        raise _invalid(f"`{place}` is a list of names.")
    return tuple(value)


def _is_label(value: Any) -> bool:
    return isinstance(value, str) and _LABEL.fullmatch(value) is not None


def _invalid(detail: str) -> BadRequest:
    return BadRequest("invalid-evaluation", detail)
