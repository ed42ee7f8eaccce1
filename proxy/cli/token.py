"""`detent token new`: tokens are shown once and stored only as hashes."""

import json

import click

from proxy.cli.options import json_option
from proxy.model.token import TokenKind, new_token, token_sha256

KINDS = {
    "agent": TokenKind.AGENT,
    "operator": TokenKind.OPERATOR,
    "sidecar": TokenKind.SIDECAR,
}


@click.group()
def token() -> None:
    """Make tokens for agents, operators and sidecars."""


@token.command()
@click.argument("kind", type=click.Choice(sorted(KINDS)))
@json_option
def new(kind: str, as_json: bool) -> None:
    """Make a token of 256 random bits. Give the token to its owner, the hash to detent.yaml."""
    made = new_token(KINDS[kind])
    if as_json:
        click.echo(json.dumps({"token": made, "token_sha256": token_sha256(made)}))
        return
    click.echo(f"token (shown once):  {made}")
    click.echo(f"for detent.yaml:     token_sha256: {token_sha256(made)}")
