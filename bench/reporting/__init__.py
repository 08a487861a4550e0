"""Makes the report of result files: sections of tables and charts (sections.py), as Markdown and as one HTML page."""
