#!/usr/bin/env python3
import sys
print("python", sys.argv[1:])
