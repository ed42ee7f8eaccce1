"""`make demo`: the whole story on real tools. `make run`: leave the gateway up and say how to ask.

Nothing is left running at the end; what was made stays in var/demo to look at.
"""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from examples.demo.client import Client
from examples.demo.story import Row, Story
from examples.demo.world import World, prepare, serve, stop

DIRECTORY = Path(__file__).parents[2] / "var" / "demo"
COLOURS = {
    "done": "green",
    "dry_run": "cyan",
    "denied": "red",
    "pending_approval": "yellow",
    "unknown": "yellow",
}


async def main(*, keep: bool) -> int:
    """Prepare, serve, tell the story or wait, and clean up."""
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print("preparing: scratch repository, Datasette, webhook receiver …")
    world = await asyncio.to_thread(prepare, DIRECTORY)
    try:
        gateway = await serve(world)
        try:
            async with Client(world) as client:
                if keep:
                    return await wait(console, world, client)
                return await tell(console, Story(world, client))
        finally:
            gateway.terminate()
            await gateway.wait()
    finally:
        stop(world)


async def tell(console: Console, story: Story) -> int:
    """Run the story; print it and its figures; 0 when it went as told."""
    console.print("running the scripted agent …")
    await story.run()
    table = Table(
        "", "act", "the agent tried", "verdict", "outcome", "reasons", title="Detent demo"
    )
    for row in story.rows:
        table.add_row(*cells(row))
    console.print(table)
    figures = Table("figure", "measured", show_header=False)
    for name, value in story.figures.items():
        figures.add_row(name, value)
    console.print(figures)
    if not story.went_as_told:
        console.print("[red]The story did not go as told; see var/demo/detent.log[/red]")
        return 1
    return 0


def cells(row: Row) -> tuple[str, ...]:
    """Return one line of the table."""
    mark = "[green]ok[/green]" if row.expected else "[red]?![/red]"
    colour = COLOURS.get(row.outcome, "white")
    return mark, row.act, row.tried, row.verdict, f"[{colour}]{row.outcome}[/{colour}]", row.why


async def wait(console: Console, world: World, client: Client) -> int:
    """Print what to try and wait for Ctrl-C."""
    call = (
        f"curl -s -X POST {client.agents}/v1/calls -H 'Authorization: Bearer {world.agent_token}' "
        f"-H 'Content-Type: application/json' -d "
    )
    operator = f"-H 'Authorization: Bearer {world.operator_token}'"
    here = f'{{"repo_path":"{world.repository}"}}'
    lift = """-H 'Content-Type: application/json' -d '{"reason":"fixed"}'"""
    lines = [
        "A call that is allowed, and one that is not:",
        f"""{call}'{{"server":"repo","tool":"git_status","arguments":{here}}}'""",
        f"""{call}'{{"server":"repo","tool":"git_status","arguments":{{"repo_path":"/etc"}}}}'""",
        "Stop everything, look, lift:",
        f"curl -s -X POST {client.operators}/killswitch {operator}",
        f"curl -s {client.operators}/killswitch {operator}",
        f"curl -s -X DELETE {client.operators}/killswitch/1 {operator} {lift}",
        f"MCP clients connect to {client.agents}/mcp with the agent's token. Ctrl-C ends it all.",
    ]
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    await stopping.wait()
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the gateway up")
    sys.exit(asyncio.run(main(keep=parser.parse_args().keep)))
