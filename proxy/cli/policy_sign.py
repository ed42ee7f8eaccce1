"""`detent policy sign` and `detent policy verify`: OPA's signatures on an archive of policies."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import click

from credentials.base import BrokerMisconfigured
from credentials.private_file import read_private
from proxy.cli.options import json_option
from proxy.cli.plain import plain
from proxy.cli.policy_build import as_lines, write_whole
from proxy.errors import PolicyInvalid
from proxy.pdp.delivery.building import sign
from proxy.pdp.delivery.opening import open_bundle
from proxy.pdp.delivery.packing import MAX_PACKED_BYTES
from proxy.pdp.delivery.signature import trust
from proxy.pdp.find_opa import find_opa

REFUSED = 1

_file = click.Path(path_type=Path, exists=True, dir_okay=False)


def key_options(command: Callable[..., None]) -> Callable[..., None]:
    """Ask for the key, its name, and what the signature is for."""
    command = click.option("--scope", default="", help="What the signature is for; OPA's scope.")(
        command
    )
    command = click.option("--keyid", required=True, help="The name signatures call the key by.")(
        command
    )
    return click.option("--key", type=_file, required=True, help="PEM; P-256 or Ed25519.")(command)


@click.command("sign")
@click.argument("archive", type=_file)
@key_options
def sign_command(archive: Path, key: Path, keyid: str, scope: str) -> None:
    """Sign ARCHIVE with a private key (PEM, mode 0600); a signature it has is replaced."""
    try:
        pem = read_private(key).content
    except BrokerMisconfigured as error:
        raise click.UsageError(str(error)) from None
    write_whole(archive, sign(_read(archive), pem, keyid, scope))
    click.echo(f"signed: {archive} by {keyid}")


@click.command("verify")
@click.argument("archive", type=_file)
@key_options
@json_option
def verify_command(archive: Path, key: Path, keyid: str, scope: str, as_json: bool) -> None:
    """Verify ARCHIVE with a public key (PEM), as a gateway does. Exit code 1 when it is refused."""
    trusted = trust(keyid, key.read_bytes(), scope)
    try:
        delivered = open_bundle(_read(archive), trusted, find_opa().path)
    except PolicyInvalid as error:
        click.echo(plain(f"refused: {error}"), err=True)
        sys.exit(REFUSED)
    told = {"revision": delivered.revision, "number": delivered.number}
    click.echo(json.dumps(told) if as_json else as_lines(told))


def _read(archive: Path) -> bytes:
    """Read one byte more than may be, at most."""
    with archive.open("rb") as file:
        return file.read(MAX_PACKED_BYTES + 1)
