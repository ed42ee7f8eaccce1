#!/usr/bin/env bash
# Every rule of ours is written as `opa fmt` writes it.
set -euo pipefail
"${OPA:-opa}" fmt --fail --list policy
