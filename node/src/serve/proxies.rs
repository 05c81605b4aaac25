//! Who may say for whom it asks: `X-Forwarded-For` counts only from addresses that the operator trusts.

use std::net::IpAddr;

use axum::http::HeaderMap;
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";
/// Hops that are looked at; a longer list is somebody's joke.
const HOPS: usize = 32;

/// The proxies in front of the node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies(Vec<IpNet>);

impl Proxies {
    pub(crate) fn new(trusted: Vec<IpNet>) -> Self {
        Self(trusted)
    }

    /// Whether this peer is one of them.
    pub(crate) fn include(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.0.iter().any(|network| network.contains(&peer))
    }

    /// Where a request comes from: the last address that no trusted proxy vouches for. What a client itself puts into
    /// the header stands left of that, so it counts for nothing. What is no address ends the search.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer;
        let lists = headers.get_all(FORWARDED_FOR);
        // Several headers are one list, in their order.
        let lists: Vec<&str> = lists.iter().map(|list| list.to_str().unwrap_or_default()).collect();
        let hops = lists.iter().rev().flat_map(|list| list.rsplit(','));
        for hop in hops.take(HOPS) {
            if !self.include(client) {
                break;
            }
            let Ok(address) = hop.trim().parse() else { break };
            client = address;
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(peer: &str, lists: &[&str], expected: &str) {
        let proxies = Proxies::new(vec!["127.0.0.1/32".parse().unwrap(), "10.0.0.0/8".parse().unwrap()]);
        let mut headers = HeaderMap::new();
        for list in lists {
            headers.append(FORWARDED_FOR, list.parse().unwrap());
        }
        let client = proxies.client(peer.parse().unwrap(), &headers);
        assert_eq!(client, expected.parse::<IpAddr>().unwrap(), "{peer} {lists:?}");
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        check("192.0.2.9", &["198.51.100.1"], "192.0.2.9");
        check("127.0.0.1", &["198.51.100.1"], "198.51.100.1");
        check("::ffff:127.0.0.1", &["198.51.100.1"], "198.51.100.1");
        check("127.0.0.1", &["198.51.100.1, 10.1.2.3"], "198.51.100.1");
        // What the client made up stands before what the proxy saw.
        check("127.0.0.1", &["203.0.113.7, 198.51.100.1, 10.1.2.3"], "198.51.100.1");
        check("127.0.0.1", &["203.0.113.7", "198.51.100.1", "10.1.2.3"], "198.51.100.1");
        check("127.0.0.1", &["2001:db8::1"], "2001:db8::1");
    }

    #[test]
    fn what_is_no_address_counts_for_nothing() {
        check("127.0.0.1", &[], "127.0.0.1");
        check("127.0.0.1", &[""], "127.0.0.1");
        check("127.0.0.1", &["unknown"], "127.0.0.1");
        check("127.0.0.1", &["198.51.100.1, not an address"], "127.0.0.1");
        check("127.0.0.1", &["10.0.0.1, 10.0.0.2"], "10.0.0.1");
    }
}
