"""The policy bundle as the gateway lives with it: staged, checked on its suites, replaced whole."""

import asyncio
import contextlib
import json
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

from proxy.errors import PolicyInvalid
from proxy.model.ledger import Limits
from proxy.model.tool import ToolManifest
from proxy.pdp.base import QueryAnswer, StagedBundle
from proxy.pdp.bundle import discard, stage
from proxy.pdp.bundle_files import read_bundle
from proxy.pdp.delivery.building import Delivered, suites_of
from proxy.pdp.delivery.choice import Choices, revision_of
from proxy.pdp.delivery.packing import pack_files, unpack_files, write_files
from proxy.pdp.findings.completeness import completeness
from proxy.pdp.findings.finding import Finding
from proxy.pdp.findings.outcome import Outcome, outcomes
from proxy.pdp.managed_opa import ManagedOpa
from proxy.pdp.manifests import Catalogue, load_catalogue
from proxy.pdp.rego_tests import RegoReport, opa_test
from proxy.pdp.scratch import needs_room
from proxy.pdp.suites import Case, CaseResult, load_suites, run_suites

CASE_DEADLINE_S = 2.0

Query = Callable[[str, bytes, float], Awaitable[QueryAnswer]]


class CurrentCatalogue:
    """The manifests and budgets in force; a reload replaces them at once."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def replace(self, catalogue: Catalogue) -> None:
        """Take those of a new bundle."""
        self._catalogue = catalogue

    def limits(self, tenant: str, agent: str) -> Limits:
        """Return an agent's budgets."""
        return self._catalogue.limits(tenant, agent)

    @property
    def tools(self) -> Mapping[tuple[str, str], ToolManifest]:
        """The manifests by server and tool."""
        return self._catalogue.tools

    def names(self) -> list[str]:
        """Return `server/tool` of every tool."""
        return [entry.resource_id for entry in self._catalogue.tools.values()]

    def of_server(self, server: str) -> list[ToolManifest]:
        """Return one server's manifests."""
        return [entry for entry in self._catalogue.tools.values() if entry.server == server]


class Signed(Protocol):
    """Who unpacks signed archives into the directory."""

    def standing(self) -> bytes:
        """Return the archive of what stands there now."""
        ...

    def opened(self, packed: bytes) -> Delivered:
        """Return what an archive holds if it is signed as it must be. Raises PolicyError."""
        ...


class Delivery(Signed, Protocol):
    """Where signed bundles come from while we run."""

    @property
    def number(self) -> int:
        """The number of the last good bundle; 0 when there is none."""
        ...

    @property
    def problem(self) -> str:
        """What was wrong with the last good bundle at the start; empty when nothing was."""
        ...

    async def look(self, *, anew: bool = False, older: bool = False) -> bool:
        """Unpack what is new, or what there is `anew`. Raises PolicyError."""
        ...

    def settled(self, *, loaded: bool, again: bool = False) -> None:
        """Hear whether that could be loaded, and if not whether to try `again`."""
        ...

    def signed(self) -> bytes:
        """Return the last good archive as it was signed."""
        ...


