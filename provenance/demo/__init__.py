"""The demonstration: a can of infant formula from New Zealand farms to a shop in Hangzhou.

`story/` holds it as data: EPCIS 2.0 documents, and `story.json` with the parties and the order of
the uploads. `telling` sends it through the real client over HTTP. Companies, numbers and places of
business are made up; the GS1 prefix 952 is the one that GS1 sets aside for examples.
"""
