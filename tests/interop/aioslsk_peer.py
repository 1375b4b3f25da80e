"""A real Soulseek client, driven from a test: aioslsk 1.7.1 sharing or fetching through a server.

It is a peer to test against, never a part of the product. It speaks lines:

    share  prints READY once its folder is scanned, then serves until its standard input closes
    fetch  prints "DONE <remote path>\t<local path>" for each file that came; exits 0 when all did

Where to go next: crates/loopback/src/soulseek_server/tests/aioslsk.rs starts it.
"""

import argparse
import asyncio
import logging
import sys
import tempfile

from aioslsk.client import SoulSeekClient
from aioslsk.settings import (
    CredentialsSettings,
    ListeningSettings,
    NetworkSettings,
    ServerSettings,
    Settings,
    SharedDirectorySettingEntry,
    SharesSettings,
    UpnpSettings,
)
from aioslsk.transfer.state import TransferState


def settings(args, folder, downloads):
    host, port = args.server.rsplit(":", 1)
    shared = [SharedDirectorySettingEntry(path=folder)] if folder else []
    return Settings(
        credentials=CredentialsSettings(username=args.user, password=args.password),
        network=NetworkSettings(
            server=ServerSettings(hostname=host, port=int(port)),
            # Port 0 means no obfuscated port; UPnP would leave the machine.
            listening=ListeningSettings(port=args.listen_port, obfuscated_port=0),
            upnp=UpnpSettings(enabled=False),
        ),
        shares=SharesSettings(scan_on_start=False, download=downloads, directories=shared),
    )


def say(line):
    print(line, flush=True)


async def share(args):
    with tempfile.TemporaryDirectory() as downloads:
        client = SoulSeekClient(settings(args, args.dir, downloads))
        await client.start()
        await client.login()
        await client.shares.scan()
        say("READY")
        await asyncio.to_thread(sys.stdin.read)
        await client.stop()
    return 0


async def fetch(args):
    client = SoulSeekClient(settings(args, None, args.out))
    await client.start()
    await client.login()
    try:
        async with asyncio.timeout(args.timeout):
            request = await client.searches.search(args.query)
            transfers = [
                await client.transfers.download(user, path)
                for user, path in await answers(request, args)
            ]
            for transfer in transfers:
                await completed(transfer)
                say(f"DONE {transfer.remote_path}\t{transfer.local_path}")
    finally:
        await client.stop()
    return 0


async def answers(request, args):
    """The first files offered by the wanted user, once there are enough of them."""
    while True:
        offered = [
            (result.username, item.filename)
            for result in request.results
            if args.source in (None, result.username)
            for item in result.shared_items
        ]
        if len(offered) >= args.count:
            return offered[: args.count]
        await asyncio.sleep(0.05)


async def completed(transfer):
    lost = (TransferState.FAILED, TransferState.ABORTED)
    while transfer.state.VALUE != TransferState.COMPLETE:
        if transfer.state.VALUE in lost:
            raise RuntimeError(f"{transfer.remote_path}: {transfer.state.VALUE.name}")
        await asyncio.sleep(0.05)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--verbose", action="store_true", help="log to standard error")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, action in (("share", share), ("fetch", fetch)):
        command = commands.add_parser(name)
        command.set_defaults(action=action)
        command.add_argument("--server", required=True, metavar="HOST:PORT")
        command.add_argument("--user", required=True)
        command.add_argument("--password", required=True)
        command.add_argument("--listen-port", type=int, required=True)
        if action is share:
            command.add_argument("--dir", required=True, help="folder to share")
        else:
            command.add_argument("--query", required=True)
            command.add_argument("--count", type=int, default=1, help="files to fetch")
            command.add_argument("--out", required=True, help="folder to download to")
            command.add_argument("--from", dest="source", metavar="USER")
            command.add_argument("--timeout", type=float, default=60, help="seconds")
    return parser.parse_args()


if __name__ == "__main__":
    ARGS = arguments()
    logging.basicConfig(level=logging.DEBUG if ARGS.verbose else logging.ERROR)
    sys.exit(asyncio.run(ARGS.action(ARGS)))
