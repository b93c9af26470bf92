"""``haulier demo``: everything once, on this machine alone, with proof at the end."""

from __future__ import annotations

import hashlib
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from haulier import Receipt, UploadManager

__all__ = ["demo"]

KILL_STEP = "ledger.save_part:done"
KILL_AT_PASS = 5  # the sidecar is one acknowledged part, then four of the video
KILLED = 137
MIB = 1024 * 1024
PART_SIZE = 512 * 1024

RECORDINGS = (
    ("rdp_123_1729950022_Production_Server_20241026_150022.mp4", 8 * MIB, "rdp_123_1729950022_metadata.json"),
    ("rdp_123_1729950022_Production_Server_20241026_150052.mp4", 3 * MIB, "rdp_123_1729950022_metadata.json"),
    ("rdp_207_1730123456_Servidor_Produção_20241028_105056.mp4", 2 * MIB, "rdp_207_1730123456_metadata.json"),
    ("SRV-APP01_seg001_20251105_091500.avi", MIB, None),
)


@click.command()
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Work here; default: a new folder.")
def demo(folder: Path | None) -> None:
    """Upload sample recordings to a server on this machine, kill one upload on the way, and check what arrived."""
    from haulier_wats.server import ServerSettings, ServerThread, Tokens

    home = folder or Path(tempfile.mkdtemp(prefix="haulier-demo-"))
    home.mkdir(parents=True, exist_ok=True)
    recordings = make_recordings(home / "recordings")
    token = secrets.token_urlsafe(16)
    say(f"Working in {home}")
    with ServerThread(ServerSettings(home / "server", Tokens([token]))) as server:
        say(f"A WATS storage server answers on {server.url}")
        config = write_config(home, f"{server.url}/api", token)
        say(f"\nUploading {len(recordings)} recordings; the process is killed after the first acknowledged parts ...")
        killed_in_mid_upload(config)
        receipts = continue_uploads(config, home / "recordings")
    show(receipts)
    check_store(home / "server" / "recordings", recordings)
    say(f"\nEverything is in {home}: recordings, the server's store, the journal. Look around, then delete it.")


def say(text: str) -> None:
    """Print a line for people."""
    click.echo(text)


def make_recordings(folder: Path) -> dict[str, str]:
    """Write sample recordings with made-up content; SHA-256 by file name."""
    folder.mkdir(parents=True, exist_ok=True)
    digests = {}
    for number, (name, size, sidecar) in enumerate(RECORDINGS):
        content = random.Random(number).randbytes(size)  # noqa: S311  sample content, no secret
        (folder / name).write_bytes(content)
        digests[name] = hashlib.sha256(content).hexdigest()
        if sidecar:
            (folder / sidecar).write_text(json.dumps(sample_metadata(sidecar), indent=1), "utf-8")
    return digests


def sample_metadata(name: str) -> dict[str, Any]:
    """Metadata as WATS writes it."""
    session_id = name.removesuffix("_metadata.json")
    return {
        "session_id": session_id,
        "connection_info": {
            "con_codigo": int(session_id.split("_")[1]),
            "ip": "192.0.2.10",
            "name": "Production Server",
            "user": "administrator",
            "connection_type": "RDP",
            "wats_user": "demo",
        },
        "start_time": "2024-10-26T15:00:22.123456",
        "recorder_settings": {"fps": 10, "quality": 23, "resolution_scale": 1.0},
    }


def write_config(home: Path, base_url: str, token: str) -> Path:
    """Write the configuration that the demo uses, the token in a file of its own."""
    secret = home / "token"
    descriptor = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(token)
    config = home / "haulier.toml"
    config.write_text(
        "[upload]\n"
        'backend = "wats"\n'
        'state_dir = "state"\n'
        f"part_size = {PART_SIZE}\n"
        "max_concurrent_uploads = 1\n"
        "auto_upload = false\n\n"
        "[backends.wats]\n"
        f'base_url = "{base_url}"\n'
        'api_token = "file:token"\n',
        "utf-8",
    )
    return config


