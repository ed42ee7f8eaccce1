#!/usr/bin/env bash
# Make and print the directory for what these scripts write: $BUILD, or build. A link in its place is
# refused: a branch may hold one that leads anywhere.
set -euo pipefail
out=${BUILD:-build}
if [[ -L $out ]]; then
  echo "$out is a link: remove it" >&2
  exit 2
fi
mkdir -p "$out"
echo "$out"
