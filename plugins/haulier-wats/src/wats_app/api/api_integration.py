"""Names of :mod:`haulier_wats.compat.api_integration`."""

from haulier_wats.compat.api_integration import ApiIntegrationManager
from haulier_wats.compat.upload_client import RecordingUploadClient
from haulier_wats.compat.upload_manager import UploadManager, UploadStatus, UploadTask

__all__ = ["ApiIntegrationManager", "RecordingUploadClient", "UploadManager", "UploadStatus", "UploadTask"]