class PolicySource:
    """The bundle's directory, and the private place its copies are staged in.

    `revision` tells under which name somebody else has staged it, empty when nobody has. `choices`
    has what operators chose instead. `archive` is what was staged last, packed, as it was `signed`
    if it comes so; empty before that. `problem` is why a choice was left at the start.
    """

    def __init__(
        self,
        directory: Path,
        opa: Path,
        revision: Callable[[], str] = lambda: "",
        choices: Choices | None = None,
        signed: Signed | None = None,
    ) -> None:
        self._directory = directory
        self._opa = opa
        self._revision = revision
        self.choices = choices
        self._private = tempfile.TemporaryDirectory(prefix="detent-policy-")
        self._cases: dict[str, tuple[Case, ...]] = {}
        self._signed = signed
        self._offered = ""
        self._is_choice = False
        self.archive = b""
        self.problem = ""

    @property
    def offered(self) -> str:
        """The revision of the directory: as it stands, or as we named it when it was staged."""
        return self._revision() or self._offered

    def first(self) -> tuple[StagedBundle, Catalogue]:
        """Stage for a start: a choice that cannot be staged any more is left. Raises PolicyError"""
        try:
            return self.stage()
        except PolicyInvalid as error:
            if not self.forgo(error):
                raise
            return self.stage()

    def forgo(self, error: PolicyInvalid) -> bool:
        """Leave the choice that was staged last and is of no use; return whether it was one."""
        if not self._is_choice or self.choices is None:
            return False
        self.problem = f"what was chosen does not load, what is offered decides: {error}"
        self.choices.clear()
        return True

    def moved_on(self) -> None:
        """Forget what was chosen instead of another revision, now that this one decides."""
        if self.choices is not None and not self._is_choice:
            self.choices.moved_on(self._offered)

    def stage(self, chosen: bytes = b"") -> tuple[StagedBundle, Catalogue]:
        """Copy and check the directory as it is now, and read its suites.

        `chosen`, or else what was chosen instead of its revision, takes its place. Raises
        PolicyError.
        """
        self._is_choice = False
        if chosen:
            return self._stage_archive(chosen)
        packed = self._signed.standing() if self._signed else b""
        bundle, catalogue = self._stage(self._directory, self._revision(), packed)
        self._offered = bundle.revision
        chosen = self.choices.instead_of(bundle.revision) if self.choices else b""
        if not chosen:
            return bundle, catalogue
        discard(bundle)
        self._is_choice = True
        return self._stage_archive(chosen)

    def _stage_archive(self, packed: bytes) -> tuple[StagedBundle, Catalogue]:
        """Stage an archive we kept: verified again where policies are signed."""
        files = self._signed.opened(packed).files if self._signed else unpack_files(packed)
        with needs_room(), tempfile.TemporaryDirectory(dir=self._private.name) as unpacked:
            write_files(files, Path(unpacked))
            return self._stage(Path(unpacked), revision_of(packed), packed)

    def _stage(
        self, directory: Path, revision: str, packed: bytes
    ) -> tuple[StagedBundle, Catalogue]:
        with contextlib.ExitStack() as unless_read:
            with needs_room():
                bundle = stage(directory, Path(self._private.name), self._opa, revision)
            unless_read.callback(discard, bundle)
            catalogue = load_catalogue(bundle.directory)
            cases = load_suites(directory, catalogue)
            files = {} if packed else read_bundle(bundle.directory) | suites_of(directory)
            self.archive = packed or pack_files(files)
            self._cases = {bundle.revision: cases}
            unless_read.pop_all()
        return bundle, catalogue

    async def probe(self, bundle: StagedBundle, query: Query) -> None:
        """Run the suites on an engine that serves the bundle. Raises PolicyInvalid."""
        failed = [result for result in await self.results(bundle, query) if not result.passed]
        if failed:
            told = "\n".join(result.explain() for result in failed[:10])
            raise PolicyInvalid(f"{len(failed)} cases of the suites fail:\n{told}")

    async def results(self, bundle: StagedBundle, query: Query) -> Sequence[CaseResult]:
        """Run the suites and return every case."""

        async def ask(path: str, body: bytes) -> QueryAnswer:
            return await query(path, body, CASE_DEADLINE_S)

        return await run_suites(self._cases[bundle.revision], ask)

    def cleanup(self) -> None:
        """Remove the copies."""
        self._private.cleanup()


@dataclass(frozen=True, slots=True)
class PolicyReport:
    """What `detent policy test` found. `suite_failures` is one line a failed case.

    `results` has every case of the suites, `incomplete` what the rules lack.
    """

    revision: str
    rego: RegoReport
    suites_passed: int
    suite_failures: tuple[str, ...]
    results: tuple[CaseResult, ...] = ()
    incomplete: tuple[Finding, ...] = ()

    def is_good(self, coverage: float) -> bool:
        """Whether all passed, every rule is whole, and `coverage` percent of the Rego is tested."""
        return self.rego.is_good(coverage) and not self.suite_failures and not self.incomplete

    def outcomes(self, coverage: float) -> tuple[Outcome, ...]:
        """Return every test by itself; `coverage` is the least, in percent of lines."""
        return tuple(outcomes(self.rego, self.results, coverage))

    def to_json(self) -> str:
        """Return the report for machines; the single tests are in the JUnit report."""
        brief = replace(self, results=(), rego=replace(self.rego, cases=()))
        document = asdict(brief)
        del document["results"], document["rego"]["cases"]
        return json.dumps(document)


async def check_policies(directory: Path, opa: Path) -> PolicyReport:
    """Run the Rego tests and the suites of a bundle on a real OPA; look what its rules lack.

    Raises PolicyInvalid, PolicyUnavailable.
    """
    source = PolicySource(directory, opa)
    engine = ManagedOpa(opa)
    try:
        bundle, _ = await asyncio.to_thread(source.stage)
        rego = await asyncio.to_thread(opa_test, directory, opa)
        await engine.start(bundle)
        results = await source.results(bundle, engine.query)
    finally:
        await engine.stop()
        source.cleanup()
    failures = tuple(result.explain() for result in results if not result.passed)
    return PolicyReport(
        revision=bundle.revision,
        rego=rego,
        suites_passed=len(results) - len(failures),
        suite_failures=failures,
        results=tuple(results),
        incomplete=completeness(directory),
    )
