#include "bpf/redirect_errors.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>

#include <cerrno>
#include <memory>
#include <numeric>
#include <vector>

#include "bpf/kernel_error.h"
#include "bpf/options.h"
#include "redirect_errors.skel.h"

namespace bpf {

std::optional<RedirectErrors> RedirectErrors::open(std::uint32_t socket_map_id, std::uint32_t queues,
                                                   std::string& reason) {
  const QuietLibbpf quiet;
  const char* const object = "count redirect errors";
  std::string log(1 << 14, '\0');
  Options<bpf_object_open_opts> options;
  options.kernel_log_buf = log.data();
  options.kernel_log_size = log.size();
  const std::unique_ptr<redirect_errors_bpf, decltype(&redirect_errors_bpf::destroy)> skeleton(
      redirect_errors_bpf::open(&options), &redirect_errors_bpf::destroy);
  const auto absent = [&](int error) {
    reason = kernel_error(object, error, log, {}, "cap_perfmon").what();
    return std::nullopt;
  };
  if (!skeleton) return absent(errno);
  skeleton->rodata->socket_map_id = socket_map_id;
  bpf_map__set_max_entries(skeleton->maps.redirect_errors, queues);
  if (const int error = -redirect_errors_bpf::load(skeleton.get()); error != 0) return absent(error);
  engine::UniqueFd link(
      bpf_raw_tracepoint_open("xdp_redirect_err", bpf_program__fd(skeleton->progs.count_redirect_error)));
  if (!link.valid()) return absent(errno);
  engine::UniqueFd counters(fcntl(bpf_map__fd(skeleton->maps.redirect_errors), F_DUPFD_CLOEXEC, 3));
  if (!counters.valid()) return absent(errno);
  return RedirectErrors(std::move(link), std::move(counters));
}

std::uint64_t RedirectErrors::count(std::uint32_t queue) const {
  std::vector<std::uint64_t> by_cpu(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  if (bpf_map_lookup_elem(counters_.get(), &queue, by_cpu.data()) != 0)
    throw kernel_error("read the redirect errors of queue " + std::to_string(queue), errno);
  return std::accumulate(by_cpu.begin(), by_cpu.end(), std::uint64_t{0});
}

}  // namespace bpf
