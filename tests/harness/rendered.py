"""A gateway started as its rendered manifest says: same arguments, environment, settings, volumes.

Paths of the container are paths below a directory, and ports are free ones; nothing else differs.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.harness.chart import Manifest, Rendered
from tests.harness.gateway import Gateway
from tests.harness.kubelet import CONFIG_MODE, mount
from tests.harness.world import ROOT, World

POD_IP = "10.244.1.7"
PORTS = {
    "DETENT_LISTEN__AGENTS": "127.0.0.1:0",
    "DETENT_LISTEN__OPERATORS": "127.0.0.1:0",
    "DETENT_LISTEN__HEALTH": "127.0.0.1:0",
}
PATH = os.pathsep.join((str(ROOT / ".tools/bin"), os.defpath))


class Pod:
    """One container of a rendered pod, its volumes below `root` as the kubelet lays them out.

    `given` has the content of ConfigMaps and Secrets that are not the chart's own, by name;
    `instead` replaces texts in arguments, settings and environment.
    """

    def __init__(
        self,
        rendered: Rendered,
        root: Path,
        given: Mapping[str, Mapping[str, bytes]],
        instead: Mapping[str, str],
        name: str = "detent",
    ) -> None:
        self.container = rendered.container(name)
        self._given = given
        self._rendered = rendered
        self._root = root
        self._instead = instead
        self._mounts = {one["name"]: one["mountPath"] for one in self.container["volumeMounts"]}
        for volume in rendered.pod["volumes"]:
            if volume["name"] in self._mounts:
                self._lay_out(volume)

    def place(self, path: str) -> Path:
        """Return where a path of the container is here."""
        return self._root / path.lstrip("/")

    def arguments(self) -> list[str]:
        """Return the arguments of the container."""
        return [self.local(one) for one in self.container["args"]]

    def environ(self) -> dict[str, str]:
        """Return its environment, and no more of ours than where programs are."""
        environ = {"PATH": PATH, "TMPDIR": str(self.place("/tmp")), "HOME": "/nonexistent"}
        known = {"status.podIP": POD_IP}
        for one in self.container.get("env", ()):
            source = one.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
            value = known[source] if source else one["value"]
            environ[one["name"]] = self.local(value.replace("$(POD_IP)", POD_IP))
        return environ

    def local(self, text: str) -> str:
        """Return a text with the container's paths, and whatever else is told, as they are here."""
        paths = sorted(set(self._mounts.values()) - {"/tmp"}, key=len, reverse=True)
        for path in paths:
            text = re.sub(rf"(?<![\w./]){re.escape(path)}(?![\w-])", str(self.place(path)), text)
            text = text.replace(f"sqlite:///{path}", f"sqlite:///{self.place(path)}")
        for one, other in self._instead.items():
            text = text.replace(one, other)
        return text

    def _lay_out(self, volume: Manifest) -> None:
        place = self.place(self._mounts[volume["name"]])
        kind = next((one for one in ("configMap", "secret") if one in volume), None)
        if kind is None:
            place.mkdir(parents=True)
            return
        source = volume[kind]
        held = self._held(kind, source.get("name") or source["secretName"])
        if "items" in source:
            held = {one["path"]: held[one["key"]] for one in source["items"]}
        if volume["name"] in ("settings", "opa"):
            held = {key: self.local(value.decode()).encode() for key, value in held.items()}
        mount(place, held, source.get("defaultMode", CONFIG_MODE))

    def _held(self, kind: str, name: str) -> Mapping[str, bytes]:
        """Return what a ConfigMap or Secret holds: the chart's own, or one that was there."""
        if name in self._given:
            return self._given[name]
        if kind == "secret":
            return self._rendered.secret(name)
        data = self._rendered.one("ConfigMap", name)["data"]
        return {key: text.encode() for key, text in data.items()}


class RenderedGateway(Gateway):
    """Starts what the pod says; `world` has the tokens its callers use.

    Its `/tmp` is a directory with a short name, because a socket's path is; `left` is what stands
    there when it has stopped.
    """

    def __init__(self, world: World, pod: Pod) -> None:
        super().__init__(world)
        self.left: list[str] = []
        self._pod = pod
        self._tmp = TemporaryDirectory(prefix="pod-")

    def command(self) -> tuple[list[str], dict[str, str]]:
        """Return the container's own."""
        environ = {**self._pod.environ(), **PORTS, "TMPDIR": self._tmp.name}
        return self._pod.arguments(), environ

    async def stop(self) -> int:
        """Stop it and clear its `/tmp`."""
        code = await super().stop()
        self.left = [place.name for place in Path(self._tmp.name).iterdir()]
        self._tmp.cleanup()
        return code


def files_of(bundle: Path) -> dict[str, bytes]:
    """Return a bundle as the ConfigMap that holds it."""
    return {
        file.relative_to(bundle).as_posix(): file.read_bytes()
        for file in bundle.rglob("*")
        if file.is_file()
    }
