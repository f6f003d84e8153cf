"""Modules written for speed on CPUs, each equal to a plain one."""
