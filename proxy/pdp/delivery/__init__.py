"""Bundles that travel: built, signed, verified, pulled, kept, and watched in the shadow."""
