"""The WATS storage protocol for Haulier: REST client, backend, reference server and demo."""
