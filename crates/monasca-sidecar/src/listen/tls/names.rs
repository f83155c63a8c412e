//! The subject alternative names of a certificate.
//!
//! rustls gives them only where they are host names to be verified. A certificate is a tree of
//! tagged runs of bytes (DER), of which this walks down one branch; what does not fit has no names.

use std::net::IpAddr;

const SEQUENCE: u8 = 0x30;
const OBJECT: u8 = 0x06;
const OCTETS: u8 = 0x04;
/// The extensions in a certificate.
const EXTENSIONS: u8 = 0xa3;
const EMAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;
const ADDRESS: u8 = 0x87;
/// 2.5.29.17
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];

/// Host names, e-mail addresses, URIs and IP addresses, as they are written.
pub(super) fn of(certificate: &[u8]) -> Vec<String> {
    walk(certificate).unwrap_or_default()
}

fn walk(certificate: &[u8]) -> Option<Vec<String>> {
    let mut outer = Items(find(certificate, SEQUENCE)?);
    let (_, signed) = outer.next()?;
    let extensions = find(find(signed, EXTENSIONS)?, SEQUENCE)?;
    for (_, extension) in Items(extensions) {
        if find(extension, OBJECT) == Some(ALTERNATIVE_NAMES) {
            let names = find(find(extension, OCTETS)?, SEQUENCE)?;
            return Some(Items(names).filter_map(name).collect());
        }
    }
    None
}

fn name((tag, value): (u8, &[u8])) -> Option<String> {
    match tag {
        EMAIL | DNS | URI => std::str::from_utf8(value).ok().map(str::to_owned),
        ADDRESS => address(value).map(|address| address.to_string()),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    }
}

/// The first of this kind.
fn find(bytes: &[u8], wanted: u8) -> Option<&[u8]> {
    Items(bytes).find(|(tag, _)| *tag == wanted).map(|(_, value)| value)
}

/// Tags and values that stand one after the other.
struct Items<'a>(&'a [u8]);

impl<'a> Iterator for Items<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let ([tag, first], rest) = self.0.split_first_chunk::<2>()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length = digits.iter().fold(0, |sum, digit| (sum << 8) | usize::from(*digit));
                (length, rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, value))
    }
}

#[cfg(test)]
mod tests {
    use super::of;
    use std::process::Command;

    fn certificate(names: &str) -> Vec<u8> {
        let made = Command::new("openssl")
            .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout".split(' '))
            .args("/dev/null -subj /CN=x -days 2 -outform DER -addext".split(' '))
            .arg(format!("subjectAltName={names}"))
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        made.stdout
    }

    #[test]
    fn each_kind_of_name_is_found() {
        let der =
            certificate("DNS:agent.example,IP:10.0.0.1,IP:fe80::1,email:a@b.c,URI:spiffe://x/y");
        assert_eq!(of(&der), ["agent.example", "10.0.0.1", "fe80::1", "a@b.c", "spiffe://x/y"]);
    }

    #[test]
    fn a_damaged_certificate_has_no_names_and_harms_nobody() {
        let der = certificate("DNS:agent.example");
        for cut in 0..der.len() {
            drop(of(&der[..cut]));
        }
        for at in 0..der.len() {
            for byte in [0, 0x7f, 0x80, 0x84, 0xff] {
                let mut damaged = der.clone();
                damaged[at] = byte;
                drop(of(&damaged));
            }
        }
        assert_eq!(of(b""), [""; 0]);
    }
}
