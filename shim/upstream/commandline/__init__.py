"""`program`: tools that are calls of a program, each an argv template that the configuration declares."""
