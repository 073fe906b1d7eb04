//! The program: reset the device, ask it once, write what it gave to `#sys/random`, reset it again.
#![allow(unsafe_code, reason = "makes a slice of memory that the device may know")]

use portolan::abi::file::OWRITE;
use portolan::abi::limit::PAGE;
use portolan::{Error, File, Result};
use virtio::{DeviceType, Feature, Memory, Transport, VirtIORng};

const USAGE: &str = "usage: rng
Feeds bytes of a virtio entropy device to /dev/random and ends. Without a device it does nothing.";
/// Bytes that are asked for: the kernel's own state is smaller.
const BYTES: usize = 64;
/// The queue's pages, and one for the bytes.
const PAGES: usize = 4;

pub(crate) fn main() -> Result<()> {
    if portolan::args().count() > 1 {
        portolan::println!("{USAGE}");
        return Ok(());
    }
    let Some(mut device) = virtio::find(DeviceType::EntropySource)? else { return Ok(()) };
    // Reset comes first: the memory may be that of a driver that is gone.
    let _ = device.transport.begin_init(Feature::VERSION_1);
    let memory = Memory::attach(PAGES)?;
    let wrong = |e| Error::of("virtio", e);
    let page = memory.cut(1).ok_or(Error::new("too little memory"))?;
    let mut rng = VirtIORng::<virtio::Machine, _>::new(device.transport).map_err(wrong)?;
    // SAFETY: the page is this process's own, zeroed, and the device has it only within the call below.
    let bytes = unsafe { core::slice::from_raw_parts_mut(page.as_ptr(), BYTES.min(PAGE)) };
    let n = rng.request_entropy(bytes).map_err(wrong)?.min(BYTES);
    rng.ack_interrupt();
    if n == 0 {
        return Err(Error::new("the device gave nothing"));
    }
    let said = File::open("#sys/random", OWRITE)?.write_all(&bytes[..n]);
    bytes.fill(0);
    said
}
