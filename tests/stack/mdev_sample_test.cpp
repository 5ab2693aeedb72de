// SPDX-License-Identifier: GPL-2.0
//
// The kernel's sample drivers of mediated devices, driven as a user drives
// them: a serial port, a framebuffer in a region, a framebuffer as a dma-buf.
#include <linux/dma-buf.h>
#include <linux/serial_reg.h>
#include <string.h>

#include "mdev.hpp"

namespace stack {
namespace {

const std::string kUuid = test_uuid(1);

// A device of a type, open.
class Sample : public testing::Test {
 protected:
  void start(const std::string& driver, const std::string& type,
             const std::string& uuid = kUuid) {
    driver_.emplace(driver);
    ASSERT_TRUE(driver_->ok());
    ASSERT_OK(driver_->create(type, uuid));
    uuid_ = uuid;
    session_.emplace(uuid);
    ASSERT_TRUE(session_->ok()) << errno_name(session_->result());
  }

  void TearDown() override {
    session_.reset();
    if (mdev_exists(uuid_)) {
      EXPECT_OK(mdev_remove(uuid_));
    }
    driver_.reset();
  }

  int device() const { return session_->device(); }

  vfio_device_info info() const {
    vfio_device_info info{};
    info.argsz = sizeof info;
    EXPECT_OK(call(device(), VFIO_DEVICE_GET_INFO, &info));
    return info;
  }

  template <class T>
  T read_at(uint64_t offset) const {
    T value{};
    EXPECT_EQ(pread(device(), &value, sizeof value, static_cast<off_t>(offset)),
              static_cast<ssize_t>(sizeof value));
    return value;
  }

  template <class T>
  void write_at(uint64_t offset, T value) const {
    EXPECT_EQ(
        pwrite(device(), &value, sizeof value, static_cast<off_t>(offset)),
        static_cast<ssize_t>(sizeof value));
  }

