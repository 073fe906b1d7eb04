//! con9: runs transcripts of 9P2000 against a server, and says which sentence of the manual a wrong answer violates.
//!
//! [`script`] is the format (begin there), [`pattern`] says what an answer may be, [`wire`] reads and writes messages
//! independently of the codec under test, [`run`] runs a case over a [`link`]. [`hostile`] is a client that means harm. The transcripts are in test/con9.

#![forbid(unsafe_code)]

pub mod clean;
pub mod hostile;
pub mod link;
pub mod pattern;
pub mod run;
pub mod script;
pub mod suite;
pub mod wire;
pub mod word;
