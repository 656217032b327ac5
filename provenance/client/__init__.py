"""What a partner runs on its own machine: seal events, upload them, keep the receipts.

Imports domain and crypto only; talks to a platform over HTTP and holds no database.
"""
