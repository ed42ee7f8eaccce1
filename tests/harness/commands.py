"""What `detent` takes."""

import click

from proxy.cli.main import main


def options_of(*path: str) -> set[str]:
    """Return the options of a command, such as `policy`, `lint`."""
    command: click.Command = main
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None, f"there is no {name}"
        command = found
    return {option for one in command.params for option in one.opts}
