//! What a certificate says of itself: whom it is for, and from when until when.
//!
//! Judges nothing but dates. Whether anybody trusts it is for those who connect to say.

use std::net::IpAddr;

use chasqui_wire::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Before this many days are left it should have been renewed: those who renew by themselves do so with 30 left.
const SOON_DAYS: u64 = 14;

/// The certificate that the node shows, with the dates that bound all of its chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// DNS names and addresses that it is for.
    pub names: Vec<String>,
    /// The latest beginning in the chain.
    pub begins_at: Timestamp,
    /// The earliest end in the chain.
    pub ends_at: Timestamp,
}

/// Where in its life a certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// Nobody accepts it before so many days, rounded up.
    NotYet(u64),
    /// So many whole days are left.
    Good(u64),
    /// As [`Age::Good`], and it should be renewed.
    Ending(u64),
    /// Nobody accepts it any more.
    Ended,
}

impl Certificate {
    /// Of a chain, the node's own certificate first. `None`: it is no X.509.
    pub(super) fn read(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let chain: Vec<X509Certificate<'_>> = chain
            .iter()
            .map(|der| X509Certificate::from_der(der).ok().map(|(_, parsed)| parsed))
            .collect::<Option<_>>()?;
        let names = chain.first()?.subject_alternative_name().ok()?;
        let names = names.map_or_else(Vec::new, |names| names.value.general_names.iter().filter_map(name).collect());
        let millis = |seconds: i64| Timestamp(seconds.saturating_mul(1000));
        let begins_at = chain.iter().map(|one| one.validity().not_before.timestamp()).max()?;
        let ends_at = chain.iter().map(|one| one.validity().not_after.timestamp()).min()?;
        Some(Self { names, begins_at: millis(begins_at), ends_at: millis(ends_at) })
    }

    /// Where in its life it is.
    pub fn age(&self, now: Timestamp) -> Age {
        if now < self.begins_at {
            Age::NotYet(self.begins_at.millis_since(now).div_ceil(DAY_MS))
        } else if now >= self.ends_at {
            Age::Ended
        } else {
            match self.ends_at.millis_since(now) / DAY_MS {
                days @ ..SOON_DAYS => Age::Ending(days),
                days => Age::Good(days),
            }
        }
    }
}

impl std::fmt::Display for Age {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotYet(days) => write!(f, "the certificate is not valid yet, for at most {days} days"),
            Self::Good(days) => write!(f, "the certificate is valid for {days} days"),
            Self::Ending(days) => write!(f, "the certificate ends in {days} days: renew it"),
            Self::Ended => write!(f, "the certificate has ended: nobody connects any more"),
        }
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match *name {
        GeneralName::DNSName(name) => Some(name.to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok().map(|address| address.to_string())
        }
        // Nobody connects to those.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(from: (i32, u8), until: (i32, u8)) -> CertificateDer<'static> {
        let names = ["chat.example.org".to_owned(), "192.0.2.1".to_owned(), "2001:db8::1".to_owned()];
        let mut parameters = rcgen::CertificateParams::new(names).unwrap();
        parameters.not_before = rcgen::date_time_ymd(from.0, from.1, 1);
        parameters.not_after = rcgen::date_time_ymd(until.0, until.1, 1);
        parameters.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn a_certificate_is_as_young_as_its_youngest_and_as_old_as_its_oldest() {
        let chain = [made((2026, 1), (2027, 1)), made((2025, 1), (2026, 7))];
        let read = Certificate::read(&chain).unwrap();
        assert_eq!(read.names, ["chat.example.org", "192.0.2.1", "2001:db8::1"]);
        assert_eq!(read.begins_at, Timestamp(1_767_225_600_000), "1 January 2026");
        assert_eq!(read.ends_at, Timestamp(1_782_864_000_000), "1 July 2026");
        assert_eq!(Certificate::read(&[]), None);
        assert_eq!(Certificate::read(&[CertificateDer::from(vec![0x30, 0x82, 1])]), None);
    }

    #[test]
    fn ages() {
        let certificate = Certificate {
            names: Vec::new(),
            begins_at: Timestamp(1_000 * DAY_MS as i64),
            ends_at: Timestamp(1_090 * DAY_MS as i64),
        };
        let at = |days: i64, millis: i64| certificate.age(Timestamp(days * DAY_MS as i64 + millis));
        assert_eq!(at(999, 1), Age::NotYet(1));
        assert_eq!(at(1_000, 0), Age::Good(90));
        assert_eq!(at(1_076, 0), Age::Good(14));
        assert_eq!(at(1_076, 1), Age::Ending(13));
        assert_eq!(at(1_089, 1), Age::Ending(0));
        assert_eq!(at(1_090, 0), Age::Ended);
    }
}
