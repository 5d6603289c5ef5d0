"""Who may do what: grants compiled to decisions.

Import from the modules: a package that imported them all would make every verb pay for every part.
"""
