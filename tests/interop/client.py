"""What the scripts that drive real clients have in common: their command line and how they speak.

    share  prints READY once its folder is scanned, then serves until its standard input closes
    fetch  prints "DONE <remote path>\t<local path>" for each file that came; exits 0 when all did
    chat   says something to a user and prints "HEARD <user>\t<text>" for what is said to it (aioslsk)

Standard input is the leash: when it closes, whoever started the client is gone, and so it goes.
"""

import argparse
import logging


def arguments(about):
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--verbose", action="store_true", help="log to standard error")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("share", "fetch", "chat"):
        command = commands.add_parser(name)
        command.add_argument("--server", required=True, metavar="HOST:PORT")
        command.add_argument("--user", required=True)
        command.add_argument("--password", required=True)
        command.add_argument("--listen", required=True, metavar="HOST:PORT")
        command.add_argument(
            "--obfuscated", type=int, default=0, metavar="PORT", help="aioslsk listens there, too"
        )
        if name == "share":
            command.add_argument("--dir", required=True, help="folder to share")
        elif name == "chat":
            command.add_argument("--to", required=True, dest="source", metavar="USER")
            command.add_argument("--text", required=True, help="what to say")
            command.add_argument("--count", type=int, default=1, help="messages to hear")
        else:
            command.add_argument("--query", required=True)
            command.add_argument("--count", type=int, default=1, help="files to fetch")
            command.add_argument("--out", required=True, help="folder to download to")
            command.add_argument("--from", dest="source", metavar="USER")
            command.add_argument(
                "--pause-at", type=int, metavar="BYTES", help="pause each file there, then resume it"
            )
    args = parser.parse_args()
    logging.basicConfig(level=logging.DEBUG if args.verbose else logging.ERROR)
    return args


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def say(line):
    print(line, flush=True)
