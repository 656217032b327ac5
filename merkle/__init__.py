"""Merkle trees, signed checkpoints and a verifiable map: hashes, not products.

A pure library on the standard library alone. Modules: `hashing` leaf, node, empty tree · `tree`
roots at any size · `proofs` inclusion and consistency · `tiles` the log as static files · `note`
text signed under several names · `checkpoint` origin, size, root · `cosignature` what a witness
states · `policy` when enough have · `receipt` one file that proves an entry offline · `keymap` a
key's value, or its absence · `errors`. Signature functions, clocks and file access arrive as
arguments.
"""
