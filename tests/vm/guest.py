"""The engine in a guest, and the kernel functions that say which way its frames went."""

import itertools
import json
import shlex

# net/xdp/xsk.c: __xsk_rcv_zc puts a descriptor of a frame that lies in the UMEM into the RX ring; the NIC wrote it there,
# or __xsk_rcv copied it there first. xsk_generic_rcv gives it an skb to copy from.
PROBES = {"delivered": "__xsk_rcv_zc", "copied": "__xsk_rcv", "generic": "xsk_generic_rcv"}
READY_TIMEOUT_S = 60
NUMBERS = itertools.count()


def set_probes(machine):
    lines = "".join(f"echo 'p:vm/{name} {function}' >>/sys/kernel/tracing/kprobe_events\n"
                    for name, function in PROBES.items())
    machine.sh(f"set -e\n{lines}echo 1 >/sys/kernel/tracing/events/vm/enable")


def probe_counts(machine):
    """Hits since the machine was started; frames that a probe missed would count as not seen, so there must be none."""
    counts = {}
    for line in machine.sh("cat /sys/kernel/tracing/kprobe_profile").splitlines():
        name, hits, missed = line.split()
        assert int(missed) == 0, line
        counts[name] = int(hits)
    assert counts.keys() == PROBES.keys()
    return counts


class Probed:
    """The hits of each probe while the block ran."""

    def __init__(self, machine):
        self.machine = machine
        self.hits = {}

    def __enter__(self):
        self.before = probe_counts(self.machine)
        return self.hits

    def __exit__(self, *_):
        after = probe_counts(self.machine)
        self.hits.update({name: after[name] - self.before[name] for name in after})


class Engine:
    """A run of the engine in the guest, in the background."""

    def __init__(self, machine, *options, wait_for="ready"):
        self.machine = machine
        self.files = f"/run/engine{next(NUMBERS)}"
        words = shlex.join(("engine", "--output", "none", "--summary", f"{self.files}.json", *map(str, options)))
        machine.sh(f"""cd /run
            ( {words} </dev/null >{self.files}.out 2>{self.files}.err & echo $! >{self.files}.pid
              wait $!; echo $? >{self.files}.status ) >/dev/null 2>&1 &
            until [ -s {self.files}.pid ]; do :; done""")
        self.pid = int(machine.sh(f"cat {self.files}.pid"))
        if wait_for and not self.says(wait_for):
            raise machine.failure(f"the engine did not say '{wait_for}':\n{self.log()}")

    def says(self, text, timeout_s=READY_TIMEOUT_S):
        """Waits for the text on its standard error; False if it ended, or the time was up, without it."""
        return self.machine.run(f"""for try in $(seq {timeout_s * 10}); do
              grep -qF {shlex.quote(text)} {self.files}.err && exit 0
              [ -e {self.files}.status ] && break
              sleep 0.1
            done
            grep -qF {shlex.quote(text)} {self.files}.err""", timeout_s=timeout_s * 3)[0] == 0

    def log(self):
        return self.machine.sh(f"cat {self.files}.err")

    def ended(self, timeout_s=30):
        """Its exit status once it has ended; None if it has not by then."""
        out = self.machine.sh(f"""for try in $(seq {timeout_s * 10}); do
              [ -s {self.files}.status ] && break
              sleep 0.1
            done
            cat {self.files}.status 2>/dev/null || true""", timeout_s=timeout_s * 3).strip()
        return int(out) if out else None

    def finish(self):
        """Ends it as Ctrl-C does; returns its summary."""
        self.machine.sh(f"kill -INT {self.pid}")
        status = self.ended()
        if status != 0:
            raise self.machine.failure(f"exit status {status}:\n{self.log()}")
        return self.summary()

    def summary(self):
        return json.loads(self.machine.sh(f"cat {self.files}.json"))


def hash_records(machine, engine_options, send):
    """What a plugin sees of each packet that send() makes arrive: (source port, hash, source of the time stamp)."""
    machine.sh("""cat >/run/hash.lua <<'END'
local seen = engine.record { name = "seen", { "port", "u16" }, { "rss_hash", "u32" }, { "source", "string" } }
function on_packet(p) seen:emit(p.src_port, p.rss_hash, p.ts_source) end
END
        echo 'plugin "hash.lua" { deadline_ms = 5000 }' >/run/hash.conf.lua
        rm -f /run/lines""")  # an emulated processor is slow
    engine = Engine(machine, "--config", "/run/hash.conf.lua", "--take-all", "--output", "/run/lines", *engine_options)
    send()
    assert engine.finish()["totals"]["unaccounted"] == 0
    lines = map(json.loads, machine.sh("cat /run/lines").splitlines())
    records = [(line["port"], line["rss_hash"], line["source"]) for line in lines if line["type"] == "seen"]
    return records, engine.log()


def generate(machine, interface, *options):
    """Sends inside the guest, to the end; returns the generator's report."""
    words = shlex.join(("engine", "gen", "--iface", interface, "--method", "tx", "--json", *map(str, options)))
    return json.loads(machine.sh(f"{words} 2>/run/gen.err || {{ cat /run/gen.err; exit 1; }}", timeout_s=120))


def taken(sent):
    return sent["sent"] - sent["not_taken"]["tx_dropped"]
