//! The flags of `pai-notification run`. Each is also an environment variable and a chart value.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use jiff::SignedDuration;

/// Where a Pod finds its own namespace.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Flags of the operator.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Where /livez, /readyz and /metrics are served.
    #[arg(long, env = "PAI_NOTIFICATION_OPS_ADDRESS", default_value = "0.0.0.0:8081")]
    pub ops_address: SocketAddr,

    /// Where events are published.
    #[arg(long, env = "PAI_NOTIFICATION_BUS_ADDRESS", default_value = "0.0.0.0:8080")]
    pub bus_address: SocketAddr,

    /// URL under which publishers reach that address, as it is shown on every `EventBus`. Default: that of a Service
    /// pai-notification in the operator's namespace.
    #[arg(long, env = "PAI_NOTIFICATION_BUS_PUBLIC_URL", value_parser = public_url)]
    pub bus_public_url: Option<String>,

    /// Events that one workspace may publish a second, at each replica; four times as many at once. 0 is no limit.
    #[arg(long, env = "PAI_NOTIFICATION_BUS_RATE", default_value_t = 50)]
    pub bus_rate: u32,

    /// PEM file of the bus's certificate, followed by those that lead to its root. Without it, the bus speaks plain HTTP.
    #[arg(long, env = "PAI_NOTIFICATION_BUS_TLS_CERT", requires = "bus_tls_key")]
    pub bus_tls_cert: Option<PathBuf>,

    /// PEM file of that certificate's private key.
    #[arg(long, env = "PAI_NOTIFICATION_BUS_TLS_KEY", requires = "bus_tls_cert")]
    pub bus_tls_key: Option<PathBuf>,

    /// Namespace of the Lease and the checkpoint. Default: the Pod's own, else pai-notification-system.
    #[arg(long, env = "PAI_NOTIFICATION_NAMESPACE")]
    pub namespace: Option<String>,

    /// The operator's `ServiceAccount` in that namespace: "Grant Access" binds it.
    #[arg(long, env = "PAI_NOTIFICATION_SERVICE_ACCOUNT", default_value = "pai-notification")]
    pub service_account: String,

    /// Elect a leader among the replicas. With false, this process always leads: run only one.
    #[arg(long, env = "PAI_NOTIFICATION_LEADER_ELECT", default_value_t = true, action = clap::ArgAction::Set)]
    pub leader_elect: bool,

    /// Oldest event that may still be notified, such as 24h.
    #[arg(long, env = "PAI_NOTIFICATION_LOOKBACK", default_value = "24h", value_parser = duration)]
    pub lookback: SignedDuration,

    /// Addresses that targets may have although they are refused by default (loopback, link-local, metadata, ...).
    /// May be given several times.
    #[arg(long, env = "PAI_NOTIFICATION_ALLOW_TARGET_CIDR", value_delimiter = ',')]
    pub allow_target_cidr: Vec<IpNet>,

    /// Addresses that targets must not have, such as 10.0.0.0/8. Wins over what is allowed. May be given several times.
    #[arg(long, env = "PAI_NOTIFICATION_DENY_TARGET_CIDR", value_delimiter = ',')]
    pub deny_target_cidr: Vec<IpNet>,

    /// Directory with files of more kinds to watch, in the form of the built-in ones (see docs/kinds.md).
    #[arg(long, env = "PAI_NOTIFICATION_CATALOG", value_name = "DIR")]
    pub catalog: Option<PathBuf>,

    /// Kind that is not watched although it is installed, such as pytorchjobs.kubeflow.org. May be given several times.
    #[arg(long, env = "PAI_NOTIFICATION_IGNORE_KIND", value_delimiter = ',', value_name = "NAME")]
    pub ignore_kind: Vec<String>,

    /// Form of the logs. Default: json in a Pod, else text. The level is set by `RUST_LOG`, such as info or `pai_notification=debug`.
    #[arg(long, env = "PAI_NOTIFICATION_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// Form of the logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl RunArgs {
    /// The namespace of the Lease and the checkpoint.
    #[must_use]
    pub fn own_namespace(&self) -> String {
        let own = || std::fs::read_to_string(OWN_NAMESPACE).ok().map(|name| name.trim().to_owned());
        self.namespace.clone().or_else(own).unwrap_or_else(|| "pai-notification-system".to_owned())
    }

    /// The files of the bus's certificate, if it has one.
    #[must_use]
    pub fn bus_certificate(&self) -> Option<(&Path, &Path)> {
        self.bus_tls_cert.as_deref().zip(self.bus_tls_key.as_deref())
    }

    /// The URL under which the bus is reached, without a slash at its end.
    #[must_use]
    pub fn bus_url(&self) -> String {
        let scheme = if self.bus_certificate().is_some() { "https" } else { "http" };
        let inside = || format!("{scheme}://pai-notification.{}.svc:{}", self.own_namespace(), self.bus_address.port());
        self.bus_public_url.clone().unwrap_or_else(inside)
    }

    /// The form of the logs.
    #[must_use]
    pub fn log_format(&self) -> LogFormat {
        let by_place = if PathBuf::from(OWN_NAMESPACE).exists() { LogFormat::Json } else { LogFormat::Text };
        self.log_format.unwrap_or(by_place)
    }
}

fn public_url(text: &str) -> Result<String, String> {
    let url = url::Url::parse(text).map_err(|error| format!("{error}; write it like https://bus.example.com"))?;
    if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
        return Err("write it like https://bus.example.com, with a path at most".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn duration(text: &str) -> Result<SignedDuration, String> {
    let parsed: kube::core::Duration =
        text.parse().map_err(|error| format!("{error}; write it like 24h, 90m or 30s"))?;
    if parsed.is_negative() {
        return Err("must not be negative".to_owned());
    }
    SignedDuration::try_from(std::time::Duration::from(parsed)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Only {
        #[command(flatten)]
        args: RunArgs,
    }

    #[test]
    fn the_defaults_are_those_of_the_documentation() {
        let args = Only::parse_from(["run"]).args;
        assert_eq!(args.lookback, SignedDuration::from_hours(24));
        assert_eq!(args.ops_address.to_string(), "0.0.0.0:8081");
        assert_eq!((args.bus_address.to_string().as_str(), args.bus_rate), ("0.0.0.0:8080", 50));
        assert!(args.leader_elect);
        assert_eq!(args.service_account, "pai-notification");
    }

    #[test]
    fn the_url_of_the_bus_is_that_of_the_service_unless_it_is_given() {
        for (flags, expected) in [
            (&[][..], "http://pai-notification.ops.svc:8080"),
            (&["--bus-tls-cert=c", "--bus-tls-key=k"], "https://pai-notification.ops.svc:8080"),
            (&["--bus-public-url=https://bus.example.com/"], "https://bus.example.com"),
        ] {
            let args = Only::parse_from(["run", "--namespace=ops"].iter().chain(flags)).args;
            assert_eq!(args.bus_url(), expected);
        }
        for wrong in ["--bus-public-url=bus.example.com", "--bus-public-url=ftp://bus", "--bus-tls-cert=c"] {
            assert!(Only::try_parse_from(["run", wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_wrong_duration_says_how_to_write_one() {
        assert!(duration("1 day").unwrap_err().contains("24h"));
        assert!(duration("-1h").is_err());
        assert_eq!(duration("90m").unwrap(), SignedDuration::from_mins(90));
    }
}
