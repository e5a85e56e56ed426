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
        println!("cargo:rustc-link-lib={}machnet", kind());
    }
}

/// `static=` if `MACHNET_STATIC` is set to anything but 0 or nothing.
fn kind() -> &'static str {
    match env::var("MACHNET_STATIC") {
        Ok(value) if !value.is_empty() && value != "0" => "static=",
        _ => "",
    }
}

fn link_from(directory: &Path) {
    if !directory.is_dir() {
        eprintln!("MACHNET_LIB_DIR is {}, which is no directory", directory.display());
        std::process::exit(1);
    }
    println!("cargo:rustc-link-search=native={}", directory.display());
    println!("cargo:rustc-link-lib={}machnet", kind());
}

/// Passes on the directories that pkg-config names. Returns false if it does not know machnet.
fn link_by_pkg_config() -> bool {
    let program = env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into());
    let output = match Command::new(program).args(["--libs", "machnet"]).output() {
        Ok(output) if output.status.success() => output,
        _ => return false,
    };
    for word in String::from_utf8_lossy(&output.stdout).split_whitespace() {
        if let Some(directory) = word.strip_prefix("-L") {
            println!("cargo:rustc-link-search=native={directory}");
        }
    }
    println!("cargo:rustc-link-lib={}machnet", kind());
    true
}
