#include "tests/bpf/lossy.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>

#include <cerrno>
#include <memory>

#include "bpf/kernel_error.h"
#include "lossy.skel.h"

namespace bpf_test {
namespace {

engine::UniqueFd duplicate(int fd) { return engine::UniqueFd(fcntl(fd, F_DUPFD_CLOEXEC, 3)); }

}  // namespace

Lossy::Lossy(std::uint32_t queues, std::uint32_t lose_queue, lose_at where) {
  const bpf::QuietLibbpf quiet;
  const std::unique_ptr<lossy_bpf, decltype(&lossy_bpf::destroy)> skeleton(lossy_bpf::open(), &lossy_bpf::destroy);
  if (!skeleton) throw bpf::kernel_error("open the lossy program", errno);
  skeleton->rodata->lose_at = where;
  skeleton->rodata->lose_queue = lose_queue;
  bpf_map__set_max_entries(skeleton->maps.root_counts, queues);
  bpf_map__set_max_entries(skeleton->maps.root_sockets, queues);
  for (bpf_map* map : {skeleton->maps.root_now, skeleton->maps.root_block, skeleton->maps.root_block_nets,
                       skeleton->maps.root_bypass, skeleton->maps.root_rates, skeleton->maps.root_slots})
    bpf_map__set_autocreate(map, false);
  for (bpf_program* program : {skeleton->progs.root, skeleton->progs.root_deliver, skeleton->progs.root_pass})
    bpf_program__set_autoload(program, false);
  if (const int error = -lossy_bpf::load(skeleton.get()); error != 0)
    throw bpf::kernel_error("load the lossy program", error);
  fds_.program = duplicate(bpf_program__fd(skeleton->progs.lossy));
  fds_.sockets = duplicate(bpf_map__fd(skeleton->maps.root_sockets));
  fds_.counters = duplicate(bpf_map__fd(skeleton->maps.root_counts));
  data_ = duplicate(bpf_map__fd(skeleton->maps.bss));
}

void Lossy::lose_one() {
  const std::uint32_t zero = 0, one = 1;
  if (bpf_map_update_elem(data_.get(), &zero, &one, BPF_ANY) != 0)
    throw bpf::kernel_error("arm the lossy program", errno);
}

bool Lossy::has_lost() const {
  const std::uint32_t zero = 0;
  std::uint32_t left = 1;
  if (bpf_map_lookup_elem(data_.get(), &zero, &left) != 0) throw bpf::kernel_error("read the lossy program", errno);
  return left == 0;
}

}  // namespace bpf_test
