"""What was sent, acknowledged, read and broken, as Parquet tables (:mod:`integrity.history.schema`)."""
