"""How fast it is, measured beside its ceilings in the same run: `provenance bench`.

Never a test: machines are shared and noisy, so every figure is a median with its range over several
rounds, and beside each stands what the machine can do of the dearest step alone.
"""
