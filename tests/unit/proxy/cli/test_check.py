import json
from collections.abc import Callable

from click.testing import Result

from tests.harness.tiny_bundle import BROKEN_RULE, write
from tests.harness.world import World

Run = Callable[..., Result]


def test_good_settings_exit_0_and_show_every_part(detent: Run, world: World) -> None:
    """A table for people."""
    result = detent("check", "--config", world.write())
    assert result.exit_code == 0, result.output
    assert "tools reviewed" in result.output
    assert "revision" in result.output


def test_findings_for_machines_are_one_document(detent: Run, world: World) -> None:
    """With level, part and message."""
    findings = json.loads(detent("check", "--json", "--config", world.write()).output)
    assert all(finding.keys() == {"level", "what", "message"} for finding in findings)
    assert {"listen", "policy", "servers.rec", "store"} <= {one["what"] for one in findings}


def test_something_wrong_exits_1_and_is_told_whole(detent: Run, world: World) -> None:
    """Place and cure of all of it; a private key that others can read is one."""
    write(world.bundle, {"main.rego": BROKEN_RULE})
    (world.directory / "keys").mkdir(mode=0o755)
    world.settings = {"credentials": {"signed": {"jwt": {"issuer": "https://x", "keys": "keys"}}}}
    result = detent("check", "--config", world.write())
    assert result.exit_code == 1
    words = " ".join(result.output.replace("│", " ").split())
    assert "'keys' is open to other users: chmod 700" in words
    assert "main.rego:" in words


def test_broken_settings_exit_2(detent: Run, world: World) -> None:
    """Nothing else can be looked at then."""
    file = world.write()
    file.write_text("a: [\n")
    result = detent("check", "--config", file)
    assert result.exit_code == 2
    assert "detent.yaml:2: not YAML" in result.stderr
