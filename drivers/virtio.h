/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vocabulary of virtio over PCI, and where a function has its structures. Virtual I/O Device 1.2: 2.1 "Device Status Field", 2.7 "Split
   Virtqueues", 4.1.4 "Virtio Structure PCI Capabilities", 6 "Reserved Feature Bits". */
#ifndef SOJOURN_DRIVERS_VIRTIO_H
#define SOJOURN_DRIVERS_VIRTIO_H

#include "bits.h"

#define VIRTIO_VENDOR 0x1AF4u
#define VIRTIO_NET_TRANSITIONAL 0x1000u
#define VIRTIO_NET 0x1041u

/* Common configuration structure, 4.1.4.3. */
#define VIRTIO_CAP_COMMON 1u
#define VIRTIO_DRIVER_FEATURE_SELECT 0x08u
#define VIRTIO_DRIVER_FEATURE 0x0Cu
#define VIRTIO_NUM_QUEUES 0x12u
#define VIRTIO_DEVICE_STATUS 0x14u
#define VIRTIO_QUEUE_SELECT 0x16u
#define VIRTIO_QUEUE_SIZE 0x18u
#define VIRTIO_QUEUE_ENABLE 0x1Cu
#define VIRTIO_QUEUE_DESC 0x20u
#define VIRTIO_QUEUE_DRIVER 0x28u
#define VIRTIO_QUEUE_DEVICE 0x30u

#define VIRTIO_STATUS_DRIVER_OK 4u
/* Feature bits 32 and up. */
#define VIRTIO_HIGH_VERSION_1 BIT32(0)
#define VIRTIO_HIGH_ACCESS_PLATFORM BIT32(1) /* addresses may be an IOMMU's */
#define VIRTIO_HIGH_RING_PACKED BIT32(2)

struct virtq_desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};
#define VIRTQ_DESC_NEXT 1u
#define VIRTQ_DESC_WRITE 2u
#define VIRTQ_DESC_INDIRECT 4u
#define VIRTQ_SIZE_MAX 32768u
/* Available and used rings: flags, index, elements, event. */
#define VIRTQ_IDX 2u
#define VIRTQ_RING 4u
#define VIRTQ_AVAIL_BYTES(size) (6u + 2u * (size))
#define VIRTQ_USED_BYTES(size) (6u + 8u * (size))

/* Where the function has the structure of this kind (VIRTIO_CAP_*) in memory. 0: none, or not assigned. */
uint64_t virtio_structure(uint16_t bdf, uint8_t kind);

#endif
