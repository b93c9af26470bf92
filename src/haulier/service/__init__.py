"""What :class:`haulier.UploadManager` is made of: state folder, intake, workers, upkeep, disposal."""