  std::optional<SampleDriver> driver_;
  std::optional<MdevSession> session_;
  std::string uuid_;
};

// --- mtty ------------------------------------------------------------------

class MdevMtty : public Sample {
 protected:
  void set(unsigned port, unsigned reg, uint8_t value) {
    write_at<uint8_t>(region_info(device(), port).offset + reg, value);
  }
  uint8_t get(unsigned port, unsigned reg) {
    return read_at<uint8_t>(region_info(device(), port).offset + reg);
  }
  // When it is closed, mtty does not give back an eventfd that it has.
  void take_eventfd_back() {
    EXPECT_OK(disable_irqs(device(), VFIO_PCI_INTX_IRQ_INDEX));
  }
};

TEST_F(MdevMtty, LoopsAByteBackWithItsInterrupt) {
  ASSERT_NO_FATAL_FAILURE(start("mtty", "1"));
  EXPECT_EQ(info().flags, uint32_t{VFIO_DEVICE_FLAGS_PCI});
  vfio_region_info config = region_info(device(), VFIO_PCI_CONFIG_REGION_INDEX);
  observe("id", read_at<uint32_t>(config.offset));
  EXPECT_EQ(region_info(device(), 0).size, 8u);
  EXPECT_EQ(region_info(device(), 1).size, 0u) << "a single port";

  Fd irq = make_eventfd();
  ASSERT_OK(set_irq_eventfd(device(), VFIO_PCI_INTX_IRQ_INDEX, irq));
  set(0, UART_FCR, UART_FCR_ENABLE_FIFO);
  EXPECT_FALSE(wait_event(irq, 0)) << "nothing has happened yet";
  EXPECT_EQ(get(0, UART_LSR) & (UART_LSR_DR | UART_LSR_TEMT), UART_LSR_TEMT);
  set(0, UART_IER, UART_IER_RDI);
  set(0, UART_TX, 0x5a);

  auto fired = wait_event(irq, 1000);
  ASSERT_TRUE(fired);
  EXPECT_EQ(*fired, 1u);
  EXPECT_EQ(get(0, UART_IIR) & 0x0f, UART_IIR_RDI);
  EXPECT_EQ(get(0, UART_LSR) & (UART_LSR_DR | UART_LSR_TEMT), UART_LSR_DR);
  EXPECT_EQ(get(0, UART_RX), 0x5a);
  EXPECT_EQ(get(0, UART_LSR) & (UART_LSR_DR | UART_LSR_TEMT), UART_LSR_TEMT);
  EXPECT_EQ(get(0, UART_IIR) & 0x0f, UART_IIR_NO_INT);
  EXPECT_FALSE(wait_event(irq, 0)) << "one interrupt, no more";
  take_eventfd_back();
}

TEST_F(MdevMtty, TwoPortsAndManyBytes) {
  ASSERT_NO_FATAL_FAILURE(start("mtty", "2"));
  EXPECT_EQ(info().num_irqs, unsigned{VFIO_PCI_NUM_IRQS});  // mtty wants it
  Fd irq = make_eventfd();
  ASSERT_OK(set_irq_eventfd(device(), VFIO_PCI_INTX_IRQ_INDEX, irq));
  for (unsigned port : {0u, 1u})
    set(port, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
  const std::string text = "fifteen bytes.,";  // 16 look like none to mtty
  for (char c : text) set(0, UART_TX, static_cast<uint8_t>(c));
  EXPECT_EQ(get(1, UART_LSR) & UART_LSR_DR, 0) << "the other port is its own";
  std::string back;
  while (get(0, UART_LSR) & UART_LSR_DR)
    back += static_cast<char>(get(0, UART_RX));
  EXPECT_EQ(back, text);
  take_eventfd_back();
}

TEST_F(MdevMtty, HasMappingsAndDoesNotMindThem) {
  ASSERT_NO_FATAL_FAILURE(start("mtty", "1"));
  Memory m(4 * kPage);
  const int64_t pins = outstanding_pins();
  EXPECT_OK(map_dma(session_->container(), m.data(), 0, m.size()));
  EXPECT_EQ(outstanding_pins(), pins) << "no IOMMU needs them pinned";
  EXPECT_OK(unmap_dma(session_->container(), 0, m.size()).result);
}

TEST_F(MdevMtty, OpenedAgain) {
  ASSERT_NO_FATAL_FAILURE(start("mtty", "1"));
  for (int i = 0; i < 3; i++) {
    session_.reset();
    session_.emplace(kUuid);
    ASSERT_TRUE(session_->ok()) << errno_name(session_->result());
    EXPECT_EQ(info().num_irqs, unsigned{VFIO_PCI_NUM_IRQS});
  }
}

// --- mdpy ------------------------------------------------------------------

long query_plane(int device, uint32_t flags,
                 vfio_device_gfx_plane_info& plane) {
  plane = {};
  plane.argsz = sizeof plane;
  plane.flags = flags;
  plane.drm_plane_type = 1;  // the primary one
  return call(device, VFIO_DEVICE_QUERY_GFX_PLANE, &plane);
}

constexpr uint32_t kXrgb8888 = 'X' | 'R' << 8 | '2' << 16 | '4' << 24;

class MdevMdpy : public Sample,
                 public testing::WithParamInterface<
                     std::tuple<const char*, uint32_t, uint32_t>> {};

TEST_P(MdevMdpy, AFrame) {
  const auto& [type, width, height] = GetParam();
  ASSERT_NO_FATAL_FAILURE(start("mdpy", type));
  vfio_device_gfx_plane_info plane;
  constexpr uint32_t kProbe = VFIO_GFX_PLANE_TYPE_PROBE;
  EXPECT_OK(query_plane(device(), kProbe | VFIO_GFX_PLANE_TYPE_REGION, plane));
  EXPECT_ERR(EINVAL,
             query_plane(device(), kProbe | VFIO_GFX_PLANE_TYPE_DMABUF, plane));
  ASSERT_OK(query_plane(device(), VFIO_GFX_PLANE_TYPE_REGION, plane));
  EXPECT_EQ(plane.width, width);
  EXPECT_EQ(plane.height, height);
  EXPECT_EQ(plane.stride, width * 4);
  EXPECT_EQ(plane.drm_format, kXrgb8888);

  vfio_region_info region = region_info(device(), plane.region_index);
  ASSERT_GE(region.size, uint64_t{plane.stride} * plane.height);
  ASSERT_TRUE(region.flags & VFIO_REGION_INFO_FLAG_MMAP);
  Memory frame(region.size, PROT_READ | PROT_WRITE, MAP_SHARED, device(),
               static_cast<off_t>(region.offset));
  ASSERT_TRUE(frame.ok());
  // A gradient from black at the top to nearly white at the bottom.
  auto gradient = [&, height = height] {
    for (uint32_t y = 0; y < height; y++)
      for (uint32_t x = 0; x < plane.stride; x++)
        if (*frame.at(uint64_t{y} * plane.stride + x) != y * 255 / height)
          return testing::AssertionFailure() << "line " << y << ", byte " << x;
    return testing::AssertionSuccess();
  };
  EXPECT_TRUE(gradient());
  memset(frame.data(), 0xe7, plane.stride * size_t{height});
  Memory again(region.size, PROT_READ, MAP_SHARED, device(),
               static_cast<off_t>(region.offset));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(memcmp(again.data(), frame.data(), plane.stride * size_t{height}),
            0);
  EXPECT_FALSE(gradient());
  EXPECT_OK(call(device(), VFIO_DEVICE_RESET));
  EXPECT_TRUE(gradient()) << "a reset paints it again";
}

INSTANTIATE_TEST_SUITE_P(All, MdevMdpy,
                         testing::Values(std::tuple("vga", 640, 480),
                                         std::tuple("xga", 1024, 768),
                                         std::tuple("hd", 1920, 1080)),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param));
                         });

// --- mbochs ----------------------------------------------------------------

