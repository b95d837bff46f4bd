"""Regular languages over Unicode characters, closed under "both" and "not": what strings may be.

`expression` builds them, `derivative` asks them (is this text one of them, are there any),
`pattern` reads them from regular expressions, `lark` writes them down for llguidance.
"""
