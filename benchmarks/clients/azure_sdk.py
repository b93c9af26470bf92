"""`upload_blob` of Azure's SDK in threads: ACCOUNT_URL KEY CONTAINER PREFIX FOLDER THREADS md5|nothing."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from azure.storage.blob import BlobServiceClient

url, key, container, prefix, folder, threads, checks = sys.argv[1:]
name = url.rpartition("/")[2]
service = BlobServiceClient(url, credential={"account_name": name, "account_key": key})
files = sorted(Path(folder).iterdir())


def send(path: Path) -> None:
    blob = service.get_blob_client(container, f"{prefix}/{path.name}")
    with path.open("rb") as stream:
        blob.upload_blob(
            stream,
            length=path.stat().st_size,
            overwrite=True,
            max_concurrency=max(1, int(threads) // len(files)),
            validate_content=checks == "md5",
        )


with service, ThreadPoolExecutor(int(threads)) as pool:
    for sent in [pool.submit(send, path) for path in files]:
        sent.result()
