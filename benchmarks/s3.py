"""S3: Haulier beside boto3, s5cmd, rclone, awscli and obstore: the same files to the same server, in alternation.

`--server sink` is a server that keeps no content, for what the clients cost; `--server rclone` is `rclone serve s3`,
which writes files.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.files import Workload
from benchmarks.processes import Contestant, Cost, alternate, serving
from benchmarks.programs import CLIENTS, beside_python
from benchmarks.table import report

if TYPE_CHECKING:
    from collections.abc import Sequence

BUCKET, KEY, SECRET = "bench", "bench-key", "bench-secret"
WORKLOADS = ("1x1GiB", "8x128MiB", "2000x64KiB")
LARGE = {"boto3": 0.75, "s5cmd": 0.8, "rclone": 0.5}
BARS = {"1x1GiB": LARGE, "8x128MiB": LARGE, "2000x64KiB": {"boto3": 0.25, "s5cmd": 2.0}}
"""The most that Haulier's wall time is to be of that of others: what it costs on the sink."""
CHECKSUMS = {"sink": "crc64nvme", "rclone": "md5"}
"""What each server compares."""
ACCESS = {
    "AWS_ACCESS_KEY_ID": KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}
CONFIG = """
[upload]
state_dir = {state}
backend = "archive"
max_concurrent_uploads = {threads}

[backends.archive]
type = "s3"
bucket = "{bucket}"
prefix = "haulier"
endpoint_url = "{endpoint}"
addressing_style = "path"
region = "us-east-1"
if_absent = "atomic"
checksum = "{checksum}"
"""


def contestants(endpoint: str, source: Path, home: Path, threads: int, checksum: str) -> list[Contestant]:
    """All that run, each with what it does beside sending."""
    python = sys.executable

    def haulier(number: int) -> Sequence[str]:
        state, config = home / f"state-{number}", home / "haulier.toml"
        shutil.rmtree(state, ignore_errors=True)
        config.write_text(
            CONFIG.format(state=f"'{state}'", threads=threads, bucket=BUCKET, endpoint=endpoint, checksum=checksum)
        )
        return [python, str(CLIENTS / "haulier_send.py"), str(config), str(source)]

    def script(name: str) -> Sequence[str]:
        return [python, str(CLIENTS / name), endpoint, BUCKET, name, str(source), str(threads)]

    target = f"s3://{BUCKET}"
    remote = (
        f":s3,provider=Other,endpoint='{endpoint}',access_key_id={KEY},secret_access_key={SECRET},force_path_style=true"
    )
    return [
        Contestant(
            "haulier",
            haulier,
            "durable queue and receipts; SHA-256 of the file; CRC64NVME, or MD5, of each body; signed but for the body",
            environment=ACCESS,
        ),
        Contestant(
            "boto3", lambda _: script("boto3_threads.py"), "SHA-256 and CRC32 of each body; signed", environment=ACCESS
        ),
        Contestant("obstore", lambda _: script("obstore_put.py"), "SHA-256 of each body; signed", environment=ACCESS),
        Contestant(
            "s5cmd",
            lambda _: [
                *(
                    beside_python("s5cmd"),
                    "--log",
                    "error",
                    "--endpoint-url",
                    endpoint,
                    "--numworkers",
                    str(threads * 4),
                ),
                *("cp", f"{source}/", f"{target}/s5cmd/"),
            ],
            "SHA-256 of each body; signed",
            environment=ACCESS,
        ),
        Contestant(
            "rclone",
            lambda _: [
                *(beside_python("rclone"), "--config", "/dev/null", "copy", "--no-traverse", "--ignore-times"),
                *("--s3-no-check-bucket", "--transfers", str(threads * 4), str(source), f"{remote}:{BUCKET}/rclone"),
            ],
            "MD5 of each part; signed; the object asked for",
        ),
        Contestant(
            "awscli",
            lambda _: [
                *(beside_python("aws"), "--endpoint-url", endpoint, "s3", "cp", "--recursive", "--only-show-errors"),
                *(str(source), f"{target}/awscli"),
            ],
            "SHA-256 and CRC64NVME of each body; signed",
            environment=ACCESS,
        ),
    ]


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


def servers(kind: str, home: Path) -> tuple[Sequence[str], str | None]:
    """The server's command, and its address where it does not print it."""
    if kind == "sink":
        return [sys.executable, "-m", "benchmarks.held_sink"], None
    (home / "served" / BUCKET).mkdir(parents=True)
    address = f"127.0.0.1:{free_port()}"
    keys = f"{KEY},{SECRET}"
    command = (beside_python("rclone"), "serve", "s3", "--addr", address, "--auth-key", keys, "--config", "/dev/null")
    return [*command, str(home / "served")], f"http://{address}"


def measured(
    workload: Workload, arguments: argparse.Namespace, folder: Path
) -> tuple[list[Contestant], dict[str, list[Cost]]]:
    """One workload, all contestants."""
    home = folder / "run"
    workload.make(home / "source")
    command, address = servers(arguments.server, home)

    def clean() -> None:
        for left in (home / "served" / BUCKET).glob("*"):
            shutil.rmtree(left)

    with serving(command, address) as endpoint:
        known = contestants(endpoint, home / "source", home, arguments.threads, CHECKSUMS[arguments.server])
        chosen = [one for one in known if not arguments.only or one.name in arguments.only]
        costs = alternate(chosen, workload, arguments.rounds, home / "log", clean)
    shutil.rmtree(home)
    return chosen, costs


def main() -> None:
    """Run what was asked for and print a table for each workload."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.s3", description=__doc__)
    parser.add_argument("--server", choices=("sink", "rclone"), default="sink")
    parser.add_argument("--workload", action="append", type=Workload.parse, help=f"default: {', '.join(WORKLOADS)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=8, help="uploads at once; s5cmd and rclone take four times that")
    parser.add_argument("--only", action="append", help="run these alone")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="haulier-bench-", dir=Path.cwd()) as name:
        for workload in arguments.workload or map(Workload.parse, WORKLOADS):
            chosen, costs = measured(workload, arguments, Path(name))
            limits = workload.of(BARS) if arguments.server == "sink" else {}
            print(report(f"S3, {workload}, to the {arguments.server}", workload, chosen, costs, limits))


if __name__ == "__main__":
    main()
