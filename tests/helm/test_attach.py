"""Gateway and sidecar as the chart renders them fit together: audience, token file, issuers."""

from pathlib import Path

import yaml

from proxy.config import load_settings
from tests.harness.chart import CHART, render


def test_the_gateway_is_told_whose_pods_are_sidecars(helm: str, tmp_path: Path) -> None:
    """Its settings load, and take tokens for the audience that the sidecar's volume asks for."""
    gateway = render(helm, CHART / "values/gateway.yaml")
    file = tmp_path / "detent.yaml"
    file.write_text(yaml.safe_dump(gateway.settings))
    (issuer,) = load_settings(file, {}).attach.issuers
    sidecar = render(helm, CHART / "values/sidecar-attached.yaml")
    (volume,) = (one for one in sidecar.pod["volumes"] if one["name"] == "attach")
    (source,) = volume["projected"]["sources"]
    assert issuer.audience == (source["serviceAccountToken"]["audience"],)
    assert issuer.subjects[0].sub.endswith(f":{sidecar.pod['serviceAccountName']}")


def test_the_sidecar_reads_the_token_that_is_renewed(helm: str) -> None:
    """By its path in the volume, which is not mounted by subPath: that would never change."""
    sidecar = render(helm, CHART / "values/sidecar-attached.yaml")
    mounts = sidecar.container("detent")["volumeMounts"]
    (mounted,) = (one for one in mounts if one["name"] == "attach")
    assert sidecar.settings["attach"]["token"] == {"file": f"{mounted['mountPath']}/token"}
    assert "subPath" not in mounted
    assert sidecar.pod["automountServiceAccountToken"] is False


def test_the_agent_does_not_see_the_sidecars_token(helm: str) -> None:
    """Only Detent's container mounts it."""
    sidecar = render(helm, CHART / "values/sidecar-attached.yaml")
    pods = sidecar.pod["containers"] + sidecar.pod["initContainers"]
    having = [
        one["name"]
        for one in pods
        if any(mount["name"] == "attach" for mount in one.get("volumeMounts", ()))
    ]
    assert having == ["detent"]
