#!/usr/bin/env python3
"""What the types of xsk/ forbid: each pair is a line that must compile and one that must not.

The control shows that the line fails for the reason it is about, and not for a missing header or a wrong name; the
compiler's message must also contain the given words.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

HEADERS = """
#include <utility>
#include <vector>
#include "xsk/rx_queue.h"
#include "xsk/socket.h"
#include "xsk/tx_queue.h"
"""

PROLOGUE = """
using namespace xsk;
void use(RxQueue& rx, TxQueue& tx, ProducerRing<std::uint64_t>& fill, ConsumerRing<std::uint64_t>& done, Socket&& socket) {
  (void)rx, (void)tx, (void)fill, (void)done, (void)socket;
"""

# name, what compiles, what must not, words of the error (a pattern)
CASES = [
    ("copy a batch", "auto a = rx.receive(1); auto b = std::move(a);", "auto a = rx.receive(1); auto b = a;",
     "deleted"),
    ("assign a batch", "RxBatch a = rx.receive(1);", "RxBatch a = rx.receive(1); a = rx.receive(1);", "deleted"),
    ("drop a batch unseen", "(void)rx.receive(1);", "rx.receive(1);", "nodiscard"),
    ("read a frame of a batch that is gone", "auto a = rx.receive(1); (void)a[0];", "(void)rx.receive(1)[0];",
     "deleted"),
    ("read a frame of a batch given away", "auto a = rx.receive(1); (void)a[0];",
     "auto a = rx.receive(1); (void)std::move(a)[0];", "deleted"),
    ("make a batch from nothing", "auto a = rx.receive(1);", "RxBatch a(&rx, {});", "private"),
    ("recycle a second time", "auto a = rx.receive(1);", "rx.recycle({});", "private"),
    ("copy a receive queue", "RxQueue& same = rx; (void)same;", "RxQueue other(rx);", "deleted"),
    ("move a receive queue", "RxQueue& same = rx; (void)same;", "RxQueue other(std::move(rx));", "deleted"),
    ("copy slots", "auto a = fill.reserve(1); auto b = std::move(a);", "auto a = fill.reserve(1); auto b = a;",
     "deleted"),
    ("submit slots and keep them", "auto a = fill.reserve(1); fill.submit(std::move(a));",
     "auto a = fill.reserve(1); fill.submit(a);", "rvalue reference"),
    ("submit a number of unwritten slots", "fill.submit(fill.reserve(1));", "fill.submit(1);", "Slots"),
    ("make slots from nothing", "auto a = fill.reserve(1);", "Slots<std::uint64_t> a(&fill, 1);", "private"),
    ("drop slots unseen", "(void)fill.reserve(1);", "fill.reserve(1);", "nodiscard"),
    ("write into a consumed entry", "auto e = done.peek(1); (void)e[0];", "auto e = done.peek(1); e[0] = 1;",
     "assign"),
    ("copy a batch to send", "auto a = tx.reserve(1); auto b = std::move(a);", "auto a = tx.reserve(1); auto b = a;",
     "deleted"),
    ("send a batch and keep it", "auto a = tx.reserve(1); tx.submit(std::move(a));",
     "auto a = tx.reserve(1); tx.submit(a);", "rvalue reference"),
    ("drop a batch to send unseen", "(void)tx.reserve(1);", "tx.reserve(1);", "nodiscard"),
    ("take a frame from the pool", "(void)tx.pool().free();", "const_cast<FramePool&>(tx.pool()).take();", "private"),
    ("give a frame back by hand", "(void)tx.pool().free();",
     "const_cast<FramePool&>(tx.pool()).give(FrameAddress(0), {});", "private"),
    ("take a number for a frame address", "FrameAddress a(1); (void)a;", "FrameAddress a = 1; (void)a;", "conversion"),
    ("take a frame address for a number", "std::uint64_t n = FrameAddress(1).offset_bytes(); (void)n;",
     "std::uint64_t n = FrameAddress(1); (void)n;", "convert|conversion"),
    ("take a number for a queue", "SocketConfig c; c.queue = QueueId(1);", "SocketConfig c; c.queue = 1;", "operator=|overloaded '='"),
    ("add to a queue number", "(void)(QueueId(1) < QueueId(2));", "(void)(QueueId(1) + 1);", r"operator\+|invalid operands"),
    ("copy a socket", "Socket s(std::move(socket));", "Socket s(socket);", "deleted"),
]


class Compiler:
    """Compiles snippets behind the headers, which it compiles once."""

    def __init__(self, command, root, folder):
        self.arguments = [*command, "-std=c++20", "-Wall", "-Wextra", "-Werror", "-I" + root]
        header = pathlib.Path(folder) / "headers.h"
        header.write_text(HEADERS)
        ok, message = self.run(["-x", "c++-header", str(header), "-o", str(header) + ".gch"], "")
        if not ok:
            sys.exit("the headers do not compile:\n" + message)
        self.arguments += ["-include", str(header)]

    def run(self, arguments, source):
        done = subprocess.run([*self.arguments, *arguments], input=source, text=True, capture_output=True,
                              env={"LC_ALL": "C", "PATH": "/usr/local/bin:/usr/bin:/bin"})
        return done.returncode == 0, done.stderr

    def accepts(self, body):
        return self.run(["-fsyntax-only", "-x", "c++", "-"], PROLOGUE + "  " + body + "\n}\n")


def problem_of(compiler, good, bad, words):
    ok, message = compiler.accepts(good)
    if not ok:
        return "the control does not compile:\n" + message
    ok, reason = compiler.accepts(bad)
    if ok:
        return "it compiles: " + bad
    return None if re.search(words, reason) else f"it fails for another reason than '{words}':\n" + reason


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True)
    parser.add_argument("compiler", nargs="+")
    options = parser.parse_args()
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        compiler = Compiler(options.compiler, options.root, folder)
        for name, good, bad, words in CASES:
            problem = problem_of(compiler, good, bad, words)
            failures += problem is not None
            print(("not ok" if problem else "ok") + f" - nobody can {name}" + (f"\n{problem}" if problem else ""))
    print(f"{len(CASES) - failures} of {len(CASES)} refused as they should be")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
