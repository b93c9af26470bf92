"""Azure Blob Storage as a destination of Haulier."""
