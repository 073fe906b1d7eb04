//! One folder per processor, with the same file names in each; this is the one file that chooses.

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::stop;
