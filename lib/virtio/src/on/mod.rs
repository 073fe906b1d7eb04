//! On the machine: [`find`] finds a device, [`Memory`] is what a driver lets it know.

mod device;
mod memory;

pub use device::{Device, find};
pub use memory::{Machine, Memory};
pub use virtio_drivers::device::common::Feature;
pub use virtio_drivers::device::rng::VirtIORng;
pub use virtio_drivers::queue::VirtQueue;
pub use virtio_drivers::transport::{DeviceType, SomeTransport, Transport};
