#!/usr/bin/env bash
# Rego tests with coverage, and every suite, on a real OPA.
set -euo pipefail
out=${BUILD:-build}
"$(dirname "$0")/assemble.sh" . "$out/test"
detent policy test --junit "$out/tests.xml" "$out/test"
