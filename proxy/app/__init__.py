"""Composition root: build.py is the only file that names implementations.

build     settings in, adapters out: the tables of engines, stores, brokers, upstreams
assemble  adapters in, a gateway and the applications of its ports out
gateway   the life of one process: start, reload, halt, drain, stop
servers   both ports in one event loop
identity  who may speak to us: principals, operators, issuers of tokens
policies  bundles: stage, check, test
secrets   what is read from private files and the environment
checks    what `detent check` looks at
"""
