#!/bin/sh
echo going down
exit 5
