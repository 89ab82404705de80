//! Requests as they are shown: with the channel's secrets cut out, and everything else exact.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::report::ShownRequest;
use crate::channel::{Mail, Outgoing, Request};

/// What stands in place of a secret.
const HIDDEN: &str = "***";
/// A shorter value is no secret and would tear holes into every text; where it stands alone it is cut out all the same.
const SHORTEST: usize = 4;

/// Whether secrets are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrecy {
    /// They are cut out.
    Hide,
    /// They are shown.
    Reveal,
}

/// The request as it is to be shown.
pub(super) fn shown(outgoing: Outgoing, secrets: &[SecretString], secrecy: Secrecy) -> ShownRequest {
    match outgoing {
        Outgoing::Http(request) => shown_request(request, secrets, secrecy),
        Outgoing::Mail(mail) => shown_mail(&mail, secrets, secrecy),
    }
}

/// A mail with its two parts as people read them: on the wire, they are encoded.
fn shown_mail(mail: &Mail, secrets: &[SecretString], secrecy: Secrecy) -> ShownRequest {
    let hidden = match secrecy {
        Secrecy::Hide => Hidden::new(secrets),
        Secrecy::Reveal => Hidden::default(),
    };
    let Mail { server, from, to, headers, text, html } = mail;
    let mut shown: BTreeMap<String, String> =
        headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), hidden.cut_out(value))).collect();
    shown.insert("from".to_owned(), from.to_string());
    shown.insert("to".to_owned(), to.to_string());
    shown.insert("content-type".to_owned(), "multipart/alternative: text/plain, then text/html".to_owned());
    ShownRequest {
        method: "SMTP".to_owned(),
        url: server.to_string(),
        headers: shown,
        body: hidden.cut_out(&format!("{text}\n\n{html}")),
    }
}

fn shown_request(request: Request, secrets: &[SecretString], secrecy: Secrecy) -> ShownRequest {
    let headers = request.header_map();
    let Request { method, mut url, headers: _, body, tls: _, handshake: _ } = request;
    // Never sent.
    url.set_fragment(None);
    let hidden = match secrecy {
        Secrecy::Hide => Hidden::new(secrets),
        Secrecy::Reveal => Hidden::default(),
    };
    // Collected as the client does it.
    let mut shown: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in &headers {
        let value = if value.is_sensitive() && secrecy == Secrecy::Hide {
            HIDDEN.to_owned()
        } else {
            hidden.cut_out(&String::from_utf8_lossy(value.as_bytes()))
        };
        shown.entry(name.as_str().to_owned()).and_modify(|all| *all = format!("{all}, {value}")).or_insert(value);
    }
    ShownRequest {
        method: method.to_string(),
        url: hidden.cut_out_of_url(&url),
        headers: shown,
        body: hidden.cut_out(&String::from_utf8_lossy(&body)),
    }
}

/// The secrets of one channel.
#[derive(Default)]
struct Hidden {
    whole: Vec<String>,
    /// Every form in which one may stand inside a text, the longest first.
    forms: Vec<String>,
}

impl Hidden {
    fn new(secrets: &[SecretString]) -> Self {
        let whole: Vec<String> = secrets
            .iter()
            .map(|secret| secret.expose_secret().to_owned())
            .filter(|secret| !secret.is_empty())
            .collect();
        let mut forms: Vec<String> =
            whole.iter().filter(|secret| secret.len() >= SHORTEST).flat_map(|secret| forms_of(secret)).collect();
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Self { whole, forms }
    }

    fn cut_out(&self, text: &str) -> String {
        self.forms.iter().fold(text.to_owned(), |text, form| text.replace(form, HIDDEN))
    }

    /// Host and scheme are no secrets, even if one looks like them.
    fn cut_out_of_url(&self, url: &Url) -> String {
        let path: Vec<String> = url.path().split('/').map(|segment| self.cut_out_of_part(segment)).collect();
        let mut shown = format!("{}{}", url.origin().ascii_serialization(), path.join("/"));
        if let Some(query) = url.query() {
            let pairs: Vec<String> = query.split('&').map(|pair| self.cut_out_of_pair(pair)).collect();
            shown.push('?');
            shown.push_str(&pairs.join("&"));
        }
        shown
    }

