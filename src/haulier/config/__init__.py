"""Configuration: its models, the layers it comes from, and secrets."""