class MdevMbochs : public Sample {
 protected:
  // The registers that set the screen up, by number.
  enum Dispi { kId, kXres, kYres, kBpp, kEnable };
  uint64_t dispi(Dispi index) {
    return region_info(device(), VFIO_PCI_BAR2_REGION_INDEX).offset + 0x500 +
           2 * index;
  }

  void screen(uint16_t width, uint16_t height) {
    EXPECT_EQ(read_at<uint16_t>(dispi(kId)), 0xb0c5);
    write_at<uint16_t>(dispi(kXres), width);
    write_at<uint16_t>(dispi(kYres), height);
    write_at<uint16_t>(dispi(kBpp), 32);
    write_at<uint16_t>(dispi(kEnable), 1);
  }
};

TEST_F(MdevMbochs, ADmaBuf) {
  ASSERT_NO_FATAL_FAILURE(start("mbochs", "small"));
  vfio_device_gfx_plane_info plane;
  constexpr uint32_t kProbe = VFIO_GFX_PLANE_TYPE_PROBE;
  constexpr uint32_t kDmabuf = VFIO_GFX_PLANE_TYPE_DMABUF;
  EXPECT_OK(query_plane(device(), kProbe | kDmabuf, plane));
  EXPECT_ERR(EINVAL,
             query_plane(device(), kProbe | VFIO_GFX_PLANE_TYPE_REGION, plane));
  ASSERT_OK(query_plane(device(), kDmabuf, plane));
  EXPECT_EQ(plane.drm_format, 0u) << "the screen is off";

  vfio_region_info vram = region_info(device(), VFIO_PCI_BAR0_REGION_INDEX);
  EXPECT_EQ(vram.size, 4u << 20);
  Memory frame(vram.size, PROT_READ | PROT_WRITE, MAP_SHARED, device(),
               static_cast<off_t>(vram.offset));
  ASSERT_TRUE(frame.ok());
  const size_t size = 640 * 480 * 4;
  for (size_t i = 0; i < size; i++)
    *frame.at(i) = static_cast<uint8_t>(i ^ i >> 8 ^ i >> 16);

  screen(640, 480);
  // The driver's first answer for a frame is always ENOMEM.
  EXPECT_ERR(ENOMEM, query_plane(device(), kDmabuf, plane));
  ASSERT_OK(query_plane(device(), kDmabuf, plane));
  EXPECT_EQ(plane.width, 640u);
  EXPECT_EQ(plane.height, 480u);
  EXPECT_EQ(plane.stride, 640u * 4);
  EXPECT_EQ(plane.size, size);
  EXPECT_EQ(plane.drm_format, kXrgb8888);
  EXPECT_NE(plane.dmabuf_id, 0u);

  uint32_t wrong = plane.dmabuf_id + 77;
  EXPECT_ERR(ENOENT, call(device(), VFIO_DEVICE_GET_GFX_DMABUF, &wrong));
  Fd dmabuf(static_cast<int>(
      call(device(), VFIO_DEVICE_GET_GFX_DMABUF, &plane.dmabuf_id)));
  ASSERT_OK(dmabuf.get());
  EXPECT_EQ(lseek(dmabuf, 0, SEEK_END), static_cast<off_t>(size));
  dma_buf_sync sync{DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ};
  EXPECT_OK(call(dmabuf, DMA_BUF_IOCTL_SYNC, &sync));
  sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ;
  EXPECT_OK(call(dmabuf, DMA_BUF_IOCTL_SYNC, &sync));
  // It is exported for reading only, which its mmap takes for private.
  EXPECT_EQ(mmap(nullptr, size, PROT_READ, MAP_SHARED, dmabuf, 0), MAP_FAILED);
  observe_result("mmap", -errno);

  // The buffer outlives the device's file, and must go before the device.
  for (size_t i = 0; i < size; i++)
    if (*frame.at(i) != static_cast<uint8_t>(i ^ i >> 8 ^ i >> 16)) {
      ADD_FAILURE() << "byte " << i;
      break;
    }
  session_->close();
  EXPECT_EQ(lseek(dmabuf, 0, SEEK_SET), 0);
  dmabuf.reset();
}

TEST_F(MdevMbochs, TheSameFrameIsTheSameDmaBuf) {
  ASSERT_NO_FATAL_FAILURE(start("mbochs", "medium"));
  constexpr uint32_t kDmabuf = VFIO_GFX_PLANE_TYPE_DMABUF;
  vfio_device_gfx_plane_info first, second, other;
  screen(800, 600);
  (void)query_plane(device(), kDmabuf, first);
  ASSERT_OK(query_plane(device(), kDmabuf, first));
  ASSERT_OK(query_plane(device(), kDmabuf, second));
  EXPECT_EQ(first.dmabuf_id, second.dmabuf_id);
  screen(1024, 768);
  (void)query_plane(device(), kDmabuf, other);
  ASSERT_OK(query_plane(device(), kDmabuf, other));
  EXPECT_NE(first.dmabuf_id, other.dmabuf_id);
  EXPECT_EQ(other.size, 1024u * 768 * 4);
}

}  // namespace
}  // namespace stack
