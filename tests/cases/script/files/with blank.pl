#!/usr/bin/env perl
print "perl @ARGV\n";
