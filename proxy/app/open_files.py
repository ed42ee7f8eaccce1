"""How many connections there can be: each is an open file, and so is everything else we have."""

import resource

OPERATORS_CONNECTIONS = 100
HEALTH_CONNECTIONS = 50
ATTACH_CONNECTIONS = 10_240  # two of each of 5,000 sidecars, and some for their calls
OTHER_FILES = 500  # ledger, policy engine, servers, alerts, probes


def room_for(connections: int) -> int:
    """Return how many of these connections there can be, after raising our limit of open files.

    When files run out nobody can connect any more, not even the operator who wants to kill.
    """
    others = OPERATORS_CONNECTIONS + OTHER_FILES
    wanted = connections + others
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, soft - others)


def attach_room(agents: int) -> int:
    """Return how many connections of sidecars there can be beside those of so many agents."""
    return max(1, room_for(agents + ATTACH_CONNECTIONS) - agents)
