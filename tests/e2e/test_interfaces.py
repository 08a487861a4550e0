"""Several interfaces and chosen queues in one run, names, and what plugins' filters leave to the kernel's stack."""

import json
import signal

import pytest

from conftest import ENGINE, finish, ledger, needs_root, refused, sh
from test_reload import Output, events

pytestmark = needs_root()


def second_pair(net, queues):
    n = str(queues)
    sh("ip", "-n", net.cap, "link", "add", "cap1", "numrxqueues", n, "numtxqueues", n, "type", "veth",
       "peer", "name", "gen1", "numrxqueues", n, "numtxqueues", n, "netns", net.gen)
    for namespace, device in ((net.cap, "cap1"), (net.gen, "gen1")):
        sh("ip", "-n", namespace, "link", "set", device, "up")
        sh("ip", "netns", "exec", namespace, "ethtool", "-K", device, "gro", "on")


def generate(net, device, *options):
    done = sh(*net.inside(net.gen, "taskset", "-c", 0, ENGINE, "gen", "--iface", device, "--json", *options))
    return json.loads(done.stdout)


def by_queue(run):
    return {(queue["interface"], queue["queue"]): queue for queue in run["queues"]}


def test_two_interfaces_share_a_worker_and_each_has_its_own_ledger(lab, tmp_path):
    net = lab(queues=2)
    second_pair(net, queues=4)
    written = tmp_path / "packets.pcapng"
    child = net.capture("--iface", "cap1:1,3", "--write", written, "--summary", tmp_path / "summary", "--output",
                        tmp_path / "out")
    first = generate(net, "gen0", "--queues", 2, "--count", 4000, "--rate", 50_000)
    second = generate(net, "gen1", "--queues", 4, "--count", 4000, "--rate", 50_000)
    assert refused(first) == refused(second) == 0
    assert finish(child)[0] == 0
    run = ledger(tmp_path / "summary")
    queues = by_queue(run)
    assert all(queue["unaccounted"] == 0 for queue in run["queues"])
    assert len(run["workers"]) == 1
    for interface, captured, sent in (("cap0", (0, 1), first), ("cap1", (1, 3), second)):
        for queue in sent["queues"]:
            entry = queues[interface, queue["queue"]]
            assert entry["xdp_seen"] == queue["sent"]
            if queue["queue"] in captured:
                assert entry["analysed"] == queue["sent"]
            else:
                assert entry["no_socket"] == queue["sent"] and entry["mode"] == "none"
    interfaces = sh("tshark", "-r", written, "-T", "fields", "-e", "frame.interface_name").stdout.split()
    for interface in ("cap0", "cap1"):
        assert interfaces.count(interface) == sum(entry["analysed"] for (of, _), entry in queues.items() if of == interface)


def test_an_alternative_name_is_the_interface(lab, tmp_path):
    net = lab()
    sh("ip", "-n", net.cap, "link", "property", "add", "dev", "cap0", "altname", "uplink-to-the-left")
    child = net.start(net.cap, ENGINE, "--iface", "uplink-to-the-left", "--duration", 0.2, "--summary",
                      tmp_path / "summary", "--output", "none")
    child.communicate(timeout=30)
    assert child.returncode == 0
    assert ledger(tmp_path / "summary")["queues"][0]["interface"] == "cap0"


@pytest.mark.parametrize("option, written", [("", 4000), ("--capture-only", 1000)])
def test_a_file_gets_also_what_no_plugin_wants_unless_plugins_choose(lab, tmp_path, option, written):
    plugin = tmp_path / "pings.lua"
    plugin.write_text('filter = "icmp" function on_packet(p) p:capture("a ping") end')
    config = tmp_path / "engine.lua"
    config.write_text(f'plugin "{plugin}" {{ deadline_ms = 60000 }}')
    net = lab()
    child = net.capture("--queues", 1, "--config", config, "--write", tmp_path / "out.pcapng", *option.split(),
                        "--output", "none", "--summary", tmp_path / "summary")
    sent = net.generate("--queues", 1, "--method", "tx", "--mix", "udp4=2,tcp4=1,icmp4=1", "--count", 4000, "--rate", 50_000)
    assert refused(sent) == 0
    assert finish(child)[0] == 0, child.log
    run = ledger(tmp_path / "summary")
    assert run["write"]["packets"] == run["totals"]["analysed"] == written
    assert run["totals"]["passed"] == 4000 - written and run["totals"]["unaccounted"] == 0


def test_what_no_plugin_wants_goes_to_the_stack_also_after_a_reload(lab, tmp_path):
    plugin, out = tmp_path / "wants.lua", Output(tmp_path / "out")
    text = 'filter = "{}"\nlocal c = engine.counter {{ name = "c", key = "proto" }}\nfunction on_packet(p) c:add(p) end'
    plugin.write_text(text.format("udp"))
    (tmp_path / "pings.lua").write_text('filter = "icmp" function on_packet(p) end')
    # A minute's deadline: no machine is too busy for that.
    config = tmp_path / "engine.lua"
    config.write_text("".join(f'plugin "{tmp_path}/{name}.lua" {{ deadline_ms = 60000 }}\n' for name in ("wants", "pings")))
    net = lab()
    child = net.capture("--queues", 1, "--config", config, "--output", out.path, "--summary", tmp_path / "summary")

    def send(udp, tcp, icmp):
        sent = net.generate("--queues", 1, "--method", "tx", "--mix", f"udp4={udp},tcp4={tcp},icmp4={icmp}",
                            "--count", 1000 * (udp + tcp + icmp), "--rate", 50_000)
        assert refused(sent) == 0
        return {kind: figures["sent"] for kind, figures in sent["kinds"].items()}

    before = send(1, 2, 1)
    plugin.write_text(text.format("tcp"))
    child.send_signal(signal.SIGHUP)
    out.await_event("kernel_filter_changed", 2)
    assert [event["filter"] for event in events(out.lines(), "kernel_filter_changed")] == [
        "(udp) or (tcp) or (icmp)", "(tcp) or (icmp)"]
    after = send(1, 2, 1)
    assert finish(child)[0] == 0
    run = ledger(tmp_path / "summary")
    queue, figures = run["queues"][0], run["plugins"]
    assert queue["unaccounted"] == 0
    assert queue["redirected"] == before["udp4"] + before["icmp4"] + after["tcp4"] + after["icmp4"]
    assert queue["passed"] == before["tcp4"] + after["udp4"]
    # Nobody gets what another one asked for; what a busy machine had no room for is counted, and lost to one of them.
    assert figures[0]["packets"] + figures[1]["packets"] == queue["analysed"]
    assert queue["analysed"] == queue["redirected"] - queue["rx_ring_full"] - queue["rx_dropped"]
    assert all(figure["missed"] == figure["errors"] == 0 for figure in figures)
