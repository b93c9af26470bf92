"""An SFTP server (asyncssh) of one user on a free loopback port, which it prints."""

from __future__ import annotations

import asyncio
import sys

import asyncssh

USER, PASSWORD = "haulier", "hunter2-of-the-tests"


class Access(asyncssh.SSHServer):
    def begin_auth(self, username):
        return True

    def password_auth_supported(self):
        return True

    def validate_password(self, username, password):
        return (username, password) == (USER, PASSWORD)


async def serve(root, port):
    acceptor = await asyncssh.listen(
        "127.0.0.1",
        port,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        server_factory=Access,
        sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=root),
    )
    print(acceptor.get_port(), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0))
