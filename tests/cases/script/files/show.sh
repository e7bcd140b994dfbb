#!/bin/sh
printf '<%s>' "$#" "$@"
echo
echo "in $(pwd)"
echo "${A-no A}"
read -r line || echo "no stdin"
echo err >&2
