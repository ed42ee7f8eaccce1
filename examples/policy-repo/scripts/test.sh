#!/usr/bin/env bash
# Rego tests with coverage, and every suite, on a real OPA.
set -euo pipefail
here=$(dirname "$0")
out=$("$here/out.sh")
"$here/assemble.sh" . "$out/test"
rm -f "$out/tests.xml"
detent policy test --junit "$out/tests.xml" "$out/test"
