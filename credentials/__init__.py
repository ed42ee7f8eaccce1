"""Credential brokers: one narrow credential for one call, gone when the call is over.

Imports nothing of the gateway: a broker takes a plain LeaseRequest and knows no agents, no policy.
"""
