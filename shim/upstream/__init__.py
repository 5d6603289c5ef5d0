"""Existing sources of tools behind the shim, their sessions and who shares them.

Import from the modules: a package that imported them all would make every verb pay for every part.
"""
