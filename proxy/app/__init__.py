"""Composition root: build.py names implementations, ledgers.py those of the store.

build     settings in, adapters out: the tables of engines, brokers, upstreams
ledgers   which store the settings name, and its schema
assemble  adapters in, a gateway and the applications of its ports out
gateway   the life of one process: start, reload, halt, drain, stop
servers   both ports in one event loop
recoveries  beside the calls: steps left open are settled, kills finished
identity  who may speak to us: principals, operators, issuers of tokens
policies  bundles: stage, check, test
live_policy  the one in force: reload, promote, roll back, tell
delivered  signed bundles: where from, whose signature, who follows
shadowing  the candidate that is asked beside it
secrets   what is read from private files and the environment
checks    what `detent check` looks at
"""
