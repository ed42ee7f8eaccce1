"""A43: a policy that calls out, reads clock, dice or environment, or poses as one of OPA's own."""

import shutil
from pathlib import Path

import pytest

from proxy.errors import PolicyInvalid
from proxy.pdp.bundle import stage
from proxy.pdp.find_opa import find_opa

POLICIES = Path(__file__).parents[2] / "policies"

RULE = "package detent.rules.planted\n\nimport data.detent.lib.reasons\n\n"
ALLOW = 'allow contains reasons.of("role-allows-tool") if '


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (
            RULE + ALLOW + 'http.send({"method": "GET", "url": "http://127.0.0.1/"}).body',
            "http.send",
        ),
        (RULE + ALLOW + "opa.runtime().env.OPEN", "opa.runtime"),
        (RULE + ALLOW + "time.now_ns() % 2 == 0", "time.now_ns"),
        (RULE + ALLOW + 'rand.intn("x", 2) == 0', "rand.intn"),
        (RULE + ALLOW + 'uuid.rfc4122("x") != ""', "uuid.rfc4122"),
        (RULE + ALLOW + 'count(net.lookup_ip_addr("example.com")) > 0', "net.lookup_ip_addr"),
        ("package system.authz\n\nallow := true", "system.authz"),
        ('package system["log"]\n\nmask contains "/input"', "system.log"),
    ],
)
def test_a43_it_is_refused_before_it_is_loaded(tmp_path: Path, text: str, named: str) -> None:
    """File, line and name are told; nothing is left of the staged copy."""
    bundle = tmp_path / "policies"
    shutil.copytree(POLICIES, bundle)
    (bundle / "rules/planted").mkdir()
    (bundle / "rules/planted/planted.rego").write_text(text + "\n")
    with pytest.raises(PolicyInvalid) as caught:
        stage(bundle, tmp_path / "private", find_opa().path)
    assert named in str(caught.value)
    assert "rules/planted/planted.rego" in str(caught.value)
    assert not list((tmp_path / "private").glob("*"))


def test_a43_a_bundle_cannot_claim_opas_own_packages(tmp_path: Path) -> None:
    """Naming `system` among the roots is refused as well."""
    bundle = tmp_path / "policies"
    shutil.copytree(POLICIES, bundle)
    manifest = bundle / ".manifest"
    manifest.write_text(manifest.read_text().replace('"roles"', '"roles", "system"'))
    with pytest.raises(PolicyInvalid, match=r"\.manifest: "):
        stage(bundle, tmp_path / "private", find_opa().path)
