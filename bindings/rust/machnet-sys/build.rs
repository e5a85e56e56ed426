// SPDX-License-Identifier: MIT
//! Finds libmachnet: where `MACHNET_LIB_DIR` says, else by pkg-config, else where the linker looks.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    for name in ["MACHNET_LIB_DIR", "MACHNET_STATIC", "PKG_CONFIG", "PKG_CONFIG_PATH"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    if let Some(directory) = env::var_os("MACHNET_LIB_DIR") {
        link_from(Path::new(&directory));
    } else if !link_by_pkg_config() {
        println!(
            "cargo:warning=pkg-config does not know machnet, so libmachnet is looked for where the linker looks. If it is not found, set \
             MACHNET_LIB_DIR to its directory, or PKG_CONFIG_PATH to that of machnet.pc"
        );
        println!("cargo:rustc-link-lib={}machnet", kind());
    }
}

fn is_static() -> bool {
    env::var("MACHNET_STATIC").map_or(false, |value| !value.is_empty() && value != "0")
}

/// `static=` if `MACHNET_STATIC` is set to anything but 0 or nothing.
fn kind() -> &'static str {
    if is_static() {
        "static="
    } else {
        ""
    }
}

fn link_from(directory: &Path) {
    if !directory.is_dir() {
        eprintln!(
            "MACHNET_LIB_DIR is {}, which is no directory: set it to where libmachnet.so is",
            directory.display()
        );
        std::process::exit(1);
    }
    println!("cargo:rustc-link-search=native={}", directory.display());
    println!("cargo:rustc-link-lib={}machnet", kind());
}

/// What pkg-config answers of machnet, if it knows it.
fn pkg_config(question: &str) -> Option<String> {
    let program = env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into());
    let output = Command::new(program).args([question, "machnet"]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Passes on the directories that pkg-config names. Returns false if it does not know machnet.
fn link_by_pkg_config() -> bool {
    let flags = match pkg_config("--libs") {
        Some(flags) => flags,
        None => return false,
    };
    for directory in flags.split_whitespace().filter_map(|word| word.strip_prefix("-L")) {
        println!("cargo:rustc-link-search=native={directory}");
    }
    if is_static() {
        // rustc itself looks for it, and not where the linker does, whose directories pkg-config leaves out
        if let Some(directory) = pkg_config("--variable=libdir") {
            println!("cargo:rustc-link-search=native={directory}");
        }
    }
    println!("cargo:rustc-link-lib={}machnet", kind());
    true
}
