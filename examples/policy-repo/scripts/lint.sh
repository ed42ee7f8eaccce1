#!/usr/bin/env bash
# What OPA accepts and a reviewer overlooks: a deny that a missing argument disarms, and the like.
set -euo pipefail
out=${BUILD:-build}
"$(dirname "$0")/assemble.sh" . "$out/lint"
detent policy lint "$out/lint"
