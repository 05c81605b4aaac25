//! Who asks: the one place that says from which address a request comes.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use chasqui_wire::ErrorCode;

use super::problem::Problem;
use crate::serve::App;

/// Where a request comes from, as far as limits are concerned: an IPv4 address, or the /64 that one customer of a
/// provider has of IPv6. Never logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClientAddress(IpAddr);

impl ClientAddress {
    /// Of a peer's address.
    pub(crate) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

impl FromRequestParts<App> for ClientAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let ConnectInfo(peer) = peer.ok_or_else(|| Problem::new(ErrorCode::Internal, "the peer is unknown"))?;
        Ok(Self::of(app.proxies.client(peer.ip(), &parts.headers)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_customers() {
        let of = |text: &str| ClientAddress::of(text.parse().unwrap());
        assert!(of("192.0.2.1") != of("192.0.2.2"));
        assert!(of("::ffff:192.0.2.1") == of("192.0.2.1"), "the same, over a dual-stack socket");
        assert!(of("2001:db8:1:2::1") == of("2001:db8:1:2:ffff::9"));
        assert!(of("2001:db8:1:2::1") != of("2001:db8:1:3::1"));
    }
}
