//! Proxies, as curl and most programs have them: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`.
//!
//! A proxy is the administrator's choice. Where one applies to a URL, the proxy resolves the name, so that the address
//! behind it cannot be checked here: whoever sets a proxy leaves that check to it.

use std::sync::Arc;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Proxy;
use url::Url;

/// The way to a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Route {
    /// To the address that the name has.
    Direct,
    /// By the proxy for `http` URLs.
    HttpProxy,
    /// By the proxy for `https` URLs.
    HttpsProxy,
}

/// Which URLs are reached by which proxy.
#[derive(Clone, Default)]
pub struct Proxies {
    /// `None` if there is no proxy at all.
    rules: Option<Arc<Matcher>>,
    http: Option<Url>,
    https: Option<Url>,
}

/// A proxy that cannot be used. Holds no part of its URL, which may have a password in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not the URL of an HTTP proxy, such as http://proxy.example:3128")]
pub struct ProxyError(pub &'static str);

impl Proxies {
    /// No proxy.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The environment's. The upper case of a name goes before the lower; what is empty is not there.
    ///
    /// # Errors
    /// If a variable holds no URL: to go on without the proxy would be to go around it.
    pub fn from_environment() -> Result<Self, ProxyError> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Those of named variables.
    ///
    /// # Errors
    /// If a variable holds no URL.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ProxyError> {
        let value = |name: &'static str| {
            let found = variable(name).filter(|value| !value.trim().is_empty());
            found.or_else(|| variable(&name.to_ascii_lowercase())).map(|value| value.trim().to_owned())
        };
        let proxy = |name: &'static str| {
            let text = value(name).filter(|text| !text.is_empty());
            text.map(|text| parse(&text).ok_or(ProxyError(name))).transpose()
        };
        let all = proxy("ALL_PROXY")?;
        let http = proxy("HTTP_PROXY")?.or_else(|| all.clone());
        let https = proxy("HTTPS_PROXY")?.or(all);
        if http.is_none() && https.is_none() {
            return Ok(Self::none());
        }
        let text = |proxy: &Option<Url>| proxy.as_ref().map(ToString::to_string).unwrap_or_default();
        let rules = Matcher::builder().http(text(&http)).https(text(&https)).no(value("NO_PROXY").unwrap_or_default());
        Ok(Self { rules: Some(Arc::new(rules.build())), http, https })
    }

    /// The way to a URL. Anything but [`Route::Direct`] means that its name is not resolved here.
    pub(super) fn route(&self, url: &Url) -> Route {
        let Some(rules) = &self.rules else { return Route::Direct };
        // Of the URL the rules look at nothing else, and not every path is one for them.
        let origin = url.origin().ascii_serialization();
        let applies = origin.parse().is_ok_and(|origin| rules.intercept(&origin).is_some());
        match url.scheme() {
            "http" if applies => Route::HttpProxy,
            "https" if applies => Route::HttpsProxy,
            _ => Route::Direct,
        }
    }

    /// The proxy of a way, for everything.
    pub(super) fn proxy(&self, route: Route) -> Option<reqwest::Result<Proxy>> {
        let url = match route {
            Route::Direct => None,
            Route::HttpProxy => self.http.as_ref(),
            Route::HttpsProxy => self.https.as_ref(),
        };
        url.map(|url| Proxy::all(url.clone()))
    }
}

fn parse(text: &str) -> Option<Url> {
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&with_scheme).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.is_empty())).then_some(url)
}

impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let host = |proxy: &Option<Url>| proxy.as_ref().and_then(Url::host_str).map(ToOwned::to_owned);
        f.debug_struct("Proxies")
            .field("http", &host(&self.http))
            .field("https", &host(&self.https))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Result<Proxies, ProxyError> {
        let find =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Proxies::read(find)
    }

    #[test]
    fn the_environment_decides_which_url_goes_by_which_proxy() {
        let both: &[(&str, &str)] =
            &[("HTTP_PROXY", "http://p:1"), ("https_proxy", "p:2"), ("NO_PROXY", "in.example, 10.0.0.0/8 ,.svc,[::1]")];
        let all: &[(&str, &str)] = &[("all_proxy", "http://p:1")];
        let https: &[(&str, &str)] = &[("HTTPS_PROXY", "http://u:s3cret@p:1"), ("HTTP_PROXY", ""), ("http_proxy", " ")];
        for (variables, url, expected) in [
            (&[] as &[(&str, &str)], "https://a.example/", Route::Direct),
            (&[("NO_PROXY", "x")], "https://a.example/", Route::Direct),
            (both, "http://a.example/", Route::HttpProxy),
            (both, "https://a.example:8443/x y|{}?q=\u{e9}", Route::HttpsProxy),
            (both, "https://in.example/", Route::Direct),
            (both, "https://deep.in.example/", Route::Direct),
            (both, "https://notin.example/", Route::HttpsProxy),
            (both, "http://10.1.2.3/", Route::Direct),
            (both, "http://11.1.2.3/", Route::HttpProxy),
            (both, "http://hook.team.svc:8080/", Route::Direct),
            (both, "https://b\u{fc}cher.example/", Route::HttpsProxy),
            (all, "http://a.example/", Route::HttpProxy),
            (all, "https://a.example/", Route::HttpsProxy),
            (https, "https://a.example/", Route::HttpsProxy),
            (https, "http://a.example/", Route::Direct),
            (&[("HTTP_PROXY", "http://p:1"), ("NO_PROXY", "*")], "http://a.example/", Route::Direct),
        ] {
            assert_eq!(proxies(variables).unwrap().route(&Url::parse(url).unwrap()), expected, "{variables:?} {url}");
        }
        assert!(!format!("{:?}", proxies(https).unwrap()).contains("s3cret"));
    }

    #[test]
    fn what_is_no_proxy_is_refused_rather_than_gone_around() {
        for (name, value) in [
            ("HTTP_PROXY", "socks5://p:1080"),
            ("HTTPS_PROXY", "http://"),
            ("ALL_PROXY", "ftp://p"),
            ("HTTPS_PROXY", "http://p:port"),
        ] {
            let error = proxies(&[(name, value)]).unwrap_err();
            assert_eq!(error, ProxyError(name), "{value}");
        }
    }
}
