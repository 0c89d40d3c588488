"""Which assets of scenes show together: combinations of assets that cells keep."""
