//! Memory: frames, the kernel's heap, address spaces, and the loading of programs.
//!
//! [`frames`] owns all physical memory. [`heap`] makes kernel objects of it. [`space`] gives it to programs as they touch it
//! ([`fault`]), with [`shootdown`] seeing to it that a frame is used again only after every CPU has forgotten it. [`give`]
//! moves pages from one to another. [`segment`], [`pager`] and [`laundry`] have the pages of files, [`swap`] those of programs
//! that are in one. [`dma`] has what devices write to. [`elf`] fills a space with a program. What the hardware has to do for
//! them is listed in [`crate::machine`].

pub mod archive;
mod copy;
pub mod dma;
pub mod elf;
pub mod fault;
pub mod file;
pub mod frames;
pub mod give;
#[cfg(test)]
mod give_tests;
pub mod heap;
pub mod laundry;
pub mod pager;
pub mod pages;
pub mod segment;
pub mod shootdown;
pub mod space;
#[cfg(test)]
mod space_tests;
pub mod state;
pub mod swap;
#[cfg(test)]
mod swap_tests;

pub use give::Pages;
pub use space::Space;
