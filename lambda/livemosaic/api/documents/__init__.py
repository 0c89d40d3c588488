"""Documents for map clients: XML by templates, and what they state about a mosaic."""
