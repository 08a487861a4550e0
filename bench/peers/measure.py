"""One run of one receiver, and what is found by several: its loss-free rate, CPU time a packet, memory.

A rate counts only if the receiver got every frame that was sent and veth refused none.
"""

import dataclasses
import signal

from peers import processes

# The search ends when the best rate without loss is known to so much.
RATE_PRECISION = 0.03
LOWEST_RATE_PPS = 20_000
WARM_UP_PPS = 100_000
MOST_LOST = 0.01
FULL_SPEED_ATTEMPTS = 8


@dataclasses.dataclass
class Bench:
    lab: object
    engine: object  # the binary, which is the generator too
    traffic: dict
    seconds: float  # that the sender sends

    def send(self, **how):
        sent = self.lab.send(self.engine, self.traffic, **how)
        sent["refused"] = sent["not_taken"]["tx_dropped"]
        return sent


def run(bench, receiver, wait, rate_pps=0):
    """Sends for the bench's seconds; the receiver's words, the sender's, and what it cost from the moment at which it has
    seen all flows, and has done what belongs to its start, until it is idle."""
    with receiver.start(bench.lab, wait, bench.traffic["flows"]):
        before = warm_up(bench, receiver)
        own, machine = processes.process_cpu(receiver.pid), processes.machine_cpu()
        worker = receiver.worker_cpu()
        sent = bench.send(seconds=bench.seconds, rate_pps=rate_pps)
        receiver.await_idle()
        spent = processes.process_cpu_since(own, processes.process_cpu(receiver.pid))
        spent["worker"] = receiver.worker_cpu() - worker
        around = {key: value - machine[key] for key, value in processes.machine_cpu().items()}
        figures = receiver.end()
    figures["received"] -= before
    figures |= {"sent": sent["sent"], "pps": sent["sent"] / sent["seconds"], "spent": spent, "around": around,
                "lost": sent["sent"] - figures["received"], "refused": sent["refused"], "seconds": sent["seconds"]}
    if figures.get("unaccounted"):
        raise SystemExit(f"{receiver.name}: {figures['unaccounted']} frames are unaccounted for")
    return figures


def warm_up(bench, receiver):
    """Sends what makes all flows; how many packets that was."""
    sent = bench.send(packets=2 * bench.traffic["flows"], rate_pps=WARM_UP_PPS)["sent"]
    receiver.await_idle()
    return sent


def loss_free(bench, receiver, wait):
    """The figures of the fastest run without loss: at full speed, else the highest rate that a bisection finds.

    Full speed is tried often, and each other rate twice, because on a shared machine a core can be taken away for longer
    than any ring holds frames: that would measure the machine's pauses."""
    def attempt(rate_pps, times):
        worst = None
        for _ in range(times):
            figures = run(bench, receiver, wait, rate_pps)
            if figures["lost"] == 0 and figures["refused"] == 0:
                return figures
            if worst is None or figures["received"] > worst["received"]:
                worst = figures
        return worst

    figures = attempt(0, FULL_SPEED_ATTEMPTS)
    if figures["lost"] == 0 and figures["refused"] == 0:
        return figures
    best, low, high = None, 0.0, figures["pps"]
    rate_pps = min(0.97 * high, figures["received"] / figures["seconds"])
    while high > low * (1 + RATE_PRECISION) and high > LOWEST_RATE_PPS:
        figures = attempt(rate_pps, 2)
        if figures["lost"] == 0 and figures["refused"] == 0:
            best, low = figures, rate_pps
        else:
            high = rate_pps
        rate_pps = (low + high) / 2 if low else high * 0.85
    return best


def cost(bench, receiver, rate_pps):
    """CPU time per received packet at a rate, sleeping when idle: of the first of three runs without loss, else of the
    one that lost least, which "lost" tells; None if that was more than a hundredth of what was sent.

    Of the receiver's process it is exact. The softirq time of all CPUs is what the kernel's receive work cost, most of it
    on the sender's core; "machine" is everything that was busy, the sender included. Both are sampled by ticks, and hold
    what else ran on the machine."""
    best = None
    for _ in range(3):
        figures = run(bench, receiver, "poll", rate_pps)
        if best is None or figures["lost"] < best["lost"]:
            best = figures
        if best["lost"] == 0:
            break
    return per_packet(best) if best["lost"] <= MOST_LOST * best["sent"] else None


def per_packet(figures):
    packets, spent, around = figures["received"], figures["spent"], figures["around"]
    return {"cpu_ns_per_packet": spent["total"] / packets, "worker_ns_per_packet": spent["worker"] / packets,
            "user_ns_per_packet": spent["user"] / packets, "kernel_ns_per_packet": spent["kernel"] / packets,
            "softirq_ns_per_packet": around["softirq"] / packets,
            "cpu_and_softirq_ns_per_packet": (spent["total"] + around["softirq"]) / packets,
            "machine_ns_per_packet": around["busy"] / packets, "lost": figures["lost"]}


def transport_cost(bench, rate_pps):
    """The same with nobody receiving: the sender, veth, and a stack that throws the packets away."""
    machine = processes.machine_cpu()
    sent = bench.send(seconds=bench.seconds, rate_pps=rate_pps)
    around = {key: value - machine[key] for key, value in processes.machine_cpu().items()}
    return {"softirq_ns_per_packet": around["softirq"] / sent["sent"],
            "machine_ns_per_packet": around["busy"] / sent["sent"]}


def memory(bench, receiver, overfill_packets):
    """What it holds, once it has seen traffic; and how many packets its buffers take: as many as still arrive when it
    was stopped while they were sent. None if it lost packets before it was stopped, time and again."""
    for _ in range(3):
        with receiver.start(bench.lab, "poll", bench.traffic["flows"]):
            before = warm_up(bench, receiver)
            receiver.process.send_signal(signal.SIGSTOP)
            bench.send(packets=overfill_packets)
            receiver.process.send_signal(signal.SIGCONT)
            receiver.await_idle()
            now = processes.memory(receiver.pid)
            held = receiver.end()["received"] - before
        if held > 0:
            buffers = receiver.buffer_bytes + now["rings"]
            return {"buffer_bytes": buffers, "other_bytes": now["pss"] - buffers, "memory_bytes": now["pss"],
                    "buffer_packets": held, "buffer_bytes_per_packet": buffers / held}
    return None
