"""Datasets: samples, seeded sets, and CSV or Parquet files."""
