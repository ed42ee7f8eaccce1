"""Composition root: build.py is the only file that names implementations.

build     settings in, a Gateway out: the tables of engines, stores, brokers, upstreams, sinks
gateway   the life of one process: start, reload, halt, drain, stop
servers   both ports in one event loop
policies  bundles: stage, check, test
"""
