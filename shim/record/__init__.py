"""The record: nothing happens that is not first, durably, here.

Import from the modules: a package that imported them all would make every verb pay for every part.
"""
