"""Has Nicotine+ 3.3.11 answer the searches that shares.rs answers, from the same paths and queries.

`shares.py build DIR` puts the paths into share databases of its own making, as its scanner would;
`shares.py search DIR` answers 200 searches a second for 20 s. Its core is a thing to measure against,
never a part of the product. Run it with the Python of `tests/run interop`; shares.rs comes first.
"""

import os
import sys
import time
from collections import defaultdict
from types import SimpleNamespace

SEARCHES_PER_S, SECONDS = 200, 20


def status(name):
    with open("/proc/self/status", encoding="utf-8") as lines:
        return next(int(line.split()[1]) >> 10 for line in lines if line.startswith(name + ":"))


def start(home):
    # The core reads its folders when it is imported.
    from pynicotine.config import config
    from pynicotine.core import core

    config.set_config_file(os.path.join(home, "config"))
    config.set_data_folder(home)
    parts = {"shares", "search", "users", "uploads", "downloads", "buddies", "network_filter",
             "pluginhandler", "statistics", "notifications"}
    core.init_components(enabled_components=parts, isolated_mode=True)
    return core


def build(folder, core):
    from pynicotine.search import TRANSLATE_PUNCTUATION
    from pynicotine.shares import Shares

    began, used = time.time(), time.process_time()
    words, files = defaultdict(list), {}
    with open(os.path.join(folder, "paths"), encoding="utf-8") as paths:
        for number, path in enumerate(paths):
            path = path.rstrip("\n")
            for word in set(path.lower().translate(TRANSLATE_PUNCTUATION).split()):
                words[word].append(number)
            files["/srv/" + path.replace("\\", "/")] = [path, 30_000_000, None, None]
    for name, content in (("words", words), ("public_files", files)):
        database = Shares.create_db_file(core.shares.share_db_paths[name])
        database.update(content)
        database.close()
    for name, path in core.shares.share_db_paths.items():
        if not os.path.exists(path):
            Shares.create_db_file(path).close()
    print(f"built in {time.time() - began:.1f} s, {time.process_time() - used:.1f} s of CPU, at most "
          f"{status('VmHWM')} MB in memory")


def search(folder, core):
    from pynicotine.shares import PermissionLevel

    shares = core.shares
    shares.load_shares(shares.share_dbs, shares.share_db_paths)
    shares.file_path_index = tuple(shares.share_dbs["public_files"])
    core.users.login_username = "bo"
    sent = SimpleNamespace(answers=0, files=0)

    def send(_core, _user, message):
        message.make_network_message()
        sent.answers += 1
        sent.files += len(message.list)

    type(core).send_message_to_peer = send
    assert core.shares.check_user_permission("ada")[0] == PermissionLevel.PUBLIC
    with open(os.path.join(folder, "queries"), encoding="utf-8") as lines:
        queries = [line.rstrip("\n") for line in lines]
    took, began, used = [], time.time(), time.process_time()
    for number in range(SEARCHES_PER_S * SECONDS):
        due = began + number / SEARCHES_PER_S
        time.sleep(max(0, due - time.time()))
        core.search._process_search_request(queries[number % len(queries)], "ada", number)
        took.append((time.time() - due) * 1000)
        # Where it cannot keep up, what it did in twice the time says enough.
        if time.time() - began > 2 * SECONDS:
            break
    took.sort()
    print(f"{len(took)} searches, {sent.answers} answered with {sent.files} files: "
          f"p50 {took[len(took) // 2]:.3f} ms, p99 {took[len(took) * 99 // 100]:.3f} ms, most {took[-1]:.1f} ms; "
          f"{time.process_time() - used:.2f} s of CPU, {status('VmRSS')} MB resident "
          f"({status('RssAnon')} MB without mapped files)")


if __name__ == "__main__":
    verb, folder = sys.argv[1:]
    home = os.path.join(os.path.abspath(folder), "nicotine")
    os.makedirs(home, exist_ok=True)
    {"build": build, "search": search}[verb](folder, start(home))
