// SPDX-License-Identifier: MIT
//! Where flows begin and end.

use std::ffi::{CStr, CString};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::str::FromStr;

use machnet_sys as sys;

use crate::error::{Error, Result};

/// An IP address and a flow port. IPv4 addresses are kept as `::ffff:a.b.c.d`.
///
/// Reads and writes as `10.0.0.2:7000`, `[fd00::2]:7000` or `:7000` (any address of the engine); port 0 lets the engine choose.
///
/// ```
/// use machnet::Address;
/// let address: Address = "[fd00::2]:7000".parse()?;
/// assert_eq!(address.port(), 7000);
/// assert_eq!(address, std::net::SocketAddr::from(([0xfd00, 0, 0, 0, 0, 0, 0, 2], 7000)).into());
/// # Ok::<(), machnet::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Address(pub(crate) sys::machnet_address);

impl Address {
    /// Any address of the engine, any port: what a flow is opened from if nothing else is said.
    pub const ANY: Address =
        Address(sys::machnet_address { ip: [0; 16], port: 0, reserved16: 0, reserved32: 0, reserved64: 0 });

    /// An address of an IP address and a port.
    pub fn new(ip: impl Into<IpAddr>, port: u16) -> Address {
        let mut address = Address::ANY;
        address.0.port = port;
        address.0.ip = match ip.into() {
            IpAddr::V4(ip) if ip.is_unspecified() => [0; 16],
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        };
        address
    }

    /// The IP address; all zero: any of the engine.
    pub fn ip(&self) -> IpAddr {
        let ip = Ipv6Addr::from(self.0.ip);
        ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4)
    }

    /// The port; 0: the engine chooses.
    pub fn port(&self) -> u16 {
        self.0.port
    }
}

impl From<SocketAddr> for Address {
    /// Flow label and scope of an IPv6 address are left out.
    fn from(address: SocketAddr) -> Address {
        Address::new(address.ip(), address.port())
    }
}

impl From<SocketAddrV4> for Address {
    fn from(address: SocketAddrV4) -> Address {
        Address::new(*address.ip(), address.port())
    }
}

impl From<SocketAddrV6> for Address {
    fn from(address: SocketAddrV6) -> Address {
        Address::new(*address.ip(), address.port())
    }
}

impl From<Address> for SocketAddr {
    fn from(address: Address) -> SocketAddr {
        SocketAddr::new(address.ip(), address.port())
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Address> {
        let mut address = Address::ANY;
        let status = match CString::new(text) {
            // SAFETY: the text is NUL-terminated, the address valid to be written.
            Ok(text) => unsafe { sys::machnet_address_parse(text.as_ptr(), &mut address.0) },
            Err(_) => sys::MACHNET_EINVAL,
        };
        if status < 0 {
            let text = format!("'{text}' is no address such as 10.0.0.2:7000, [fd00::2]:7000 or :7000");
            return Err(Error::with_message(status, text));
        }
        Ok(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; sys::MACHNET_ADDRESS_TEXT_MAX as usize];
        // SAFETY: the address is valid to be read, the text to be written up to its length.
        let status = unsafe { sys::machnet_address_format(&self.0, text.as_mut_ptr(), text.len() as u64) };
        if status < 0 {
            return Err(fmt::Error);
        }
        // SAFETY: the call has written a NUL-terminated text.
        let text = unsafe { CStr::from_ptr(text.as_ptr()) };
        f.pad(&text.to_string_lossy())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Address) -> bool {
        (self.0.ip, self.0.port) == (other.0.ip, other.0.port)
    }
}

impl Eq for Address {}

impl Hash for Address {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.0.ip, self.0.port).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn texts_go_there_and_back() {
        for text in ["10.0.0.2:7000", "[fd00::2]:7000", ":7000"] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(address.port(), 7000);
            assert_eq!(Address::from(SocketAddr::from(address)), address);
        }
        assert_eq!("10.0.0.2:7".parse::<Address>().unwrap().ip(), IpAddr::from([10, 0, 0, 2]));
        assert_eq!(Address::new([0, 0, 0, 0], 7000), ":7000".parse().unwrap());
        assert_eq!(Address::from(SocketAddrV4::new([1, 2, 3, 4].into(), 5)).to_string(), "1.2.3.4:5");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "10.0.0.2", "10.0.0.2:65536", "host:1", "10.0.0.2:1\0", "fd00::2:7000"] {
            let error = text.parse::<Address>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text:?}");
        }
    }
}
