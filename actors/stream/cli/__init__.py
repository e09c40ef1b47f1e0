"""`datapunk stream`: pipelines at the command line."""
