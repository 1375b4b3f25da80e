"""A real Soulseek client, driven from a test: the core of Nicotine+ 3.3.11 without its windows.

It is a peer to test against, never a part of the product. How it is told what to do and what it
prints is in client.py. Of its core only what sharing, searching and fetching need is started:
nothing that maps ports, looks for updates or reads a terminal.

Where to go next: process.rs starts it, and so does
crates/loopback/src/soulseek_server/tests/real_clients.rs.
"""

import os
import sys
import tempfile
import threading
import time

from client import address, arguments, say

COMPONENTS = {
    "error_handler",
    "network_thread",
    "shares",
    "users",
    "notifications",
    "network_filter",
    "statistics",
    "search",
    "downloads",
    "uploads",
    "buddies",
    "userbrowse",
    "userinfo",
    "interests",
    "chatrooms",
    "privatechat",
    "pluginhandler",
}
"""Its parts ask each other things, so those that have a say in a transfer come along."""

LAST_WORDS_S = 5
"""Time to log out once nobody wants it any more."""


class Client:
    def __init__(self, args, home):
        # The core reads its folders when it is imported.
        from pynicotine.config import config
        from pynicotine.core import core
        from pynicotine.events import events
        from pynicotine.logfacility import log
        from pynicotine.slskproto import NetworkInterfaces

        self.args, self.core, self.events = args, core, events
        config.set_config_file(os.path.join(home, "config"))
        config.set_data_folder(home)
        # It listens at this address and dials from it, and so looks like a machine of its own. Where
        # it may name a network device it would do that instead, and dial from 127.0.0.1.
        NetworkInterfaces.SO_BINDTODEVICE = None
        core.cli_interface_address, core.cli_listen_port = address(args.listen)
        core.init_components(enabled_components=COMPONENTS, isolated_mode=True)
        config.sections["server"].update(
            server=address(args.server),
            login=args.user,
            passw=args.password,
            upnp=False,
            auto_connect_startup=False,
        )
        shared = args.command == "share"
        config.sections["transfers"].update(
            shared=[("shared", args.dir)] if shared else [],
            rescanonstartup=shared,
            downloaddir=home if shared else args.out,
            incompletedir=os.path.join(home, "incomplete"),
        )
        if args.verbose:
            for level in ("connection", "download", "search", "transfer", "upload"):
                log.add_log_level(level, is_permanent=False)
            events.connect("log-message", lambda _format, text, *_rest: print(text, file=sys.stderr))
        self.scanned = self.logged_in = False
        self.unwanted = threading.Event()
        threading.Thread(target=self.wait_for_the_end, daemon=True).start()
        events.connect("shares-ready", self.on_scanned)
        events.connect("server-login", self.on_login)

    def wait_for_the_end(self):
        sys.stdin.read()
        self.unwanted.set()
        time.sleep(LAST_WORDS_S)
        os._exit(1)

    def on_scanned(self, successful):
        if not successful:
            raise RuntimeError("the folder could not be scanned")
        self.scanned = True

    def on_login(self, message):
        if not message.success:
            raise RuntimeError(f"the server refuses us: {message}")
        self.logged_in = True

    def until(self, done):
        """Lets the client live until something is so."""
        while not done():
            if self.unwanted.is_set():
                raise RuntimeError("nobody waits for this any more")
            if not self.events.process_thread_events():
                raise RuntimeError("the client ended by itself")
            time.sleep(0.02)

    def log_in(self):
        self.core.start()
        self.until(lambda: self.scanned)
        self.core.connect()
        self.until(lambda: self.logged_in)

    def quit(self):
        self.core.quit()
        while self.events.process_thread_events():
            time.sleep(0.02)


# Seconds. A search finds nobody below a parent that has just left the search network.
SEARCH_AGAIN = 5


def share(client):
    client.log_in()
    say("READY")
    client.until(client.unwanted.is_set)


def fetch(client):
    from pynicotine.transfers import TransferStatus

    args, core = client.args, client.core
    offered = {}

    def on_answer(answer):
        if args.source in (None, answer.username):
            offered.update({(answer.username, file[1]): file for file in answer.list or ()})

    client.events.connect("file-search-response", on_answer)
    client.log_in()
    asked_at = -SEARCH_AGAIN

    def found():
        nonlocal asked_at
        if time.monotonic() - asked_at >= SEARCH_AGAIN:
            asked_at = time.monotonic()
            core.search.do_search(args.query, mode="global")
        return len(offered) >= args.count

    client.until(found)
    wanted = list(offered.items())[: args.count]
    for (user, path), (_code, _name, size, _ending, attributes) in wanted:
        core.downloads.enqueue_download(user, path, size=size, file_attributes=attributes)
    for (user, path), (_code, _name, size, *_rest) in wanted:
        transfer = core.downloads.transfers[user + path]
        if args.pause_at is not None:
            client.until(lambda: (transfer.current_byte_offset or 0) >= args.pause_at)
            core.downloads.abort_downloads([transfer])
            say(f"PAUSED {transfer.current_byte_offset}")
            core.downloads.retry_downloads([transfer])
        client.until(lambda: transfer.status == TransferStatus.FINISHED)
        local, _exists = core.downloads.get_complete_download_file_path(user, path, size)
        say(f"DONE {path}\t{local}")


def main():
    args = arguments(__doc__)
    with tempfile.TemporaryDirectory() as home:
        client = Client(args, home)
        try:
            {"share": share, "fetch": fetch}[args.command](client)
        finally:
            client.quit()


# It scans in a process of its own, which reads this file again.
if __name__ == "__main__":
    main()
