"""Where everything durable lies: units of work that append events and change rows in one synced transaction.

Import from the modules: a package that imported them all would make every verb pay for every part.
"""
