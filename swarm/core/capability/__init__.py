"""Who may do what: verbs and roles, grants and their tokens, and the guard of every act.

    verbs    the closed list of acts, and the default table of who may do which
    grant    what a bearer may do, and how that can only become less
    rules    whether a grant covers an act: the one place that knows
    claims   the strict reading of what a token says
    chain    a token's bytes: the MAC over them, and how a caveat is added without a key
    keys     the signing keys, one for each purpose
    mint     new tokens
    guard    a token and an act in; yes, or no with the reason

Pure: reads no file and no clock. Only `chain` and `keys` know the cryptography library.
"""