    fn cut_out_of_pair(&self, pair: &str) -> String {
        match pair.split_once('=') {
            Some((name, value)) => format!("{}={}", self.cut_out(name), self.cut_out_of_part(value)),
            None => self.cut_out(pair),
        }
    }

    /// A value or a segment as a whole, in whatever encoding, else what it holds.
    fn cut_out_of_part(&self, part: &str) -> String {
        let pair = part.replace('=', "%3D").replace('&', "%26");
        let decoded = url::form_urlencoded::parse(pair.as_bytes()).next();
        let decoded = decoded.map(|(name, _)| name.into_owned()).unwrap_or_default();
        if self.whole.iter().any(|secret| *secret == part || *secret == decoded) {
            HIDDEN.to_owned()
        } else {
            self.cut_out(part)
        }
    }
}

/// A secret as it is, percent-encoded as forms and paths have it, and as JSON has it.
fn forms_of(secret: &str) -> Vec<String> {
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let percent = form.replace('+', "%20");
    let json = serde_json::to_string(secret).unwrap_or_default();
    let json = json.strip_prefix('"').and_then(|json| json.strip_suffix('"')).unwrap_or(secret).to_owned();
    vec![secret.to_owned(), form, percent, json]
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue, Method};

    use super::*;

    fn request(url: &str, body: &str) -> Outgoing {
        let mut sensitive = HeaderValue::from_static("Bearer abc");
        sensitive.set_sensitive(true);
        Outgoing::Http(Request {
            method: Method::POST,
            url: Url::parse(url).unwrap(),
            headers: vec![
                (HeaderName::from_static("authorization"), sensitive),
                (HeaderName::from_static("x-team"), HeaderValue::from_static("vision")),
            ],
            body: body.as_bytes().to_vec(),
            tls: None,
            handshake: None,
        })
    }

    fn hidden(url: &str, body: &str, secrets: &[&str]) -> ShownRequest {
        let secrets: Vec<SecretString> = secrets.iter().map(|secret| SecretString::from(*secret)).collect();
        shown(request(url, body), &secrets, Secrecy::Hide)
    }

    #[test]
    fn a_secret_is_cut_out_in_every_encoding_and_the_rest_stays_exact() {
        let secret = "to k/en+1\"x";
        let url = "https://a.example:8443/x/send?token=to+k%2Fen%2B1%22x&sign=abc%2Fd%3D&b=to%20k%2fen%2b1%22x";
        let shown = hidden(url, r#"{"a":"to k/en+1\"x","b":"to k"}"#, &[secret]);
        assert_eq!(shown.url, "https://a.example:8443/x/send?token=***&sign=abc%2Fd%3D&b=***");
        assert_eq!(shown.body, r#"{"a":"***","b":"to k"}"#);
    }

    #[test]
    fn a_short_secret_is_cut_out_where_it_stands_alone_only() {
        let shown = hidden("https://a1.example/v1/1?v=1&w=11", "1 of 1", &["1"]);
        assert_eq!(shown.url, "https://a1.example/v1/***?v=***&w=11");
        assert_eq!(shown.body, "1 of 1");
    }

    #[test]
    fn a_longer_secret_goes_before_one_that_it_holds() {
        assert_eq!(hidden("https://a.example/", "abcdefgh abcd", &["abcd", "abcdefgh"]).body, "*** ***");
    }

    #[test]
    fn a_sensitive_header_is_cut_out_as_a_whole_unless_secrets_are_revealed() {
        let headers = hidden("https://a.example/", "", &[]).headers;
        assert_eq!(headers["authorization"], "***");
        assert_eq!(headers["x-team"], "vision");
        let request = request("https://a.example/?token=abcdef#part", "abcdef");
        let shown = shown(request, &[SecretString::from("abcdef")], Secrecy::Reveal);
        assert_eq!(shown.headers["authorization"], "Bearer abc");
        assert_eq!((shown.url.as_str(), shown.body.as_str()), ("https://a.example/?token=abcdef", "abcdef"));
    }
}
