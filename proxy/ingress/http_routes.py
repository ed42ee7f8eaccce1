"""Which tool a method and a path mean, by the manifests of a server."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from proxy.errors import BadRequest
from proxy.model.route import Route, whole_numbers
from proxy.model.tool import HttpBinding, ToolManifest


@dataclass(frozen=True, slots=True)
class Found:
    """A tool, and the text of each place of its path template."""

    tool: str
    binding: HttpBinding
    values: Mapping[str, str]


class Routes:
    """The routes of all servers. Of two that a request fits, the more literal one is meant.

    Which one that is, is never in doubt: a bundle in which it would be does not load.
    """

    def __init__(self, manifests: Mapping[tuple[str, str], ToolManifest]) -> None:
        routed = sorted(_routed(manifests), key=lambda one: one[2].ranks)
        self._known: dict[tuple[str, str, int], list[tuple[str, HttpBinding, Route]]] = {}
        for manifest, binding, route in routed:
            key = (manifest.server, route.method, len(route.segments))
            self._known.setdefault(key, []).append((manifest.tool, binding, route))

    def find(self, server: str, method: str, segments: tuple[str, ...]) -> Found | None:
        """Return the tool of a request; `segments` are those below `/http/{server}`, decoded.

        Raises BadRequest when a segment can be read in two ways.
        """
        for tool, binding, route in self._known.get((server, method, len(segments)), ()):
            try:
                values = route.read(segments)
            except ValueError:
                detail = "A segment of the path can be read in two ways; call the tool by its name."
                raise BadRequest("invalid-path", detail) from None
            if values is not None:
                return Found(tool, binding, values)
        return None


def _routed(
    manifests: Mapping[tuple[str, str], ToolManifest],
) -> Iterator[tuple[ToolManifest, HttpBinding, Route]]:
    for manifest in manifests.values():
        binding = manifest.http
        if binding is not None and binding.is_routed:
            whole = whole_numbers(json.loads(binding.input_schema))
            yield manifest, binding, Route.of(binding.method, binding.path, whole)
