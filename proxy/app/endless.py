"""Work that goes on as long as the process does: when it ends all the same, it begins again."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from proxy.app.refusals import Tell

log = logging.getLogger(__name__)

AGAIN_S = 5.0


async def endless(name: str, work: Callable[[], Coroutine[Any, Any, None]], tell: Tell) -> NoReturn:
    """Do the work until cancelled. An end is logged each time, and people are told once of each.

    `tell` gets the kind of the alert and its message.
    """
    told = ""
    while True:
        task = asyncio.create_task(work())
        try:
            await asyncio.wait((task,))
        finally:
            task.cancel()
        problem = None if task.cancelled() else task.exception()
        ended = f"{name} has ended ({type(problem).__name__}) and begins again"
        log.critical("%s", ended, exc_info=problem)
        if ended != told:
            await asyncio.gather(tell("policy-not-followed", ended), return_exceptions=True)
        told = ended
        await asyncio.sleep(AGAIN_S)
