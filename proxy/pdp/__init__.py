"""The policy decision point: OPA, the bundle it serves, the ways to run it."""
