#!/usr/bin/env bash
# Every rule of ours is written as `opa fmt` writes it.
set -euo pipefail
"$(dirname "$0")/plain.sh" .
"${OPA:-opa}" fmt --fail --list policy
