import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from credentials.jwt_broker import JwtBroker
from credentials.static_broker import StaticBroker
from proxy.app.build import BROKERS, ENGINES, Builder
from proxy.app.policies import CurrentCatalogue
from proxy.errors import ConfigError
from proxy.model.ledger import Limits
from proxy.monitors.alerts.webhook import WebhookSink
from proxy.pdp.managed_opa import ManagedOpa
from proxy.pdp.manifests import Catalogue
from proxy.pdp.opa import RemoteOpa
from proxy.stores.sqlite import SqliteStore
from proxy.upstream.http import HttpUpstream
from proxy.upstream.mcp_http import McpHttp
from proxy.upstream.mcp_stdio import McpStdio

BuilderOf = Callable[..., Builder]
KEY = {"env": "KEY"}
NOTHING = CurrentCatalogue(Catalogue({}, Limits(0, 0, 1), {}, {}, {}))


async def no_probe(*_: object) -> None:
    """Look at nothing."""


def problems_of(make: Callable[[], object]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as error:
        make()
    return error.value.problems


def test_the_ledger_lies_where_the_settings_say(builder_of: BuilderOf) -> None:
    """SQLite is the one there is."""
    assert isinstance(builder_of(store="sqlite:///x.db").store(), SqliteStore)


async def test_each_kind_of_server_gets_its_adapter(builder_of: BuilderOf) -> None:
    """By its block; all under their names."""
    servers = {
        "http": {"http": {"base_url": "https://example.org"}},
        "far": {"mcp": {"url": "https://example.org/mcp"}},
        "near": {"mcp": {"command": ["true"]}},
    }
    made = builder_of(servers=servers).upstreams(NOTHING, lambda _: None)
    kinds = {name: type(upstream) for name, upstream in made.items()}
    assert kinds == {"http": HttpUpstream, "far": McpHttp, "near": McpStdio}
    assert {name: upstream.name for name, upstream in made.items()} == {n: n for n in servers}
    for upstream in made.values():
        await upstream.stop()


async def test_a_command_runs_in_the_directory_of_the_settings(
    builder_of: BuilderOf, tmp_path: Path
) -> None:
    """Or in its own `cwd` below it, as its own user, with the environment it is given."""
    told = {"mcp": {"command": ["true"]}, "user": "tools", "env": {"A": "b"}, "cwd": "work"}
    builder = builder_of(servers={"plain": {"mcp": {"command": ["true"]}}, "told": told})
    made = builder.upstreams(NOTHING, lambda _: None)
    specs = {one.name: one._spec for one in made.values() if isinstance(one, McpStdio)}
    assert specs["plain"].cwd == tmp_path
    assert (specs["told"].cwd, specs["told"].user) == (tmp_path / "work", "tools")
    assert specs["told"].env["A"] == "b"


async def test_every_server_that_must_not_be_is_told_and_none_is_made(
    builder_of: BuilderOf,
) -> None:
    """A connection that was made would have to be closed."""
    servers = {
        "good": {"http": {"base_url": "https://example.org"}},
        "plain": {"http": {"base_url": "http://example.org"}},
        "inside": {"mcp": {"url": "https://10.0.0.1/mcp"}},
    }
    builder = builder_of(servers=servers)
    told = problems_of(lambda: builder.upstreams(NOTHING, lambda _: None))
    assert [problem.partition(":")[0] for problem in told] == ["servers.plain", "servers.inside"]
    assert "allow_private" in told[1]
    assert problems_of(lambda: builder.upstream("plain", NOTHING, lambda: None)) == told[:1]


def test_brokers_have_the_names_manifests_use(builder_of: BuilderOf, tmp_path: Path) -> None:
    """A key directory is made, and its keys can be published."""
    credentials = {
        "signed": {"jwt": {"issuer": "https://detent.example", "keys": "keys"}},
        "key": {"static": {"secret": KEY, "header": "X-Api-Key"}},
    }
    builder = builder_of(credentials=credentials)
    made = builder.brokers()
    assert {name: type(one) for name, one in made.items()} == {
        "signed": JwtBroker,
        "key": StaticBroker,
    }
    assert len(builder.key_directories["signed"].jwks()["keys"]) == 1
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700


def test_all_bad_brokers_are_told_with_their_cures(builder_of: BuilderOf, tmp_path: Path) -> None:
    """A readable key directory, a header that carries no key, a secret that is not there."""
    (tmp_path / "keys").mkdir(mode=0o755)
    credentials = {
        "open": {"jwt": {"issuer": "https://detent.example", "keys": "keys"}},
        "odd": {"static": {"secret": KEY, "header": "Cookie"}},
        "gone": {"static": {"secret": {"env": "GONE"}}},
    }
    assert problems_of(builder_of(credentials=credentials).brokers) == (
        "credentials.open: 'keys' is open to other users: chmod 700",
        "credentials.odd: 'Cookie' cannot carry a key: use Authorization or X-Api-Key",
        "credentials.gone.static.secret: the environment has no 'GONE': set it",
    )


@pytest.mark.parametrize("kind", ["jwt", "static"])
def test_a_broker_of_another_block_is_not_made(builder_of: BuilderOf, kind: str) -> None:
    """Each row of the table wants its own block."""
    blocks = {
        "static": {"jwt": {"issuer": "x", "keys": "keys"}},
        "jwt": {"static": {"secret": KEY}},
    }
    builder = builder_of(credentials={"x": blocks[kind]})
    told = problems_of(lambda: BROKERS[kind](builder, "x", builder.settings.credentials["x"]))
    assert told == (f"credentials.x: a {kind} block is needed",)


def test_canaries_are_one_monitor(builder_of: BuilderOf) -> None:
    """Without canaries there is nothing to look for."""
    canaries = [{"name": name, "token": KEY} for name in ("aws-key", "bait")]
    assert builder_of().monitors() == []
    assert len(builder_of(canaries=canaries).monitors()) == 1


@pytest.mark.parametrize(
    ("canaries", "problem"),
    [
        ([{"name": "a", "token": {"env": "GONE"}}], "canaries.a: the environment has no 'GONE'"),
        ([{"name": "a", "token": {"file": "short"}}], "canaries.a: a canary needs a name and"),
        ([{"name": "a", "token": KEY}, {"name": "a", "token": KEY}], "canaries: two canaries sha"),
    ],
)
def test_a_canary_that_would_not_be_found_is_refused(
    builder_of: BuilderOf, tmp_path: Path, canaries: list[Any], problem: str
) -> None:
    """None is left out in silence."""
    (tmp_path / "short").touch(0o600)
    (tmp_path / "short").write_text("8-signs.")
    (told,) = problems_of(builder_of(canaries=canaries).monitors)
    assert told.startswith(problem)


async def test_alerts_go_to_their_webhooks(builder_of: BuilderOf, tmp_path: Path) -> None:
    """The secret is text or `whsec_` and base64."""
    serialized = "whsec_" + base64.b64encode(b"x" * 24).decode()
    (tmp_path / "hook").touch(0o600)
    (tmp_path / "hook").write_text(serialized)
    hooks = [{"url": "https://example.org/a", "secret": one} for one in (KEY, {"file": "hook"})]
    builder = builder_of(alerts=[{"webhook": hook} for hook in hooks])
    async with builder.alert_client() as http:
        sinks = builder.sinks(http)
    assert [type(sink) for sink in sinks] == [WebhookSink, WebhookSink]
    assert [sink._secret for sink in sinks if isinstance(sink, WebhookSink)][1] == b"x" * 24


async def test_all_bad_alerts_are_told_by_their_place(
    builder_of: BuilderOf, tmp_path: Path
) -> None:
    """A URL of another scheme, a short secret, base64 that is none."""
    for name, secret in {"short": "a-short-one", "broken": "whsec_no-base64"}.items():
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(secret)
    hooks = [
        {"url": "ftp://example.org", "secret": KEY},
        {"url": "https://example.org", "secret": {"file": "short"}},
        {"url": "https://example.org", "secret": {"file": "broken"}},
    ]
    builder = builder_of(alerts=[{"webhook": hook} for hook in hooks])
    async with builder.alert_client() as http:
        told = problems_of(lambda: builder.sinks(http))
    assert told == (
        "alerts.0: a webhook needs an http or https URL",
        "alerts.1: a webhook secret has at least 32 characters: `openssl rand -hex 32`",
        "alerts.2: what follows whsec_ in a webhook secret is not base64; copy it again",
    )


def test_the_managed_engine_runs_the_opa_that_was_found(builder_of: BuilderOf, opa: Path) -> None:
    """It is looked for when it is needed, and once."""
    builder = builder_of(policy={"opa": str(opa)})
    engine = builder.engine(no_probe)
    assert isinstance(engine, ManagedOpa)
    assert engine._command == builder.opa == opa.resolve()


async def test_without_an_opa_only_what_needs_it_fails(builder_of: BuilderOf) -> None:
    """The message names the setting and the cure."""
    builder = builder_of(policy={"opa": "/nowhere/opa"}, servers={"x": {"mcp": {"command": ["a"]}}})
    assert builder.upstream("x", NOTHING, lambda: None).name == "x"
    (told,) = problems_of(lambda: builder.engine(no_probe))
    assert told.startswith("policy.opa: /nowhere/opa is not a working OPA; run `make setup`")


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("http://127.0.0.1:8181", "http://127.0.0.1:8181"),
        ("https://opa.example/", "https://opa.example:443"),
        ("http://[::1]:8181", "http://[::1]:8181"),
    ],
)
def test_the_remote_engine_asks_the_url_of_the_settings(
    builder_of: BuilderOf, url: str, root: str
) -> None:
    """Scheme, host and port; with the token when there is one."""
    for token, header in ((None, None), (KEY, "Bearer a-secret-of-more-than-32-characters")):
        remote = {"url": url, "token": token}
        engine = builder_of(policy={"engine": "remote", "remote": remote}).engine(no_probe)
        assert isinstance(engine, RemoteOpa)
        assert engine._client.root_url.startswith(root + "/")
        assert (engine._client.headers or {}).get("Authorization") == header


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("127.0.0.1:8181", "has to begin with https:// or http://"),
        ("http://[bad", "not a URL"),
        ("http://me:secret@127.0.0.1:8181", "carries userinfo"),
        ("http://127.0.0.1:8181/v1/data", "leave the path out"),
        ("http://169.254.169.254", "never connects to a link-local or metadata address"),
    ],
)
def test_a_remote_engine_that_cannot_be_is_told(
    builder_of: BuilderOf, url: str, problem: str
) -> None:
    """At the place in the settings, without repeating the URL."""
    builder = builder_of(policy={"engine": "remote", "remote": {"url": url}})
    (told,) = problems_of(lambda: builder.engine(no_probe))
    assert told.startswith("policy.remote.url: ")
    assert problem in told
    assert url not in told


def test_a_remote_engine_wants_its_block(builder_of: BuilderOf) -> None:
    """The row of the table says so itself."""
    builder = builder_of()
    (told,) = problems_of(lambda: ENGINES["remote"](builder, no_probe))
    assert told == "policy.remote: give the url of the OPA"
