"""The engine beside its peers: the same traffic on the same machine in one run, medians with their spread.

usage: bench/peers/run live|offline [options]; --help of each lists them. Live needs root. bench/README.md explains.
"""

import argparse
import os
import pathlib
import signal
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from common import results  # noqa: E402
from peers import live, offline, table  # noqa: E402

# Not round: the sender's bursts of 64 must not keep step with the kernel's tick (every 4 ms at 250 Hz), by which softirq
# time is counted. At 200,000 they fall on two phases of it, and anything from nothing to all came out; here on 160.
CPU_RATES_PPS = [200_900, 1_000_900]


def parsed(arguments):
    parser = argparse.ArgumentParser(prog="bench/peers/run", description="The engine beside its peers.")
    kinds = parser.add_subparsers(dest="kind", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--rounds", type=positive, default=5)
    common.add_argument("--build", type=lambda text: pathlib.Path(text).resolve(), default=HERE.parent.parent / "build")
    common.add_argument("--only", type=lambda text: text.split(","), help="these contestants, comma separated")
    common.add_argument("--json", type=pathlib.Path, help="write the results here too")
    common.add_argument("--quiet", action="store_true", help="do not say what is being measured")
    on_veth = kinds.add_parser("live", parents=[common], help="receivers on veth")
    on_veth.add_argument("--what", type=lambda text: text.split(","), default=["rate", "cpu", "memory"],
                         help="of rate,cpu,memory; default all")
    on_veth.add_argument("--flows", type=positive, default=10_000)
    on_veth.add_argument("--seconds", type=float, default=2.0, help="that each run sends")
    on_veth.add_argument("--cpu-rates", type=lambda text: [positive(rate) for rate in text.split(",")],
                         default=CPU_RATES_PPS, help="packets/s at which CPU time is taken")
    on_veth.add_argument("--realtime", action="store_true",
                         help="sender and receivers at real-time priority, all sleeping when idle: on a shared machine")
    on_file = kinds.add_parser("offline", parents=[common], help="readers of a capture file")
    on_file.add_argument("--packets", type=positive, default=10_000_000, help="in the file (3.4 GB for 10 million)")
    on_file.add_argument("--slow-share", type=positive, default=50, help="tshark's file has this part of the packets")
    return parser.parse_args(arguments)


def positive(text):
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1")
    return int(text)


def main(arguments):
    options = parsed(arguments)
    if options.kind == "live" and os.geteuid() != 0:
        sys.exit("bench/peers: needs root for network namespaces and AF_XDP")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench/peers: ended by SIGTERM"))  # as by Ctrl-C: all is put back
    options.say = (lambda _: None) if options.quiet else lambda text: print(text, file=sys.stderr, flush=True)
    document = (live if options.kind == "live" else offline).run(options)
    print(table.render(document))
    if options.json:
        results.write(options.json, document)


if __name__ == "__main__":
    main(sys.argv[1:])
