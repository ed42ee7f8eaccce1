#!/usr/bin/env bash
# What OPA accepts and a reviewer overlooks: a deny that a missing argument disarms, and the like.
set -euo pipefail
here=$(dirname "$0")
out=$("$here/out.sh")
"$here/assemble.sh" . "$out/lint"
detent policy lint "$out/lint"
