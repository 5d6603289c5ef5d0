"""Reading and checking the configuration.

Import from the modules: a package that imported them all would make every verb pay for every part.
"""
