// SPDX-License-Identifier: MIT
//! Declarations of libmachnet, generated from `machnet.h`, which documents each of them. The crate `machnet` stands on these and is
//! what programs use.
//!
//! The library is found where the environment variable `MACHNET_LIB_DIR` says, else by pkg-config, else where the linker looks;
//! with `MACHNET_STATIC=1` it becomes part of the program.

#[rustfmt::skip]
#[allow(non_camel_case_types, non_upper_case_globals, missing_docs, clippy::all)]
mod bindings;

pub use bindings::*;
