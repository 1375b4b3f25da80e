"""A real Soulseek client, driven from a test: aioslsk 1.7.1 sharing or fetching through a server.

It is a peer to test against, never a part of the product. How it is told what to do and what it
prints is in client.py. It cannot bind an address: it listens on all of them and dials from the
machine's default, so that every user of it is 127.0.0.1.

Where to go next: process.rs starts it, and so does
crates/loopback/src/soulseek_server/tests/real_clients.rs.
"""

import asyncio
import sys
import tempfile

from aioslsk.client import SoulSeekClient
from aioslsk.commands import PrivateMessageCommand
from aioslsk.events import PrivateMessageEvent
from aioslsk.settings import (
    CredentialsSettings,
    ListeningSettings,
    NetworkSettings,
    PeerSettings,
    ServerSettings,
    Settings,
    SharedDirectorySettingEntry,
    SharesSettings,
    UpnpSettings,
)
from aioslsk.transfer.state import TransferState

from client import address, arguments, say


def settings(args, folder, downloads):
    host, port = address(args.server)
    shared = [SharedDirectorySettingEntry(path=folder)] if folder else []
    return Settings(
        credentials=CredentialsSettings(username=args.user, password=args.password),
        network=NetworkSettings(
            server=ServerSettings(hostname=host, port=port),
            # Port 0 means no obfuscated port; UPnP would leave the machine.
            listening=ListeningSettings(
                port=address(args.listen)[1], obfuscated_port=args.obfuscated
            ),
            peer=PeerSettings(obfuscate=args.obfuscated != 0),
            upnp=UpnpSettings(enabled=False),
        ),
        shares=SharesSettings(scan_on_start=False, download=downloads, directories=shared),
    )


async def share(args):
    with tempfile.TemporaryDirectory() as downloads:
        client = SoulSeekClient(settings(args, args.dir, downloads))
        await client.start()
        await client.login()
        await client.shares.scan()
        say("READY")
        await asyncio.to_thread(sys.stdin.read)
        await client.stop()


# Seconds. A search finds nobody below a parent that has just left the search network.
SEARCH_AGAIN = 5


async def found(client, args):
    while True:
        request = await client.searches.search(args.query)
        try:
            return await asyncio.wait_for(answers(request, args), SEARCH_AGAIN)
        except asyncio.TimeoutError:
            pass


async def fetch(args):
    client = SoulSeekClient(settings(args, None, args.out))
    await client.start()
    await client.login()
    try:
        transfers = [
            await client.transfers.download(user, path) for user, path in await found(client, args)
        ]
        for transfer in transfers:
            if args.pause_at is not None:
                await paused_and_resumed(client, transfer, args.pause_at)
            await completed(transfer)
            say(f"DONE {transfer.remote_path}\t{transfer.local_path}")
    finally:
        await client.stop()


async def chat(args):
    client = SoulSeekClient(settings(args, None, tempfile.gettempdir()))
    heard = asyncio.Queue()

    async def hear(event):
        await heard.put((event.message.user.name, event.message.message))

    client.events.register(PrivateMessageEvent, hear)
    await client.start()
    await client.login()
    try:
        await client.execute(PrivateMessageCommand(args.source, args.text))
        for _ in range(args.count):
            user, text = await heard.get()
            say(f"HEARD {user}\t{text}")
    finally:
        await client.stop()


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


async def paused_and_resumed(client, transfer, at):
    while transfer.bytes_transfered < at:
        await asyncio.sleep(0.005)
    await client.transfers.pause(transfer)
    say(f"PAUSED {transfer.bytes_transfered}")
    await client.transfers.queue(transfer)


async def completed(transfer):
    lost = (TransferState.FAILED, TransferState.ABORTED)
    while transfer.state.VALUE != TransferState.COMPLETE:
        if transfer.state.VALUE in lost:
            raise RuntimeError(f"{transfer.remote_path}: {transfer.state.VALUE.name}")
        await asyncio.sleep(0.05)


async def leashed(work):
    """Does the work, but no longer than whoever wants it is there."""
    task = asyncio.create_task(work)
    asyncio.get_running_loop().add_reader(sys.stdin, task.cancel)
    await task


if __name__ == "__main__":
    ARGS = arguments(__doc__)
    COMMANDS = {"share": share, "fetch": fetch, "chat": chat}
    WORK = COMMANDS[ARGS.command](ARGS)
    asyncio.run(WORK if ARGS.command == "share" else leashed(WORK))
