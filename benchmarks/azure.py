"""Azure: Haulier beside `upload_blob` of Azure's SDK in threads: the same files to the same server, in alternation.

`--server sink` is a server that keeps no content, for what the clients cost; `--server azurite` is Azurite, as the
plugin's tests bring it.
"""

from __future__ import annotations

import argparse
import contextlib
import runpy
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.files import Workload
from benchmarks.processes import Contestant, alternate, serving
from benchmarks.programs import CLIENTS
from benchmarks.table import report

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKLOADS = ("1x1GiB", "8x128MiB", "2000x64KiB")
# Azurite's own account, which everybody knows: https://github.com/Azure/Azurite
ACCOUNT, CONTAINER = "devstoreaccount1", "bench"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
AZURITE = Path(__file__).parents[1] / "plugins" / "haulier-azure" / "tests" / "azurite.py"
CONFIG = """
[upload]
state_dir = '{state}'
backend = "archive"
max_concurrent_uploads = {threads}

[backends.archive]
type = "azure"
account_url = "{account}"
container = "{container}"
credential = "env:BENCHMARK_KEY"
prefix = "{prefix}"
"""


def contestants(account: str, source: Path, home: Path, threads: int) -> list[Contestant]:
    """All that run, each with what it does beside sending."""

    def haulier(number: int) -> list[str]:
        config, state = home / "haulier.toml", home / f"state-{number}"
        named = {"account": account, "container": CONTAINER, "prefix": f"haulier-{number}"}
        config.write_text(CONFIG.format(state=state, threads=threads, **named))
        return [sys.executable, str(CLIENTS / "haulier_send.py"), str(config), str(source)]

    def sdk(checks: str) -> list[str]:
        given = (account, KEY, CONTAINER, checks, str(source), str(threads), checks)
        return [sys.executable, str(CLIENTS / "azure_sdk.py"), *given]

    does = "durable queue and receipts; SHA-256 of the file; MD5 of each request; signed; never over another object"
    return [
        Contestant("haulier", haulier, does, environment={"BENCHMARK_KEY": KEY}),
        Contestant("upload_blob, MD5", lambda _: sdk("md5"), "MD5 of each request; signed"),
        Contestant("upload_blob", lambda _: sdk("nothing"), "no checksum; signed"),
    ]


@contextlib.contextmanager
def server(kind: str) -> Iterator[str]:
    """Gives the address of the account, where the container is there."""
    from azure.storage.blob import BlobServiceClient

    running = (
        serving([sys.executable, "-m", "benchmarks.azure_sink"])
        if kind == "sink"
        else runpy.run_path(str(AZURITE))["running"]()
    )
    with running as url:
        account = f"{url}/{ACCOUNT}"
        with BlobServiceClient(account, credential={"account_name": ACCOUNT, "account_key": KEY}) as client:
            client.create_container(CONTAINER)
        yield account


def main() -> None:
    """Run what was asked for and print a table for each workload."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.azure", description=__doc__)
    parser.add_argument("--server", choices=("sink", "azurite"), default="sink")
    parser.add_argument("--workload", action="append", type=Workload.parse, help=f"default: {', '.join(WORKLOADS)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=8, help="uploads at once")
    parser.add_argument("--only", action="append", help="run these alone")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="haulier-bench-", dir=Path.cwd()) as name:
        for workload in arguments.workload or map(Workload.parse, WORKLOADS):
            home = Path(name) / "run"
            workload.make(home / "source")
            with server(arguments.server) as account:
                known = contestants(account, home / "source", home, arguments.threads)
                chosen = [one for one in known if not arguments.only or one.name in arguments.only]
                costs = alternate(chosen, workload, arguments.rounds, home / "log", lambda: None)
            print(report(f"Azure, {workload}, to the {arguments.server}", workload, chosen, costs))
            shutil.rmtree(home)


if __name__ == "__main__":
    main()
