"""Bounds of a mosaic that shrink after a scene left, and never lack a scene.

Bounds grow before a scene is written (`Mosaics.grow`), by writers who know the mosaic as it was
seconds ago. So one of them may write a scene that lies within the bounds it knows, and not within
the ones that have been fitted since. No condition on the mosaic's row is part of a scene's
transaction: the row would be hot, and each scene would cost more. Instead:

1. A fit is announced in the mosaic's row and the registry (`Mosaics.announce_fit`).
2. All scenes are looked for as of now (`survey`).
3. Bounds are what was found, and what writers have added to the fit meanwhile (`put_fitted`).

A writer looks into the registry after its scenes are written, as it does anyway
(`ingest.subscriptions.Subscribers.reconcile`). Where it finds a fit that it did not know before, it
reads the mosaic, and extends its bounds and the fit. So of a scene written after step 1 began to be
true for all, its writer knows; one written before is found in step 2. Where the writer dies in
between, the message comes again, finds the scene written, and compares it with the bounds.

Readers look for scenes within the reach of a mosaic, which never shrinks: bounds are for
descriptions. Until the message is done that brought it, a scene may lie outside of them.
"""
