"""Names of :mod:`haulier_wats.compat.upload_client`."""

from haulier_wats.compat.upload_client import ProgressFileWrapper, RecordingUploadClient

__all__ = ["ProgressFileWrapper", "RecordingUploadClient"]
