"""Telling network and synchronised places from local ones."""

import pytest

from haulier.files import Files
from haulier.files.posix import PosixSystem
from haulier.files.volumes import is_synchronised

MOUNTS = """\
/dev/sda1 / ext4 rw,relatime 0 0
proc /proc proc rw 0 0
server:/export /mnt/nfs nfs4 rw 0 0
//server/share /mnt/with\\040space cifs rw 0 0
/dev/sdb1 /mnt/nfs/local xfs rw 0 0
user@host: /home/me/remote fuse.sshfs rw 0 0
/dev/sdc1 /mnt/hidden ext4 rw 0 0
share /mnt/hidden 9p rw 0 0
broken
"""


@pytest.mark.parametrize(
    ("path", "network"),
    [
        ("/var/lib/state", False),
        ("/mnt/nfs", True),
        ("/mnt/nfs/deep/er", True),
        ("/mnt/nfs/local/state", False),
        ("/mnt/nfsx", False),
        ("/mnt/with space/x", True),
        ("/home/me/remote/x", True),
        ("/mnt/hidden/x", True),
    ],
)
def test_the_table_of_mounts_tells_network_paths(path, network):
    assert Files(PosixSystem(mounts=lambda: MOUNTS)).is_network_path(path) is network


def test_without_a_table_of_mounts_a_path_counts_as_local(tmp_path):
    assert not Files(PosixSystem(mounts=lambda: "")).is_network_path(tmp_path)


def test_this_machine_has_a_table_of_mounts(tmp_path):
    assert PosixSystem().volume_type(str(tmp_path)) != ""


@pytest.mark.parametrize(
    ("path", "synchronised"),
    [
        (r"C:\Users\me\OneDrive\state", True),
        (r"C:\Users\me\OneDrive - Contoso Ltd\state", True),
        (r"C:\Users\me\Dropbox (Work)\x", True),
        (r"C:\Users\me\iCloudDrive\x", True),
        (r"G:\My Drive\state", True),
        (r"C:\Users\me\My Drive\state", False),
        (r"D:\Backup\work\state", True),
        (r"D:\Backup\workshop\state", False),
        (r"C:\ProgramData\OneDriveless\state", False),
    ],
)
def test_windows_folders_of_cloud_services(path, synchronised):
    environ = {"OneDriveCommercial": r"D:\Backup\Work"}
    assert is_synchronised(path, environ, windows=True) is synchronised


@pytest.mark.parametrize(
    ("path", "synchronised"),
    [
        ("/Users/me/Library/CloudStorage/GoogleDrive-me@example.org/x", True),
        ("/Users/me/Library/Mobile Documents/com~apple~CloudDocs/x", True),
        ("/home/me/Dropbox/x", True),
        ("/home/me/dropbox-exporter/x", False),
        ("/home/me/Google Drive/x", True),
    ],
)
def test_other_folders_of_cloud_services(path, synchronised):
    assert is_synchronised(path, {}, windows=False) is synchronised


def test_the_files_port_asks_the_same(tmp_path):
    assert Files(environ={}).is_synchronised_folder(tmp_path / "Dropbox" / "state")
    assert Files(environ={"OneDrive": str(tmp_path)}).is_synchronised_folder(tmp_path / "state")
    assert not Files(environ={}).is_synchronised_folder(tmp_path / "state")
