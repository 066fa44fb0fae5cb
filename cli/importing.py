"""Imported first, this keeps Python's garbage collector off while everything else is imported.

Importing makes a hundred thousand objects and throws none away; the collector looks through them again and
again, a fifth of a command's start. Whoever imports this turns it on again: `gc.enable()`.
"""

import gc

gc.disable()
