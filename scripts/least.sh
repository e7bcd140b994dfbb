#!/bin/sh
# Runs a command with what all others leave of the processors: setsid sh scripts/least.sh COMMAND…
# Where sessions share the processors alike (autogroup), to be nice counts within a session only, which has another file.
{ echo 19 >/proc/self/autogroup; } 2>/dev/null || true
exec nice -n 19 "$@"
