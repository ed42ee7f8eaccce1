"""The image's recipe, as far as it can be told without building it."""

import re
import tomllib

from tests.harness.world import ROOT

RECIPE = (ROOT / "Dockerfile").read_text()
CODE = re.sub(r"^#.*$", "", RECIPE, flags=re.MULTILINE)
STAGES = re.split(r"^FROM ", CODE, flags=re.MULTILINE)


def stage(name: str) -> str:
    (found,) = (one for one in STAGES if re.match(rf"\S+ AS {name}\n", one))
    return found


def locked(file: str) -> dict[str, str]:
    """Return the entries of a lock by name, with their hashes."""
    blocks = re.split(r"^(?=[a-z0-9])", (ROOT / file).read_text(), flags=re.MULTILINE)
    return {block.split("==")[0]: block for block in blocks if block}


def test_every_image_is_an_argument_and_none_has_a_default() -> None:
    """Whoever builds names them; `scratch` stands for an image that is not built."""
    froms = re.findall(r"^FROM (\S+)", CODE, re.MULTILINE)
    assert set(froms) == {"${PYTHON_IMAGE}", "${OPA_IMAGE}", "${EGRESS_IMAGE}"}
    defaults = dict(re.findall(r"^ARG (\w+)=(\S+)$", CODE, re.MULTILINE))
    assert defaults == {"EGRESS_IMAGE": "scratch"}


def test_every_image_needs_its_digest() -> None:
    """A build with a tag stops."""
    for name, tested in (("build", '"${PYTHON_IMAGE}" "${OPA_IMAGE}"'), ("egress", "EGRESS_IMAGE")):
        assert tested in stage(name)
        assert "*@sha256:*) ;; *)" in stage(name)


def test_the_last_stage_only_copies_and_is_not_root() -> None:
    """No shell runs in it; a number, so that Kubernetes can tell that it is not root."""
    last = STAGES[-1]
    assert last.startswith("${PYTHON_IMAGE} AS gateway\n")
    assert re.findall(r"^(RUN|ADD|USER .*)", last, re.MULTILINE) == ["USER 65532:65532"]
    assert re.findall(r"^COPY (.*)$", last, re.MULTILINE) == [
        "--from=opa /opa /usr/local/bin/opa",
        "--from=build /opt/detent /opt/detent",
    ]
    assert 'ENTRYPOINT ["detent"]' in last


def test_everything_is_installed_by_hash() -> None:
    """The package itself comes from the checkout, without its dependencies."""
    installs = re.findall(r"pip install ([^\n\\]*)", CODE)
    assert installs
    assert all("--require-hashes" in one or "--no-deps --no-index" in one for one in installs)


def test_the_lock_of_the_image_is_part_of_the_whole_one() -> None:
    """The same versions and hashes, every dependency of the gateway, none that only tests need."""
    whole, image = locked("requirements.lock"), locked("requirements.runtime.lock")
    assert image.items() <= whole.items()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    direct, *others = (
        {re.split(r"[^a-z0-9-]", one.lower())[0] for one in named}
        for named in (project["dependencies"], *project["optional-dependencies"].values())
    )
    assert direct & whole.keys() <= image.keys()
    assert not image.keys() & set().union(*others)


def test_only_what_is_copied_is_sent_to_the_builder() -> None:
    """No ledger, no key and no settings of a checkout can end in an image."""
    ignored = (ROOT / ".dockerignore").read_text().split()
    sent = {one.removeprefix("!") for one in ignored if one.startswith("!")}
    copied = set(re.findall(r"^COPY (?!--from)(.*) \S+$", stage("build"), re.MULTILINE))
    assert ignored[0] == "*"
    assert sent == {name for names in copied for name in names.split()}
