#!/usr/bin/env bash
# plain.sh SOURCE: refuse a checkout whose policies are more than plain files in folders, with plain names.
# A link in them could lead what is copied, or written, anywhere.
set -euo pipefail
export LC_ALL=C
policy=${1:?a checkout of this repository}/policy
if [[ -L $policy || ! -d $policy ]]; then
  echo "policy is no folder" >&2
  exit 2
fi
odd=$(find "$policy" \( ! -type f ! -type d -o -name '*[!A-Za-z0-9._-]*' \) -print -quit)
if [[ -n $odd ]]; then
  echo "policy holds a link, a device, or a name with other characters than A-Z a-z 0-9 . _ -" >&2
  exit 2
fi
