"""Use case: a whole archive becomes a table at once, by files that DynamoDB imports.

An import takes rows in no order, and of two rows with one key it keeps any. So each key is written
once, in steps over units of some thousand rows of stac-geoparquet, which run in parallel:

1. *survey* (each unit): makes the scenes of its Items, and notes their versions, by shards of their
   keys, and what their mosaics learn of them.
2. *settle* (each shard): finds the changes whose scene has a newer one.
3. *fold*: goes through the units in order, for what each mosaic knows where each unit begins.
4. *write* (each unit): makes the scenes again, now as of what is known, and writes the rows of the
   ones that no other is newer than.
5. *finish*: adds up.

A step writes objects whose names follow from its unit or shard: repeated, it writes the same.
"""
