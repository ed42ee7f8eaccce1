"""The ledger: one port, adapters beside it, one contract suite for all."""
