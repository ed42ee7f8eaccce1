"""`python -m tests.harness.reserving KIND PLACE`: writes for ever, telling what was acknowledged.

Prints one line each, `step <id>`, `done <id>` or `kill <order id>`, after the store said that it
is durable. Eight writers at once, so that a batch is always under way when it is killed.
"""

import asyncio
import itertools
import sys

from proxy.model.kill import Scope, ScopeKind
from proxy.stores.base import Store
from tests.harness.ledger import Call, kill, session, settled
from tests.harness.stores import STORES

WRITERS = 8


def tell(*words: str) -> None:
    """Print a whole line in one write."""
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


async def write_for_ever(store: Store, writer: int) -> None:
    """Reserve, settle every other step, kill now and then."""
    owner = session(f"ses{writer}", f"agent{writer}", risk_limit=10**9)
    await store.open_session(owner, None, 10)
    for number in itertools.count():
        step = f"stp{writer}-{number}"
        await store.reserve(Call(step, owner, risk=1, epoch=10**9, agent_limit=10**9).reservation())
        tell("step", step)
        if number % 2:
            await store.settle(settled(step))
            tell("done", step)
        if number % 5 == 0:
            order = f"ord{writer}-{number}"
            await store.append_kill(kill(order, Scope(ScopeKind.SESSION, "other")))
            tell("kill", order)


async def main(kind: str, where: str) -> None:
    """Write until killed."""
    store = STORES[kind](where)
    await store.open()
    await asyncio.gather(*(write_for_ever(store, writer) for writer in range(WRITERS)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
