"""boto3's `upload_file` in threads: ENDPOINT BUCKET PREFIX FOLDER THREADS."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]

endpoint, bucket, prefix, folder, threads = sys.argv[1:]
client = boto3.client(
    "s3",
    endpoint_url=endpoint,
    config=Config(max_pool_connections=int(threads) * 10, s3={"addressing_style": "path"}),
)
with ThreadPoolExecutor(int(threads)) as pool:
    for sent in [
        pool.submit(client.upload_file, str(path), bucket, f"{prefix}/{path.name}")
        for path in sorted(Path(folder).iterdir())
    ]:
        sent.result()
