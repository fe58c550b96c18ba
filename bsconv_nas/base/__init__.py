"""What every room may use: units, files, TOML checked by pydantic, limits, packaged files."""
