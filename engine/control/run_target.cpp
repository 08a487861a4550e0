#include "engine/control/run_target.h"

#include <utility>

#include "engine/clock.h"

namespace engine::control {
namespace {

void write_interfaces(JsonWriter& json, const Capture& capture) {
  json.begin_list("interfaces");
  for (const auto& port : capture.ports()) {
    json.begin_item();
    json.text("interface", port->link().name);
    json.text("mode", port->mode());
    json.unsigned_number("queues", port->lanes().size());
    json.end_item();
  }
  json.end_list();
}

// As it stands: off by what is on its way.
void write_totals(JsonWriter& json, const std::vector<QueueLedger>& queues) {
  json.begin_object("totals");
  for (const auto& [name, value] : ledger_rows(ledger_total(queues))) json.unsigned_number(name, value);
  json.end_object();
}

void write_lists(JsonWriter& json, const Enforcement& lists) {
  const Enforcement::Sizes sizes = lists.sizes();
  json.begin_object("lists");
  json.unsigned_number("blocked_addresses", sizes.addresses);
  json.unsigned_number("blocked_networks", sizes.networks);
  json.unsigned_number("bypassed_flows", sizes.flows);
  json.unsigned_number("rate_limit", lists.rate_limit().max_pps);
  json.end_object();
}

}  // namespace

Target target_of(Run run) {
  Target target;
  const std::uint64_t begin_ns = monotonic_ns();
  target.status = [run, begin_ns](JsonWriter& json) {
    json.real("uptime_s", static_cast<double>(monotonic_ns() - begin_ns) * 1e-9);
    write_interfaces(json, run.capture);
    json.text("filter", run.kernel.filter_text());
    if (const Enforcement* lists = run.kernel.lists()) write_lists(json, *lists);
    write_totals(json, run.ledger());
  };
  target.set_filter = [run](const std::string& text) { return run.kernel.set_filter(text); };
  target.reload = [run] {
    run.reload();
    return std::string();
  };
  target.stop = run.stop;
  target.lists = run.kernel.lists();
  target.now_ns = monotonic_ns;
  return target;
}

}  // namespace engine::control
