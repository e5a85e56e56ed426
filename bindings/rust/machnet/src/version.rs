// SPDX-License-Identifier: MIT
//! Versions of the library and of what this crate was built against.

use std::ffi::CString;

use machnet_sys as sys;

use crate::error::{static_text, Error, Result};

/// The version of an ABI. A library serves programs built against its own major version and any minor version up to its own; as
/// long as the major version is 0, only those built against just its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AbiVersion {
    /// Programs of another major version are refused.
    pub major: u16,
    /// Grows when something is added.
    pub minor: u16,
}

impl AbiVersion {
    /// What this crate was built against.
    pub const BUILT: AbiVersion = AbiVersion::of(sys::MACHNET_ABI_VERSION);

    /// What the library that was loaded has.
    pub fn loaded() -> AbiVersion {
        // SAFETY: it has no preconditions.
        AbiVersion::of(unsafe { sys::machnet_abi_version() })
    }

    const fn of(version: u32) -> AbiVersion {
        AbiVersion { major: (version >> 16) as u16, minor: version as u16 }
    }

    fn serves(self, built: AbiVersion) -> bool {
        self.major == built.major
            && if built.major == 0 { self.minor == built.minor } else { self.minor >= built.minor }
    }
}

impl std::fmt::Display for AbiVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The version of the library, such as `"0.1.0"`.
pub fn library_version() -> &'static str {
    // SAFETY: it has no preconditions; the text is static.
    unsafe { static_text(sys::machnet_version_string()) }
}

/// Whether the library has the feature `name`: `"packed"`, `"zero-copy"`, `"ipv6"`, ...
pub fn has_feature(name: &str) -> bool {
    match CString::new(name) {
        // SAFETY: the name is a NUL-terminated string, read during the call.
        Ok(name) => unsafe { sys::machnet_has_feature(name.as_ptr()) != 0 },
        Err(_) => false,
    }
}

/// Fails if the library that was loaded cannot serve this crate.
pub(crate) fn check_library() -> Result<()> {
    check_versions(AbiVersion::BUILT, AbiVersion::loaded(), library_version())
}

fn check_versions(built: AbiVersion, loaded: AbiVersion, library: &str) -> Result<()> {
    if loaded.serves(built) {
        return Ok(());
    }
    Err(Error::with_message(
        sys::MACHNET_EVERSION,
        format!(
            "This program was built for version {built} of libmachnet's ABI, the library that was loaded ({library}) has version \
             {loaded}. Install a libmachnet that has {built}, or build the program anew."
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(built: (u16, u16), loaded: (u16, u16)) -> bool {
        let of = |(major, minor)| AbiVersion { major, minor };
        check_versions(of(built), of(loaded), "x.y.z").is_ok()
    }

    #[test]
    fn a_library_serves_its_major_version_up_to_its_minor() {
        assert!(fits((1, 0), (1, 0)) && fits((1, 2), (1, 3)) && fits((1, 0), (1, 65535)));
        assert!(!fits((1, 3), (1, 2)) && !fits((1, 0), (2, 0)) && !fits((2, 0), (1, 9)));
        assert!(fits((0, 2), (0, 2)) && !fits((0, 2), (0, 3)) && !fits((0, 2), (0, 1)));
    }

    #[test]
    fn the_error_says_both_versions() {
        let built = AbiVersion { major: 1, minor: 7 };
        let loaded = AbiVersion { major: 1, minor: 4 };
        let error = check_versions(built, loaded, "1.4.2").unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Version);
        let text = error.message();
        assert!(text.contains("1.7") && text.contains("1.4,") || text.contains("1.4."), "{text}");
        assert!(text.contains("(1.4.2)"), "{text}");
    }

    #[test]
    fn the_library_here_is_the_one_we_were_built_against() {
        assert_eq!(AbiVersion::loaded(), AbiVersion::BUILT);
        assert!(has_feature("packed") && has_feature("zero-copy"));
        assert!(!has_feature("no such thing") && !has_feature("pack\0ed"));
        assert!(library_version().contains('.'));
        check_library().unwrap();
    }
}
