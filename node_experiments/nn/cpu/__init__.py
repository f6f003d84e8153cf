"""Modules written for speed on CPUs, each equivalent to a plain one."""
