"""The audit log as data: entries in a chain, a tree over them, checkpoints, proofs.

    entries      what an entry is in bytes; each chained to the one before
    tree         the Merkle tree over them (RFC 6962): roots, paths, and checking paths
    inspect      reading a whole log for the first entry that is not what was written
    checkpoint   how long the log was, and its root, signed (Ed25519)
    proof        that an entry is in the log of a checkpoint, in a file of its own

Pure: reads no file and no clock. What checks a proof shares no code with what makes one.
"""
