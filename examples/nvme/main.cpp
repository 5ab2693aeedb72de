// SPDX-License-Identifier: GPL-2.0
//
// nvme: a userspace NVMe driver on VFIO. Reads the whole drive through its own
// queues, prints what it is and the SHA-256 of its contents, and then shows that
// the drive reaches no memory but what was mapped for it.
#include <getopt.h>
#include <nettle/sha2.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>

#include "image_reader.hpp"
#include "isolation.hpp"
#include "nvme.hpp"
#include "pci.hpp"
#include "vfio.hpp"

namespace {

constexpr char kUsage[] =
    "usage: nvme [--depth N] [--group N | --bdf DDDD:BB:DD.F] [--no-isolation]\n"
    "\n"
    "Reads a whole NVMe drive that is bound to vfio-pci; writes nothing to it.\n"
    "\n"
    "  --depth N        commands in flight, 1 to 1023 (32)\n"
    "  --group N        the NVMe controller in IOMMU group N\n"
    "  --bdf ADDRESS    the NVMe controller at this PCI address\n"
    "                   (neither: the only one that is bound to vfio-pci)\n"
    "  --no-isolation   leave the isolation demo out\n";

constexpr int kExitUsage = 2;
constexpr unsigned kMaxDepth = 1023;

struct Options {
  unsigned depth = 32;
  std::optional<int> group;
  std::optional<std::string> bdf;
  bool isolation = true;
};

struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

int parse_number(const char* option, const char* text, int min, int max) {
  int value = 0;
  const char* end = text + std::strlen(text);
  const auto [rest, error] = std::from_chars(text, end, value);
  if (error != std::errc{} || rest != end || value < min || value > max)
    throw UsageError(
        sys::format("%s wants a number from %d to %d, not '%s'", option, min, max, text));
  return value;
}

// Nothing if the help was asked for.
std::optional<Options> parse_options(int argc, char** argv) {
  static const option kOptions[] = {
      {"depth", required_argument, nullptr, 'd'}, {"group", required_argument, nullptr, 'g'},
      {"bdf", required_argument, nullptr, 'b'},   {"no-isolation", no_argument, nullptr, 'n'},
      {"help", no_argument, nullptr, 'h'},        {},
  };
  Options options;
  opterr = 0;
  for (int c; (c = getopt_long(argc, argv, ":h", kOptions, nullptr)) != -1;) {
    switch (c) {
      case 'd':
        options.depth = static_cast<unsigned>(parse_number("--depth", optarg, 1, kMaxDepth));
        break;
      case 'g':
        options.group = parse_number("--group", optarg, 0, 1 << 30);
        break;
      case 'b':
        options.bdf = optarg;
        break;
      case 'n':
        options.isolation = false;
        break;
      case 'h':
        return {};
      case ':':
        throw UsageError(std::string(argv[optind - 1]) + " wants a value");
      default:
        throw UsageError(std::string("unknown option ") + argv[optind - 1]);
    }
  }
  if (optind < argc) throw UsageError(std::string("unexpected argument ") + argv[optind]);
  if (options.group && options.bdf) throw UsageError("--group and --bdf exclude each other");
  return options;
}

class Sha256 {
 public:
  Sha256() { sha256_init(&context_); }

  void add(std::span<const std::byte> bytes) {
    sha256_update(&context_, bytes.size(), reinterpret_cast<const std::uint8_t*>(bytes.data()));
  }

  std::string hex_digest() {
    std::uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(&context_, sizeof(digest), digest);
    std::string text;
    for (const std::uint8_t byte : digest) text += sys::format("%02x", byte);
    return text;
  }

 private:
  sha256_ctx context_;
};

// One line on stderr, rewritten in place.
class ProgressLine {
 public:
  void update(std::uint64_t done, std::uint64_t total) {
    const auto percent = static_cast<int>(done * 100 / total);
    if (percent == shown_) return;
    shown_ = percent;
    std::fprintf(stderr, "\rreading %3d %%  %llu of %llu MiB", percent,
                 static_cast<unsigned long long>(done >> 20),
                 static_cast<unsigned long long>(total >> 20));
  }
  ~ProgressLine() {
    if (shown_ >= 0) std::fputc('\n', stderr);
  }

 private:
  int shown_ = -1;
};

pci::Location find_controller(const Options& options) {
  if (options.bdf) return pci::find_by_bdf(*options.bdf);
  if (options.group) return pci::find_in_group(*options.group);
  return pci::find_only_one();
}

nvme::ImageReader::Report read_image(vfio::Container& container, nvme::Controller& controller,
                                     Sha256& hash) {
  nvme::ImageReader reader(container, controller);
  ProgressLine progress;
  return reader.run([&](auto bytes) { hash.add(bytes); },
                    [&](auto done, auto total) { progress.update(done, total); });
}

bool run(const Options& options) {
  const pci::Location location = find_controller(options);
  vfio::Container container;
  vfio::Group group(location.group);
  container.add(group);
  vfio::Device device(group, location.bdf);
  nvme::Controller controller(container, device, options.depth);

  const auto& identity = controller.identity();
  std::cout << "model: " << identity.model << "\nserial: " << identity.serial
            << "\nfirmware: " << identity.firmware
            << "\ncapacity: " << controller.namespace_info().bytes() << std::endl;

  Sha256 hash;
  const auto report = read_image(container, controller, hash);
  std::cout << "commands: " << report.commands << "\nbytes: " << report.bytes
            << "\ninterrupts: " << report.interrupts
            << "\nseconds: " << sys::format("%.3f", report.seconds)
            << "\nsha256: " << hash.hex_digest() << std::endl;

  return !options.isolation || nvme::IsolationDemo(container, controller, std::cout).run();
}

std::uint64_t locked_kib_needed(const Options& options) {
  const std::uint64_t use =
      std::max(nvme::ImageReader::dma_bytes(options.depth), nvme::IsolationDemo::dma_bytes());
  return (nvme::Controller::dma_bytes(options.depth) + use + 1023) / 1024;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  try {
    const auto parsed = parse_options(argc, argv);
    if (!parsed) {
      std::cout << kUsage;
      return EXIT_SUCCESS;
    }
    options = *parsed;
    return run(options) ? EXIT_SUCCESS : EXIT_FAILURE;
  } catch (const UsageError& error) {
    std::cerr << "nvme: " << error.what() << "\n" << kUsage;
    return kExitUsage;
  } catch (const std::system_error& error) {
    std::cerr << "nvme: " << error.what() << "\n";
    if (error.code() == std::errc::not_enough_memory)
      std::cerr << "nvme: --depth " << options.depth << " needs " << locked_kib_needed(options)
                << " KiB of locked memory: raise the limit (ulimit -l) or lower the depth\n";
  } catch (const std::exception& error) {
    std::cerr << "nvme: " << error.what() << "\n";
  }
  return EXIT_FAILURE;
}
