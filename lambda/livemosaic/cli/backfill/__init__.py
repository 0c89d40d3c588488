"""What a long ingestion has done, so that it can be resumed."""
