"""Makes the report of result files: read (common/results) -> sections of tables and charts -> Markdown and one HTML page."""
