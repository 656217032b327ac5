"""Labels: GS1 keys, GS1 Digital Link URIs and QR symbols. Knows nothing of events or databases."""
