"""Google Cloud Storage as a destination of Haulier."""
