"""Overview cells written as COGs: block by block, bytes in and bytes out, without I/O.

`profile` describes a cell, `cell` writes one, `stored` reads one. `halving` makes overviews,
`codec` turns a block into bytes and back, `header` and `keys` write the TIFF's directories.
"""
