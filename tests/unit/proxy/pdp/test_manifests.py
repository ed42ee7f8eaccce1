"""The data of a bundle, strictly read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy.errors import PolicyInvalid
from proxy.model.ledger import Limits
from proxy.model.tool import CredentialRule, Effect, Recovery
from proxy.pdp.manifests import load_catalogue

Written = Callable[[dict[str, str]], Path]
Spoil = Callable[[str, Any], Path]

PIN = "sha256:" + "0" * 64
GIT = "{protected_branches: [main], protected_names: [.git], repositories: [a/b]}"
BUDGETS = "default: {session_risk: 10, agent_risk: 20, window_s: 60}\n"
TOOL = f"{{pin: '{PIN}', effect: write, risk: 5}}"


def guarding(guards: str) -> str:
    """Return a tool with these guards."""
    return TOOL.replace("}", f", guards: {guards}}}", 1)


@pytest.fixture
def bundle(written: Written) -> Callable[[dict[str, str]], Path]:
    """Write a bundle of one tool, but for the given files."""
    files = {"budgets/data.yaml": BUDGETS, "tools/repo/data.yaml": f"git_commit: {TOOL}\n"}
    return lambda more: written({**files, **more})


def test_the_shipped_policies_are_read(policies: Path) -> None:
    """Twelve tools of the repository, six of the tickets, and every reason."""
    catalogue = load_catalogue(policies)
    servers = [server for server, _ in catalogue.tools]
    assert (servers.count("repo"), servers.count("tickets")) == (12, 6)
    assert catalogue.limits("acme", "nobody") == Limits(100, 500, 3600)
    assert "default-deny" in catalogue.reasons


def test_a_manifest_entry_says_everything(written: Written) -> None:
    """Every field arrives where the gateway reads it, and the document as it was written."""
    entry: dict[str, Any] = {
        "pin": PIN,
        "effect": "irreversible",
        "recovery": "probe",
        "risk": 7,
        "timeout": "1500ms",
        "sinks": ["message"],
        "destinations": ["to"],
        "returns": "trusted",
        "credential": {"broker": "jwt", "audience": "mail", "ceiling": ["mail:send"], "ttl": 10},
        "undo": "compensation.recall",
        "constraints": [{"argument": "to", "max_length": 100, "optional": True}],
    }
    text = yaml.safe_dump({"send": entry})
    catalogue = load_catalogue(
        written({"budgets/data.yaml": BUDGETS, "tools/mail/data.yaml": text})
    )
    tool = catalogue.tools["mail", "send"]
    assert (tool.resource_id, tool.pin, tool.effect) == ("mail/send", PIN, Effect.IRREVERSIBLE)
    assert (tool.recovery, tool.risk, tool.timeout_s) == (Recovery.PROBE, 7, 1.5)
    assert (tool.sinks, tool.untrusted, tool.undo) == (("message",), False, "compensation.recall")
    assert tool.credential == CredentialRule("jwt", "mail", ("mail:send",))
    assert (tool.document, tool.http) == (entry, None)


def test_what_a_manifest_leaves_out_is_on_the_careful_side(bundle: Written) -> None:
    """Opaque, untrusted, without a credential."""
    tool = load_catalogue(bundle({})).tools["repo", "git_commit"]
    assert (tool.recovery, tool.untrusted, tool.timeout_s) == (Recovery.OPAQUE, True, 20.0)
    assert (tool.credential, tool.sinks, tool.undo) == (CredentialRule(), (), None)


@pytest.mark.parametrize(
    ("timeout", "seconds"), [("250ms", 0.25), ("20s", 20.0), ("999s", 999.0), ("2m", 120.0)]
)
def test_a_timeout_has_its_unit(bundle: Written, timeout: str, seconds: float) -> None:
    """Milliseconds, seconds, minutes."""
    text = f"x: {{pin: '{PIN}', effect: read, risk: 1, timeout: {timeout}}}"
    tool = load_catalogue(bundle({"tools/a/data.yaml": text})).tools["a", "x"]
    assert tool.timeout_s == seconds


def test_an_http_tool_is_its_own_definition(policies: Path) -> None:
    """Binding, description and schema come from the manifest."""
    http = load_catalogue(policies).tools["tickets", "insert_row"].http
    assert http is not None
    assert (http.method, http.path) == ("POST", "/{database}/{table}/-/insert")
    assert (http.query, http.body) == ((), ("row",))
    assert http.description.startswith("Inserts")
    assert b'"required": ["database", "table", "row"]' in http.input_schema


def test_a_request_says_where_each_argument_stands(policies: Path, bundle: Written) -> None:
    """Headers and names too, and whether the path means the tool."""
    entry = load_catalogue(policies).tools["tickets", "list_rows"].document
    http = {**entry["http"], "query": ["_next", "_sort"], "headers": ["_size"]}
    spelled = {**entry, "http": {**http, "names": {"_size": "X-Size"}, "route": False}}
    text = json.dumps({"one": entry, "two": spelled})
    tools = load_catalogue(bundle({"tools/tickets/data.yaml": text})).tools
    one, two = tools["tickets", "one"].http, tools["tickets", "two"].http
    assert one is not None
    assert two is not None
    assert (one.headers, one.names, one.is_routed) == ((), (), True)
    assert (two.headers, two.names, two.is_routed) == (("_size",), (("_size", "X-Size"),), False)


def test_a_request_that_can_mean_two_tools_is_told(policies: Path, bundle: Written) -> None:
    """The bundle does not load: nobody could say which policy holds."""
    entry = load_catalogue(policies).tools["tickets", "list_rows"].document
    text = json.dumps({"one": entry, "two": entry})
    with pytest.raises(
        PolicyInvalid, match="tools/tickets: two: a request can mean this tool or one"
    ):
        load_catalogue(bundle({"tools/tickets/data.yaml": text}))


def test_an_agent_can_have_budgets_of_its_own(bundle: Written) -> None:
    """By tenant and agent; everybody else has the default."""
    text = BUDGETS + "agents:\n  acme/loop: {session_risk: 1, agent_risk: 2, window_s: 3}\n"
    catalogue = load_catalogue(bundle({"budgets/data.yaml": text}))
    assert catalogue.limits("acme", "loop") == Limits(1, 2, 3)
    assert catalogue.limits("other", "loop") == Limits(10, 20, 60)


def test_a_workspace_is_a_path(bundle: Written) -> None:
    """By its name."""
    catalogue = load_catalogue(bundle({"workspaces/data.yaml": "scratch: /ws/a\n"}))
    assert catalogue.workspaces == {"scratch": "/ws/a"}


def test_a_catalogue_does_not_change(policies: Path) -> None:
    """What travels is frozen."""
    catalogue = load_catalogue(policies)
    with pytest.raises(TypeError):
        catalogue.tools["a", "b"] = catalogue.tools["repo", "git_log"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ("effect: delete", "git_commit.effect: "),
        ("risk: -1", "git_commit.risk: -1 is less"),
        ("risk: 1.5", "git_commit.risk: 1.5 is not"),
        ("risk: '5'", "git_commit.risk: "),
        ("risk: 1000001", "git_commit.risk: "),
        ("pin: sha256:abc", "git_commit.pin: "),
        ("timeout: 20", "git_commit.timeout: "),
        ("timeout: 20 s", "git_commit.timeout: "),
        ("timeout: 0s", "git_commit.timeout: "),
        ("timeout: 1h", "git_commit.timeout: "),
        ("timeout: 11m", "git_commit.timeout: "),
        ("recovery: retry", "git_commit.recovery: "),
        ("returns: maybe", "git_commit.returns: "),
        ("sinks: message", "git_commit.sinks: "),
        ("sinks: [a, a]", "git_commit.sinks: "),
        ("destinations: [1]", "git_commit.destinations.0: "),
        ("credential: jwt", "git_commit.credential: "),
        ("credential: {}", "git_commit.credential: "),
        ("credential: {broker: jwt, scope: [a]}", "git_commit.credential: .*'scope'"),
        ("credential: {broker: jwt, ceiling: ['*']}", "git_commit.credential.ceiling.0: "),
        ("credential: {broker: jwt, ceiling: ['repo:*']}", "git_commit.credential.ceiling.0: "),
        ("credential: {broker: jwt, ceiling: ['a b']}", "git_commit.credential.ceiling.0: "),
        ("credential: {broker: jwt, ttl: 61}", "git_commit.credential.ttl: "),
        ("credential: {broker: jwt, ttl: 0}", "git_commit.credential.ttl: "),
        ("undo: Compensation()", "git_commit.undo: "),
        ("constraints: {argument: x}", "git_commit.constraints: "),
        ("constraints: [{argument: x, max_lenght: 1}]", ".*'max_lenght'"),
        ("constraints: [{max: 1}]", "git_commit.constraints.0: .*argument"),
        ("constraints: [{argument: x, path_within: /a}]", "git_commit.constraints.0.path_within"),
        ("constraints: [{argument: x, path_within: [a]}]", "git_commit.constraints.0.path_within"),
        ("constraints: [{argument: x, path_within: [/]}]", "git_commit.constraints.0.path_within"),
        ("constraints: [{argument: x, one_of: a}]", "git_commit.constraints.0.one_of"),
        ("constraints: [{argument: x, host_in: [A.example]}]", "git_commit.constraints.0.host_in"),
        ("efect: read", "git_commit: .*'efect'"),
    ],
)
def test_a_wrong_field_is_told(bundle: Written, field: str, problem: str) -> None:
    """File, tool, field."""
    entry = yaml.safe_load(TOOL) | yaml.safe_load(field)
    spoilt = bundle({"tools/repo/data.yaml": yaml.safe_dump({"git_commit": entry})})
    with pytest.raises(PolicyInvalid, match=rf"^tools/repo: {problem}"):
        load_catalogue(spoilt)


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("budgets/data.yaml", "{}", "^budgets: .*default"),
        ("budgets/data.yaml", "default: {session_risk: 1}", "^budgets: default: "),
        (
            "budgets/data.yaml",
            BUDGETS + "agents: {loop: 1}",
            "^budgets: agents.loop: .*\nbudgets: agents: ",
        ),
        ("budgets/data.yaml", BUDGETS + "max_mode: dry_run", "^budgets: .*'max_mode'"),
        ("budgets/data.yaml", BUDGETS.replace("60", "0"), "^budgets: default.window_s: 0"),
        ("roles/data.yaml", "reader: [repo/*]", "^roles: reader: "),
        ("roles/data.yaml", "reader: {}", "^roles: reader: .*tools"),
        ("roles/data.yaml", "reader: {tools: ['*']}", "^roles: reader.tools.0: "),
        ("roles/data.yaml", "reader: {tools: ['repo/{a,b}']}", "^roles: reader.tools.0: "),
        ("destinations/data.yaml", "tool: [repo/x]", "^destinations: .*'tool'"),
        ("destinations/data.yaml", "hosts: [A.example]", "^destinations: hosts.0: "),
        ("destinations/data.yaml", "values: {x: {a: [b]}}", "^destinations: values: "),
        ("brokers/data.yaml", "bound: [jwt]", "^brokers: .*'bound'"),
        ("git/data.yaml", "{protected_branches: [], repositories: []}", "^git: .*protected_names"),
        ("git/data.yaml", GIT.replace("[main]", "[Main]"), "^git: protected_branches.0: "),
        ("git/data.yaml", GIT.replace("[a/b]", "[b]"), "^git: repositories.0: "),
        ("filesystem/data.yaml", "{sensitive: [.ssh]}", "^filesystem: .*self_running"),
        (
            "filesystem/data.yaml",
            "{sensitive: [a/b], self_running: [c]}",
            "^filesystem: sensitive.0: ",
        ),
        ("filesystem/data.yaml", "{sensitive: [], self_running: [c]}", "^filesystem: sensitive: "),
        ("shell/data.yaml", "commands: [make; rm]", "^shell: commands.0: "),
        ("http/data.yaml", "hosts: {a.example: [get]}", "^http: hosts.a.example.0: "),
        ("tools/a/data.yaml", f"x: {guarding('{}')}", "^tools/a: x.guards: "),
        ("tools/a/data.yaml", f"x: {guarding('{svn: {}}')}", "^tools/a: x.guards: .*'svn'"),
        (
            "tools/a/data.yaml",
            f"x: {guarding('{git: {paths: []}}')}",
            "^tools/a: x.guards.git.paths: ",
        ),
        (
            "tools/a/data.yaml",
            f"x: {guarding('{shell: {}}')}",
            "^tools/a: x.guards.shell: .*command",
        ),
        (
            "tools/a/data.yaml",
            f"x: {guarding('{http: {method: m}}')}",
            "^tools/a: x.guards.http: .*url",
        ),
        ("reasons/data.yaml", "Bad_Id: x", "^reasons: "),
        ("reasons/data.yaml", "a: ''", "^reasons: a: "),
        ("workspaces/data.yaml", "a: work", "^workspaces: a: "),
        ("workspaces/data.yaml", "a: [/ws]", "^workspaces: a: "),
        ("tools/a_b/data.yaml", "{}", "^tools: "),
        ("tools/a/data.yaml", "", "^tools/a: null is not"),
        ("tools/a/data.yaml", f"x y: {TOOL}", "^tools/a: "),
        ("tools/a/data.yaml", "x: {effect: read}", "^tools/a: x: .*risk"),
        ("tools/a/data.yaml", "x: 1\nx: 2", "^tools/a/data.yaml:2: x stands twice"),
        ("tools/data.yaml", "{}", "^tools/data.yaml: not where Detent reads it"),
        ("tools/a/b/data.yaml", "{}", "^tools/a/b/data.yaml: not where Detent reads it"),
        ("roles/more/data.yaml", "{}", "^roles/more/data.yaml: not where Detent reads it"),
        ("budgets/data.json", "{}", "^budgets/data.yaml: not where Detent reads it"),
    ],
)
def test_wrong_data_is_told(bundle: Written, file: str, text: str, problem: str) -> None:
    """Every document has its schema."""
    with pytest.raises(PolicyInvalid, match=problem):
        load_catalogue(bundle({file: text}))


def test_every_problem_is_told_at_once(bundle: Written) -> None:
    """One line a problem, sorted."""
    text = f"b: {{pin: '{PIN}', effect: x, risk: 1}}\na: {{pin: '{PIN}', effect: read, risk: -1}}\n"
    with pytest.raises(PolicyInvalid) as caught:
        load_catalogue(bundle({"tools/repo/data.yaml": text, "roles/data.yaml": "r: 1"}))
    places = [line.rpartition(": ")[0].split(": ")[:2] for line in str(caught.value).split("\n")]
    assert places == [["roles", "r"], ["tools/repo", "a.risk"], ["tools/repo", "b.effect"]]


def test_how_fields_fit_each_other_is_told_too(bundle: Written) -> None:
    """With file and tool, once every field is in order."""
    with pytest.raises(PolicyInvalid, match=r"^tools/repo: git_commit: no pin: "):
        load_catalogue(bundle({"tools/repo/data.yaml": "git_commit: {effect: read, risk: 1}"}))


def test_data_may_be_json(written: Written) -> None:
    """OPA reads both."""
    budgets = '{"default": {"session_risk": 1, "agent_risk": 2, "window_s": 3}}'
    assert load_catalogue(written({"budgets/data.json": budgets})).default == Limits(1, 2, 3)


def test_data_of_other_roots_is_the_policies_business(bundle: Written) -> None:
    """A rule may bring a registry of its own."""
    assert load_catalogue(bundle({"colours/any/data.yaml": "red: 1", "colours/data.yaml": "a: 1"}))


def test_a_bundle_without_budgets_is_refused(written: Written) -> None:
    """Nobody spends without a limit."""
    with pytest.raises(PolicyInvalid, match='"budgets" is a required property'):
        load_catalogue(written({"tools/repo/data.yaml": f"git_commit: {TOOL}\n"}))


def test_a_tool_of_an_agents_own_says_so(bundle: Written) -> None:
    """Every other tool is carried."""
    text = "Bash: {hooks: true, effect: write, risk: 1}"
    tools = load_catalogue(bundle({"tools/claude-code/data.yaml": text})).tools
    assert tools["claude-code", "Bash"].hooks
    assert not tools["repo", "git_commit"].hooks