def killed_in_mid_upload(config: Path) -> None:
    """Run uploads in a process of their own that ends, as by a power switch, at a named step."""
    folder = config.parent / "recordings"
    victim = subprocess.run(  # noqa: S603  this interpreter, our own module
        [sys.executable, "-m", "haulier_wats.demo", str(config), str(folder)], check=False
    )
    if victim.returncode == 0:
        raise click.ClickException("the upload was to be killed and was not")
    say(f"  killed at step {KILL_STEP} (exit status {victim.returncode})")


def victim(config: str, folder: str) -> None:
    """What the killed process runs."""
    from haulier import UploadManager
    from haulier.service.parts import Ports
    from haulier.testing.steps import StepProxy

    passes = iter(range(1, KILL_AT_PASS + 1))

    def kill(step: str) -> None:
        if step == KILL_STEP and next(passes) == KILL_AT_PASS:
            end_at_once()

    ports = Ports(wrap=lambda name, port: StepProxy(port, name, kill))
    with UploadManager.open(config, ports=ports) as uploads:
        for task in uploads.scan(folder, settled=True)[0]:
            uploads.wait(task, timeout=60)


def end_at_once() -> None:
    """End this process without any cleaning up."""
    if hasattr(signal, "SIGKILL"):
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(KILLED)


def continue_uploads(config: Path, folder: Path) -> list[Receipt]:
    """Go on where the killed process stopped, with live progress."""
    from haulier import UploadManager

    say("\nStarting again: the journal knows what was acknowledged.")
    with UploadManager.open(config) as uploads:
        left = [task for task in uploads.tasks() if task.acknowledged and not task.state.settled]
        for task in left:
            there = f"{task.acknowledged / MIB:.1f} of {task.size / MIB:.1f} MiB"
            say(f"  {Path(task.path).name}: {there} were there already")
        tasks = uploads.scan(folder, settled=True)[0]
        with progress_lines(uploads):
            return [uploads.wait(task, timeout=120) for task in tasks]


def progress_lines(uploads: UploadManager) -> Any:
    """Live bars on a terminal, plain lines elsewhere."""
    from contextlib import contextmanager

    from haulier.events import Event, UploadCompleted, UploadProgress

    @contextmanager
    def plain() -> Iterator[None]:
        def tell(event: Event) -> None:
            if isinstance(event, UploadCompleted):
                say(f"  stored {event.filename}")

        undo = uploads.subscribe(tell)
        yield
        undo()

    @contextmanager
    def live() -> Iterator[None]:
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        columns = (TextColumn("  {task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns) as bars:
            known: dict[str, Any] = {}

            def tell(event: Event) -> None:
                if isinstance(event, UploadProgress):
                    if event.task not in known:
                        known[event.task] = bars.add_task(event.filename, total=event.total)
                    bars.update(known[event.task], completed=min(event.acknowledged, event.total * 99 // 100))
                elif isinstance(event, UploadCompleted) and event.task in known:
                    bars.update(known[event.task], completed=event.size, total=event.size)

            undo = uploads.subscribe(tell)
            yield
            undo()

    terminal = sys.stdout is not None and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return live() if terminal else plain()


def show(receipts: list[Receipt]) -> None:
    """Print what the receipts say."""
    say("\nReceipts:")
    for receipt in receipts:
        say(f"  {Path(receipt.source).name}")
        say(f"    stored at {receipt.location}, {receipt.size} bytes, proof: {receipt.proof}")
        say(f"    sha256 {receipt.sha256}")


def check_store(store: Path, expected: dict[str, str]) -> None:
    """Read every stored recording back and compare it with its source.

    Raises:
        click.ClickException: Something is missing, doubled or different.
    """
    found: dict[str, list[str]] = {}
    for path in store.rglob("*"):
        if path.suffix in {".mp4", ".avi"}:
            found.setdefault(path.name, []).append(hashlib.sha256(path.read_bytes()).hexdigest())
    if found != {name: [digest] for name, digest in expected.items()}:
        raise click.ClickException(f"the store does not hold what was sent: {sorted(found)}")
    say(f"\nThe store was read back: {len(found)} recordings, each there once, byte for byte.")


if __name__ == "__main__":
    victim(*sys.argv[1:3])
