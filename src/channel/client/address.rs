//! Which addresses a target may have, checked after its name was resolved.
//!
//! Whoever may write an `EventTarget` chooses where the operator connects to. So loopback, link-local, metadata, multicast
//! and unspecified addresses are refused; private ranges are allowed, since receivers in the cluster have them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Alibaba Cloud's metadata service, which is in no reserved range.
const ALIBABA_METADATA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);

/// Which addresses targets may have. `deny` wins over `allow`, `allow` over what is refused by default.
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    /// Allowed although refused by default.
    pub allow: Vec<IpNet>,
    /// Refused although allowed by default.
    pub deny: Vec<IpNet>,
}

/// Every address of a host is refused.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "targets may not have this address (loopback, link-local, metadata, multicast or denied); \
     an administrator can allow it by --allow-target-cidr"
)]
pub struct Refused;

impl AddressPolicy {
    /// Whether targets may have this address.
    #[must_use]
    pub fn permits(&self, address: IpAddr) -> bool {
        let address = match address {
            IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
            IpAddr::V4(_) => address,
        };
        let within = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&address));
        !within(&self.deny) && (within(&self.allow) || !refused_by_default(address))
    }
}

fn refused_by_default(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.octets().first() == Some(&0)
                || v4 == ALIBABA_METADATA
        }
        IpAddr::V6(v6) => {
            v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() || is_link_local(v6) || embeds_refused(v6)
        }
    }
}

const fn is_link_local(v6: Ipv6Addr) -> bool {
    v6.is_unicast_link_local()
}

/// `64:ff9b::/96` (NAT64) and `2002::/16` (6to4) carry an IPv4 address that a gateway would connect to.
fn embeds_refused(v6: Ipv6Addr) -> bool {
    let [s0, s1, s2, _, _, _, s6, s7] = v6.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (s0, s1) {
        (0x64, 0xff9b) => refused_by_default(IpAddr::V4(join(s6, s7))),
        (0x2002, _) => refused_by_default(IpAddr::V4(join(s1, s2))),
        _ => false,
    }
}

/// The resolver that applies the policy.
pub(super) struct Guard {
    policy: Arc<AddressPolicy>,
}

impl Guard {
    pub(super) const fn new(policy: Arc<AddressPolicy>) -> Self {
        Self { policy }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.policy.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let permitted: Vec<SocketAddr> = found.filter(|address| policy.permits(address.ip())).collect();
            if permitted.is_empty() {
                return Err(Refused.into());
            }
            let addresses: Addrs = Box::new(permitted.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dangerous_addresses_are_refused_and_private_ones_allowed() {
        let policy = AddressPolicy::default();
        for refused in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "100.100.100.200",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
        ] {
            assert!(!policy.permits(refused.parse().unwrap()), "{refused}");
        }
        for allowed in ["10.0.0.1", "172.16.0.1", "192.168.1.1", "8.8.8.8", "fd00::1", "2001:db8::1"] {
            assert!(policy.permits(allowed.parse().unwrap()), "{allowed}");
        }
    }

    #[test]
    fn deny_wins_over_allow_and_allow_over_the_default() {
        let policy = AddressPolicy {
            allow: vec!["127.0.0.0/8".parse().unwrap(), "10.0.0.0/8".parse().unwrap()],
            deny: vec!["10.1.0.0/16".parse().unwrap(), "127.0.0.2/32".parse().unwrap()],
        };
        assert!(policy.permits("127.0.0.1".parse().unwrap()));
        assert!(!policy.permits("127.0.0.2".parse().unwrap()));
        assert!(policy.permits("10.2.0.1".parse().unwrap()));
        assert!(!policy.permits("10.1.0.1".parse().unwrap()));
        assert!(!policy.permits("::ffff:10.1.0.1".parse().unwrap()));
    }
}
