//! The HTTP clients that keep connections: one for the common way, and one for every other way that is in use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::redirect;

use super::address::{AddressPolicy, Guard};
use super::proxy::{Proxies, Route};
use super::tls::{Fingerprint, Tls};

/// Longest wait for a connection, within an attempt's own deadline.
pub(super) const CONNECT: Duration = Duration::from_secs(5);
/// How long an idle connection is kept: shorter than what common receivers do, so that a request seldom meets a closed one.
const IDLE: Duration = Duration::from_secs(20);
/// How long a client of its own is kept that nobody uses. Its connections are long gone by then.
const UNUSED: SignedDuration = SignedDuration::from_mins(10);
/// Most clients of their own; of more, the one that was used longest ago is made again when it is needed.
const MOST: usize = 128;

/// What a client is made for.
type Key = (Route, Option<Fingerprint>);

struct Own {
    client: reqwest::Client,
    used: Timestamp,
}

pub(super) struct Pool {
    policy: Arc<AddressPolicy>,
    proxies: Proxies,
    common: reqwest::Client,
    own: Mutex<HashMap<Key, Own>>,
}

impl Pool {
    pub(super) fn new(policy: Arc<AddressPolicy>, proxies: Proxies) -> reqwest::Result<Self> {
        let common = build(&policy, &proxies, Route::Direct, None)?;
        // What a proxy's URL may lack shows at the start, too.
        for route in [Route::HttpProxy, Route::HttpsProxy] {
            proxies.proxy(route).transpose()?;
        }
        Ok(Self { policy, proxies, common, own: Mutex::default() })
    }

    pub(super) const fn proxies(&self) -> &Proxies {
        &self.proxies
    }

    /// The client for a way and a TLS.
    pub(super) fn client(&self, route: Route, tls: Option<&Tls>, now: Timestamp) -> reqwest::Result<reqwest::Client> {
        if route == Route::Direct && tls.is_none() {
            return Ok(self.common.clone());
        }
        let key = (route, tls.map(Tls::fingerprint));
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.retain(|known, own| *known == key || now.duration_since(own.used) < UNUSED);
        if let Some(known) = own.get_mut(&key) {
            known.used = now;
            return Ok(known.client.clone());
        }
        let client = build(&self.policy, &self.proxies, route, tls)?;
        if own.len() >= MOST
            && let Some(oldest) = own.iter().min_by_key(|(_, own)| own.used).map(|(key, _)| *key)
        {
            own.remove(&oldest);
        }
        own.insert(key, Own { client: client.clone(), used: now });
        Ok(client)
    }

    #[cfg(test)]
    pub(super) fn own_clients(&self) -> usize {
        self.own.lock().unwrap().len()
    }
}

fn build(
    policy: &Arc<AddressPolicy>,
    proxies: &Proxies,
    route: Route,
    tls: Option<&Tls>,
) -> reqwest::Result<reqwest::Client> {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    let builder = reqwest::Client::builder();
    let builder = builder
        .user_agent(concat!("pai-notification/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .tcp_nodelay(true);
    let builder = match proxies.proxy(route).transpose()? {
        // The only name that is resolved on this way is the proxy's, which is the administrator's choice.
        Some(proxy) => builder.proxy(proxy),
        // Without `no_proxy`, reqwest would read the environment itself, behind the back of the address policy.
        None => builder.no_proxy().dns_resolver(Guard::new(policy.clone())),
    };
    match tls {
        Some(tls) => builder.tls_backend_preconfigured(tls.config()),
        None => builder,
    }
    .build()
}
