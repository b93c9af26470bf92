"""obstore's `put` of whole files in threads: ENDPOINT BUCKET PREFIX FOLDER THREADS."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import obstore
from obstore.store import S3Store

endpoint, bucket, prefix, folder, threads = sys.argv[1:]
store = S3Store(bucket, endpoint=endpoint, client_options={"allow_http": True}, virtual_hosted_style_request=False)
with ThreadPoolExecutor(int(threads)) as pool:
    for sent in [
        pool.submit(obstore.put, store, f"{prefix}/{path.name}", path) for path in sorted(Path(folder).iterdir())
    ]:
        sent.result()
