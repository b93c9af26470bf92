"""Names of :mod:`haulier_wats.compat.upload_manager`."""

from haulier_wats.compat.upload_manager import UploadManager, UploadStatus, UploadTask

__all__ = ["UploadManager", "UploadStatus", "UploadTask"]
